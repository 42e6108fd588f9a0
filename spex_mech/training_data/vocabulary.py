"""`Vocabulary`: texts as rows of token ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64

from spex_mech.core.errors import InputError
from spex_mech.core.short_repr import short_repr

PAD, UNKNOWN = 0, 1


@short_repr
@dataclass(frozen=True)
class Vocabulary:
    """Words that have a token id: 0 is padding, 1 a word that is not known, then these.

    Attributes:
        words: distinct lower-case words.

    Raises:
        InputError: a word twice.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self._place) != len(self.words):
            raise InputError("a word is in the vocabulary twice; give each once")

    @classmethod
    def of(cls, texts: Iterable[str], most: int = 5000) -> Vocabulary:
        """The commonest words of the training texts, at most ``most``; ties in alphabetical order."""
        counts = Counter(word for text in texts for word in split(text))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(tuple(ranked[:most]))

    def __len__(self) -> int:
        """Number of token ids."""
        return 2 + len(self.words)

    def encode(self, texts: Iterable[str], length: int) -> Int64[np.ndarray, "N length"]:
        """Token ids (N, length): texts cut or padded on the right."""
        rows = [[self._place.get(w, UNKNOWN) for w in split(text)[:length]] for text in texts]
        out = np.full((len(rows), length), PAD, dtype=np.int64)
        for i, row in enumerate(rows):
            out[i, : len(row)] = row
        return out

    @cached_property
    def _place(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, 2)}


def split(text: str) -> list[str]:
    """Lower-case words and punctuation marks."""
    return re.findall(r"\w+|[^\w\s]", text.lower())
