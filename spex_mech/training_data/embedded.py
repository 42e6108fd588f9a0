"""Data that comes with the library: scikit-learn's digits, and short reviews of our own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.training_data.examples import Examples
from spex_mech.training_data.vocabulary import Vocabulary

_THINGS = (
    "film", "story", "hotel", "room", "soup", "waiter", "concert", "singer", "lesson", "teacher",
    "phone", "screen", "novel", "ending",
)  # fmt: skip
_GOOD = ("good", "lovely", "superb", "charming", "brilliant", "pleasant", "delightful", "fine")
_BAD = ("bad", "awful", "dreadful", "boring", "terrible", "dull", "nasty", "poor")
_DEGREES = ("", "very", "rather", "truly")
_REVIEW_LENGTH = 14


def digits(*counts: int, seed: int) -> tuple[Examples, ...]:
    """Disjoint random parts of scikit-learn's digits: 1,797 images of 8 × 8, ten classes.

    Args:
        *counts: how many examples each part has, such as training, validation, test.
        seed: of the draw.

    Returns:
        Parts with inputs (N, 1, 8, 8) from 0 to 1.

    Raises:
        InputError: more examples than there are.
    """
    from sklearn.datasets import load_digits

    images, labels = (np.asarray(x) for x in load_digits(return_X_y=True))
    whole = Examples((images / 16.0).reshape(-1, 1, 8, 8), labels, tuple(str(i) for i in range(10)))
    return _parts(whole, counts, seed)


def reviews(*counts: int, seed: int) -> tuple[Examples, ...]:
    """Disjoint random parts of 27,678 short reviews, ``negative`` or ``positive``.

    A review has one clause ("the soup was not very good") or two joined by "but", of which the last
    decides: words alone do not, so that examples must act together to teach "not" and "but".

    Args:
        *counts: how many examples each part has.
        seed: of the draw.

    Returns:
        Parts with texts, and inputs (N, 14): token ids of the `review_words`.

    Raises:
        InputError: more examples than there are.
    """
    texts, labels = zip(*_all_reviews(), strict=True)
    inputs = review_words().encode(texts, _REVIEW_LENGTH)
    return _parts(Examples(inputs, np.array(labels), ("negative", "positive"), texts), counts, seed)


def review_words() -> Vocabulary:
    """All words of `reviews`; `text_classifier` needs ``len(review_words())`` embeddings."""
    words = ("the", "was", "not", "but", *_DEGREES[1:], *_THINGS, *_GOOD, *_BAD)
    return Vocabulary(words)


def _all_reviews() -> Iterator[tuple[str, int]]:
    """One clause of 14 · 128, or one of 43 beside one of 43 about the next thing."""
    clauses = [list(_clauses(thing)) for thing in _THINGS]
    for i, variants in enumerate(clauses):
        yield from variants
        for first, _ in variants[::3]:
            for second, label in clauses[(i + 1) % len(clauses)][::3]:
                yield f"{first} but {second}", label


def _clauses(thing: str) -> Iterator[tuple[str, int]]:
    for label, words in enumerate((_BAD, _GOOD)):
        for word in words:
            for degree in _DEGREES:
                for negated in (False, True):
                    parts = ("the", thing, "was", "not" if negated else "", degree, word)
                    yield " ".join(p for p in parts if p), label ^ negated


def _parts(whole: Examples, counts: tuple[int, ...], seed: int) -> tuple[Examples, ...]:
    if not counts or min(counts) < 1 or sum(counts) > len(whole):
        raise InputError(
            f"parts of {counts} examples; expected positive numbers, {len(whole)} in all at most"
        )
    order = np.random.default_rng(seed).permutation(len(whole))
    return tuple(whole.take(order[a:b]) for a, b in pairwise(np.cumsum([0, *counts])))
