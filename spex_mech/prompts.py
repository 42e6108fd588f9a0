"""Prompts: a task's examples as token ids, with the ids of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spex_mech.errors import InputError
from spex_mech.task import Example, Task, TokenTask


@dataclass(frozen=True)
class Prompts:
    """Examples as token ids, ready to be scored.

    Attributes:
        ids: unique text for each example.
        tokens: token ids of each example, without padding.
        answers: int64 (e, k) token ids whose logits are read at the last position; None to score
            the mean log-probability of the sequence.
        right: int64 (e,), the column of ``answers`` that is right.
        texts: the prompts as text, where there is one.
    """

    ids: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...] = field(repr=False)
    answers: npt.NDArray[np.int64] | None = field(repr=False)
    right: npt.NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.tokens)


def encode(task: Task, split: str, tokenizer: Any | None, context: int | None) -> Prompts:
    """Turn a task's examples into token ids.

    Args:
        task: the task.
        split: which examples; a `TokenTask` has only ``search``, which is also ``all``.
        tokenizer: the model's tokenizer; a `TokenTask` needs none.
        context: the longest input in tokens, if there is a limit.

    Raises:
        InputError: no tokenizer, an option that is not one token, or a prompt longer than the context.
    """
    if isinstance(task, TokenTask):
        if split not in ("search", "all"):
            raise InputError(
                f"a TokenTask has no {split} split; use split='all', or one TokenTask for each split"
            )
        prompts = _encode_tokens(task)
    else:
        if tokenizer is None:
            raise InputError(
                f"task {task.name!r} is text but the model has no tokenizer; pass tokenizer= to "
                "load_model, or score token ids with TokenTask"
            )
        prompts = _encode_choices(task.select(split), tokenizer)
    for name, tokens in zip(prompts.ids, prompts.tokens, strict=True):
        if context is not None and len(tokens) > context:
            raise InputError(
                f"prompt {name!r} has {len(tokens)} tokens, the model's context holds {context}; "
                "use fewer shots or leave the example out (prompts are never cut)"
            )
    return prompts


def _encode_tokens(task: TokenTask) -> Prompts:
    count = len(task.sequences)
    return Prompts(
        ids=tuple(str(e) for e in range(count)),
        tokens=task.sequences,
        answers=task.answer_ids,
        right=np.zeros(count, dtype=np.int64),
    )


def _encode_choices(examples: Sequence[Example], tokenizer: Any) -> Prompts:
    tokens = [tuple(ids) for ids in tokenizer([x.prompt for x in examples])["input_ids"]]
    options = {x.options for x in examples}
    widths = {len(o) for o in options}
    if len(widths) > 1:
        raise InputError(
            f"questions have {sorted(widths)} options; give every question the same number"
        )
    first = {o: next(i for i, x in enumerate(examples) if x.options == o) for o in options}
    ids = {o: _option_ids(examples[i], tokens[i], tokenizer) for o, i in first.items()}
    return Prompts(
        ids=tuple(x.id for x in examples),
        tokens=tuple(tokens),
        answers=np.array([ids[x.options] for x in examples], dtype=np.int64),
        right=np.array([x.answer for x in examples], dtype=np.int64),
    )


def _option_ids(example: Example, prompt: tuple[int, ...], tokenizer: Any) -> list[int]:
    """Token id of each option after the prompt, with a leading space if that is one token, else without."""
    for space in (" ", ""):
        longer = [tokenizer(example.prompt + space + o)["input_ids"] for o in example.options]
        # A closing token that the tokenizer appends to the prompt as well is not part of the answer.
        added = [
            ids[len(prompt) :] if tuple(ids[: len(prompt)]) == prompt else [] for ids in longer
        ]
        if all(len(ids) == 1 for ids in added) and len({ids[0] for ids in added}) == len(added):
            return [ids[0] for ids in added]
    raise InputError(
        f"options {list(example.options)} are not single, distinct tokens after the prompt for this "
        f"tokenizer (example {example.id!r}: they add {[len(ids) for ids in added]} tokens); "
        "use a tokenizer that has the letters as tokens"
    )
