"""Texts of n words: reviews by the generator of analyses/feature_attribution, and public-domain prose.

prose.txt has three paragraphs: the beginnings of A Tale of Two Cities (Charles Dickens, 1859) and Moby-Dick
(Herman Melville, 1851), and of the fifth chapter of Frankenstein (Mary Shelley, 1818; 1831 edition), whose
authors died in 1870, 1891 and 1851. They were written down from memory.
"""

from __future__ import annotations

from pathlib import Path

from reviews import review

PROSE = Path(__file__).with_name("prose.txt").read_text(encoding="utf-8").strip().split("\n\n")


def text_of(kind: str, words: int, seed: int) -> str:
    """A text of exactly so many words.

    Args:
        kind: ``review``, which the generator makes of any length, or ``prose``.
        words: how many.
        seed: another seed draws another review, or begins with another paragraph.

    Raises:
        ValueError: more words than the prose has.
    """
    if kind == "review":
        return review(words, seed)
    start = seed % len(PROSE)
    all_words = " ".join(PROSE[start:] + PROSE[:start]).split()
    if words > len(all_words):
        raise ValueError(f"words is {words}, but the prose has {len(all_words)}")
    return " ".join(all_words[:words])
