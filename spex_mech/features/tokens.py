"""`TokenLayout`, one tokenisation for every masked text, and `TokenSource`, a model that reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int32, Int64

from spex_mech.core.errors import InputError

TokenRow = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class TokenLayout:
    """The tokens of a text and of the replacements of its parts, in one row.

    Attributes:
        ids: int32 (t,), token ids in the order of the text; the versions of a part one after another.
        part: int32 (t,), the part each token belongs to; −1 if it always stays.
        version: int32 (t,), the part's version it belongs to: 0 is the part's own text.
        counts: int64 (n,), number of replacements of each part.
        start: token that stands alone where nothing else is left.
        types: int32 (t,), the tokens' segment ids (``token_type_ids``), for pairs of texts whose tokenizer
            gives them; else None.
    """

    ids: Int32[np.ndarray, " t"]
    part: Int32[np.ndarray, " t"]
    version: Int32[np.ndarray, " t"]
    counts: Int64[np.ndarray, " n"]
    start: int
    types: Int32[np.ndarray, " t"] | None = None

    @property
    def longest(self) -> int:
        """Tokens of the longest row that any mask can give."""
        sizes = np.zeros((len(self.counts), int(self.counts.max(initial=0)) + 1), dtype=np.int64)
        removable = self.part >= 0
        np.add.at(sizes, (self.part[removable], self.version[removable]), 1)
        return int((~removable).sum() + sizes.max(axis=1).sum())

    @property
    def digest(self) -> str:
        """SHA-256 of the tokens."""
        parts = (self.ids, self.part, self.version, *([] if self.types is None else [self.types]))
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def rows(self, choices: Int64[np.ndarray, "m n"]) -> list[TokenRow]:
        """Token ids (r,) of each choice of versions (m, n); with types below them, (2, r)."""
        fixed = self.part < 0
        part = np.where(fixed, 0, self.part)
        if choices.shape[1]:
            taken = fixed | (choices[:, part] == self.version)
        else:  # a text that stays whole
            taken = np.ones((len(choices), len(self.ids)), dtype=bool)
        if self.types is not None:
            both = np.stack([self.ids, self.types])
            return [both[:, tokens] for tokens in taken]
        return [
            row if len(row := self.ids[tokens]) else np.array([self.start], dtype=np.int32)
            for tokens in taken
        ]

    def unpack(self, row: bytes) -> TokenRow:
        """A row from its bytes."""
        tokens = np.frombuffer(row, dtype=np.int32)
        return tokens if self.types is None else tokens.reshape(2, -1)


def layout_of(
    pieces: Sequence[tuple[int, Sequence[Sequence[int]]]],
    n: int,
    start: int,
    types: Sequence[int] | None = None,
) -> TokenLayout:
    """Put pieces in a row.

    Args:
        pieces: in the order of the text: the part (−1: always stays) and the token ids of its versions.
        n: number of parts.
        start: see `TokenLayout`.
        types: the type of each piece; None for none.
    """
    ids: list[npt.NDArray[np.int32]] = [np.empty(0, dtype=np.int32)]
    labels: list[tuple[int, int, int, int]] = [(0, -1, 0, 0)]
    counts = np.ones(n, dtype=np.int64)
    for place, (part, versions) in enumerate(pieces):
        if part >= 0:
            counts[part] = len(versions) - 1
        for number, tokens in enumerate(versions):
            ids.append(np.asarray(tokens, dtype=np.int32))
            labels.append((len(tokens), part, number, 0 if types is None else types[place]))
    sizes, parts, numbers, kinds = np.array(labels).T
    return TokenLayout(
        np.concatenate(ids),
        np.repeat(parts, sizes).astype(np.int32),
        np.repeat(numbers, sizes).astype(np.int32),
        counts,
        start,
        None if types is None else np.repeat(kinds, sizes).astype(np.int32),
    )


def check_length(layout: TokenLayout, context: int | None, added: int = 0) -> None:
    """Refuse a text that some mask makes longer than the model can read.

    Args:
        layout: the text.
        context: longest input in tokens; None for no limit.
        added: tokens that follow it, such as a continuation's.

    Raises:
        InputError: it may be longer than the context.
    """
    if context is None:
        return
    whole = int(((layout.part < 0) | (layout.version == 0)).sum()) + added
    longest = layout.longest + added
    if whole > context:
        raise InputError(
            f"the text has {whole} tokens, the model's context holds {context}; give a shorter text "
            "(texts are never cut)"
        )
    if longest > context:
        raise InputError(
            f"with its longest replacements the text has {longest} tokens, the model's context holds "
            f"{context}; give shorter replacements, or a shorter text"
        )


class TokenReader(Protocol):
    """A model that reads token rows."""

    @property
    def key(self) -> dict[str, str]:
        """Weights, dtype and whatever else decides the outputs."""
        ...

    def outputs(self, rows: Sequence[TokenRow]) -> Float64[np.ndarray, "u k"]:
        """What it answers to each row."""
        ...


class TokenSource:
    """Masked texts as rows of one tokenisation.

    Args:
        layout: the text's tokens.
        reader: the model.
        tokenizer: its tokenizer.
    """

    def __init__(self, layout: TokenLayout, reader: TokenReader, tokenizer: Any) -> None:
        self.layout, self.reader, self._tokenizer = layout, reader, tokenizer

    @property
    def counts(self) -> Int64[np.ndarray, " n"]:
        """See `FeatureSource`."""
        return self.layout.counts

    @property
    def size(self) -> int:
        """See `FeatureSource`."""
        return len(self.layout.ids)

    @property
    def key(self) -> dict[str, str]:
        """See `FeatureSource`."""
        return {**self.reader.key, "tokens": self.layout.digest}

    @property
    def full(self) -> TokenRow:
        """The row of the whole text."""
        return self.layout.rows(np.zeros((1, len(self.counts)), dtype=np.int64))[0]

    def inputs(self, choices: Int64[np.ndarray, "m n"]) -> list[bytes]:
        """Token rows, as the bytes of int32 ids."""
        return [row.tobytes() for row in self.layout.rows(choices)]

    def outputs(self, inputs: Sequence[bytes]) -> Float64[np.ndarray, "u k"]:
        """See `FeatureSource`."""
        return self.reader.outputs([self.layout.unpack(row) for row in inputs])

    def show(self, row: bytes, /) -> str:
        """The tokens as text, special tokens included."""
        return self._tokenizer.decode(np.atleast_2d(self.layout.unpack(row))[0].tolist())


TOKENS = 1 << 13


def pack_rows(
    lengths: Sequence[int] | npt.NDArray[np.int64], most: int = TOKENS
) -> list[list[int]]:
    """Cut rows into batches by length, shortest first.

    Args:
        lengths: length of each row.
        most: tokens that a batch may have, padding included (a row that is longer stands alone).

    Returns:
        Numbers of rows, batch by batch; a batch with 256 tokens or more is closed rather than padded by
        more than an eighth.
    """
    batches: list[list[int]] = []
    batch: list[int] = []
    real = 0
    for row in np.argsort(np.asarray(lengths), kind="stable").tolist():
        length = int(lengths[row])
        padded = (len(batch) + 1) * length
        wasteful = real >= 256 and 8 * padded > 9 * (real + length)
        if batch and (padded > most or wasteful):
            batches.append(batch)
            batch, real = [], 0
        batch.append(row)
        real += length
    return [*batches, batch] if batch else batches


def padded(rows: Sequence[npt.NDArray[np.int32]], fill: int) -> npt.NDArray[np.int64]:
    """Rows as one array (b, t), filled up on the right."""
    width = max(len(row) for row in rows)
    out = np.full((len(rows), width), fill, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
