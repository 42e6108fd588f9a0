"""A text as tokens, read by a Hugging Face model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.features.tokens import Row, TokenLayout


class TokenReader(Protocol):
    """A model that reads token rows."""

    @property
    def key(self) -> dict[str, str]:
        """Weights, dtype and whatever else decides the outputs."""
        ...

    def outputs(self, rows: Sequence[Row]) -> Float64[np.ndarray, "u k"]:
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
        """See `Source`."""
        return self.layout.counts

    @property
    def size(self) -> int:
        """See `Source`."""
        return len(self.layout.ids)

    @property
    def key(self) -> dict[str, str]:
        """See `Source`."""
        return {**self.reader.key, "tokens": self.layout.digest}

    @property
    def full(self) -> Row:
        """The row of the whole text."""
        return self.layout.rows(np.zeros((1, len(self.counts)), dtype=np.int64))[0]

    def inputs(self, choices: Int64[np.ndarray, "m n"]) -> list[bytes]:
        """Token rows, as the bytes of int32 ids."""
        return [row.tobytes() for row in self.layout.rows(choices)]

    def outputs(self, inputs: Sequence[bytes]) -> Float64[np.ndarray, "u k"]:
        """See `Source`."""
        return self.reader.outputs([self.layout.unpack(row) for row in inputs])

    def show(self, given: bytes) -> str:
        """The tokens as text, special tokens included."""
        return self._tokenizer.decode(np.atleast_2d(self.layout.unpack(given))[0].tolist())
