"""Short documents about invented things, and questions that need two of them.

A set of n documents holds n / 2 chains. Of a chain, one document says in which container a thing is kept,
and another in which room that container stands. Each document has a number and a sentence with its fact,
and if asked for a second sentence, which no question needs. The question names a thing of one chain and asks
for the room. All words are drawn without replacement from the lists below by a seed, so that no fact holds
outside of the documents. The answer is written as it follows "is in the"; the three wrong answers are rooms
of other chains, or rooms that no document names where there are too few chains.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

THINGS = [f"{a} {b}" for a, b in product(
    ("silver", "broken", "painted", "golden", "wooden", "tiny", "old", "glass"),
    ("lantern", "whistle", "compass", "violin", "medal", "kettle", "mirror", "clock"),
)]  # fmt: skip
CONTAINERS = [f"{a} {b}" for a, b in product(
    ("blue", "red", "green", "grey", "yellow", "black", "white", "striped"),
    ("trunk", "crate", "basket", "drawer", "barrel", "suitcase", "cupboard", "chest"),
)]  # fmt: skip
ROOMS = (
    "kitchen", "attic", "cellar", "garage", "library", "garden", "office", "bedroom", "hall", "barn",
    "chapel", "studio", "bathroom", "tower", "workshop", "laundry", "pantry", "school", "museum",
    "hospital", "station", "theater", "church", "hotel", "shop", "factory", "bank", "prison", "palace",
    "harbor", "tent", "basement",
)  # fmt: skip
OF_THINGS = (
    "It was cleaned in {month}.",
    "It was bought in {month}.",
    "A guest asked for it in {month}.",
    "It was repaired in {month}.",
)
OF_CONTAINERS = (
    "Its lid was replaced in {month}.",
    "It was emptied in {month}.",
    "It was painted in {month}.",
    "Its label was printed in {month}.",
)
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September")
WRONG = 3
WORKED = (
    "Note 1. The ring is in the pink box.\nNote 2. The pink box is in the closet.\n"
    "Question: Which room is the ring in?\nAnswer: The ring is in the closet.\n\n"
)


@dataclass(frozen=True)
class Question:
    """A question on some documents.

    Attributes:
        documents: the documents, in their order.
        needed: places of the two that are needed, the thing's first.
        template: what stands around them, with ``{text}`` in their place.
        answers: the right room and three wrong ones, as they follow the template.
    """

    documents: tuple[str, ...]
    needed: tuple[int, int]
    template: str
    answers: tuple[str, ...]


def generate(documents: int, seed: int, *, fillers: bool = False, worked: bool = True) -> Question:
    """One question on an even number of documents, 4 to 64.

    Args:
        documents: how many.
        seed: another seed draws other words and another order.
        fillers: whether each document has a second sentence that no question asks for.
        worked: whether a worked example about other things stands before the documents.

    Raises:
        ValueError: another number.
    """
    if documents % 2 or not 4 <= documents <= 64:
        raise ValueError(f"documents is {documents}, expected an even number from 4 to 64")
    rng = np.random.default_rng([documents, seed])
    chains = documents // 2
    things, containers = (rng.permutation(words)[:chains] for words in (THINGS, CONTAINERS))
    rooms = rng.permutation(ROOMS)
    texts = []
    for chain, (thing, container) in enumerate(zip(things, containers, strict=True)):
        facts = (
            (f"The {thing} is in the {container}.", OF_THINGS),
            (f"The {container} is in the {rooms[chain]}.", OF_CONTAINERS),
        )
        for fact, others in facts:
            filler = " " + str(rng.choice(others)).format(month=rng.choice(MONTHS))
            texts.append(fact + filler * fillers)
    order = rng.permutation(documents)
    place = np.argsort(order)
    titled = tuple(f"Note {i + 1}. {texts[k]}\n" for i, k in enumerate(order))
    wrong = [str(room) for room in rooms[1 : 1 + WRONG]]
    return Question(
        documents=titled,
        needed=(int(place[0]), int(place[1])),
        template=WORKED * worked
        + "{text}"
        + f"Question: Which room is the {things[0]} in?\nAnswer: The {things[0]} is in the",
        answers=(f" {rooms[0]}", *(f" {room}" for room in wrong)),
    )
