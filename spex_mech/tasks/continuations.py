"""Options that continue a context, as token ids: where the context ends and the option begins.

As in lm-evaluation-harness, an option starts where the tokens of its context end, and spaces at the end
of the context belong to the option. After an empty context the first token of the option needs
something that it follows: the token that begins a sequence (BOS, else EOS).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from spex_mech.core.errors import InputError
from spex_mech.tasks.chats import encode_texts, start_id


@dataclass(frozen=True)
class Continuation:
    """One option of an example.

    Attributes:
        example: the example's id, for messages.
        context: what the model reads; may be empty.
        option: what is scored, with the space before it.
    """

    example: str
    context: str
    option: str

    @property
    def is_whole(self) -> bool:
        """Whether the option is the whole text, with nothing but spaces before it."""
        return not self.context.strip()


Encoded: TypeAlias = tuple[tuple[int, ...], int]
"""Token ids of a row, and how many of them, at the end, are the option's."""


def encode_continuations(rows: Sequence[Continuation], tokenizer: Any) -> list[Encoded]:
    """Token ids of context and option together, and the number of the option's, at least 1.

    Raises:
        InputError: an option that has no tokens, whose first token holds the end of the context, or that
            follows an empty context where the tokenizer has neither BOS nor EOS.
    """
    whole = iter(_whole_texts([row for row in rows if row.is_whole], tokenizer))
    after = iter(_after_contexts([row for row in rows if not row.is_whole], tokenizer))
    return [next(whole if row.is_whole else after) for row in rows]


def _after_contexts(rows: Sequence[Continuation], tokenizer: Any) -> Iterator[Encoded]:
    contexts = encode_texts(tokenizer, [row.context.rstrip() for row in rows])
    wholes = encode_texts(tokenizer, [row.context + row.option for row in rows])
    for row, context, ids in zip(rows, contexts, wholes, strict=True):
        if ids[: len(context)] != context or len(ids) == len(context):
            raise InputError(
                f"example {row.example!r}: this tokenizer joins the end of the prompt with the option "
                f"{row.option!r}, or adds a closing token; let options begin with a space"
            )
        yield ids, len(ids) - len(context)


def _whole_texts(rows: Sequence[Continuation], tokenizer: Any) -> Iterator[Encoded]:
    if not rows:
        return
    first = start_id(tokenizer)
    if first is None:
        raise InputError(
            f"example {rows[0].example!r} has no text before its options, and this tokenizer has no "
            "token (BOS or EOS) for the first one to follow; set tokenizer.bos_token, or put text "
            "before the options"
        )
    texts = [row.context + row.option for row in rows]
    for row, ids in zip(rows, tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True):
        whole = tuple(int(t) for t in ids)
        if whole[:1] != (first,):
            whole = (first, *whole)
        if len(whole) < 2:
            raise InputError(
                f"example {row.example!r} has an option without tokens: {row.option!r}; give it a text"
            )
        yield whole, len(whole) - 1
