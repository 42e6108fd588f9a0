"""A text as tokens, read by a Hugging Face model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int32, Int64

from spex_mech.features.token_rows import TokenLayout


class TokenReader(Protocol):
    """A model that reads token rows."""

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        ...

    @property
    def context(self) -> int | None:
        """Longest input in tokens; None for no limit."""
        ...

    @property
    def key(self) -> dict[str, str]:
        """Weights, dtype and whatever else decides the outputs."""
        ...

    def outputs(self, rows: Sequence[npt.NDArray[np.int32]]) -> Float64[np.ndarray, "u k"]:
        """What it answers to each row."""
        ...


class TokenSource:
    """Masked texts as rows of one tokenisation.

    Args:
        layout: the text's tokens.
        reader: the model.
    """

    def __init__(self, layout: TokenLayout, reader: TokenReader) -> None:
        self.layout, self.reader = layout, reader

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
        parts = (self.layout.ids, self.layout.part, self.layout.version)
        tokens = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
        return {**self.reader.key, "tokens": tokens}

    @property
    def full(self) -> Int32[np.ndarray, " t"]:
        """The row of the whole text."""
        return self.layout.rows(np.zeros((1, len(self.counts)), dtype=np.int64))[0]

    def inputs(self, choices: Int64[np.ndarray, "m n"]) -> list[bytes]:
        """Token rows, as the bytes of int32 ids."""
        return [row.tobytes() for row in self.layout.rows(choices)]

    def outputs(self, inputs: Sequence[bytes]) -> Float64[np.ndarray, "u k"]:
        """See `Source`."""
        return self.reader.outputs([np.frombuffer(row, dtype=np.int32) for row in inputs])

    def show(self, given: bytes) -> str:
        """The tokens as text, special tokens included."""
        return self.reader.tokenizer.decode(np.frombuffer(given, dtype=np.int32).tolist())
