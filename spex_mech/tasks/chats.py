"""Text as a tokenizer reads it: chat templates, and the start token exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import TemplateError

from spex_mech.core.errors import InputError
from spex_mech.tasks.task import Turn


def render(prompt: str, turns: Sequence[Turn], chat: str | None, tokenizer: Any) -> str:
    """The text that the model reads for a prompt.

    With a chat it is what lm-evaluation-harness gives with ``--apply_chat_template``: the description
    is the system message (left out where the template refuses one), and the text stops where the answer
    begins.

    Args:
        prompt: the plain text.
        turns: the prompt's pieces; empty for one user message.
        chat: None for plain text; ``turns`` for one turn per shot (the harness's default), ``single``
            for one user message that holds all shots.
        tokenizer: has the template.

    Raises:
        InputError: a tokenizer without a chat template.
    """
    if chat is None:
        return prompt
    if getattr(tokenizer, "chat_template", None) is None:
        raise InputError(
            "the task asks for a chat but the tokenizer has no chat template; load the task without "
            "chat, or use an instruct model's tokenizer"
        )
    pieces = list(turns) or [Turn("user", prompt)]
    if chat == "single":
        system = [t for t in pieces[:1] if t.role == "system"]
        rest = pieces[len(system) :]
        joined = "".join(t.text + t.after for t in rest[:-1]) + rest[-1].text
        pieces = [*system, Turn("user", joined)]
    messages = [{"role": t.role, "content": t.text} for t in pieces]
    try:
        return _apply(tokenizer, messages)
    except TemplateError:
        return _apply(tokenizer, [m for m in messages if m["role"] != "system"])


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> list[tuple[int, ...]]:
    """Token ids of texts, with the special tokens that the tokenizer adds by itself.

    A text that begins with the start token, as chats do, gets no second one.
    """
    first = start_id(tokenizer)
    start = "" if first is None else tokenizer.decode([first])
    has_starts = [bool(start) and text.startswith(start) for text in texts]
    ids: list[tuple[int, ...]] = [()] * len(texts)
    for has_start in set(has_starts):
        where = [i for i, starts in enumerate(has_starts) if starts == has_start]
        encoded = tokenizer([texts[i] for i in where], add_special_tokens=not has_start)[
            "input_ids"
        ]
        for i, row in zip(where, encoded, strict=True):
            ids[i] = tuple(int(t) for t in row)
    return ids


def start_id(tokenizer: Any) -> int | None:
    """The token that begins a sequence: as in lm-evaluation-harness BOS, else EOS, else none."""
    bos = getattr(tokenizer, "bos_token_id", None)
    return bos if bos is not None else getattr(tokenizer, "eos_token_id", None)


def _apply(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
