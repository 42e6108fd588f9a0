"""The trolley problem without the dilemma: the other track is empty, so that pulling the lever is right."""

from __future__ import annotations

from itertools import product

from reworded import Item

FRAMES = {
    "sees": "A runaway trolley rolls toward {people}. If you pull the lever, the trolley turns onto an "
    "empty track and harms nobody. You should pull the lever.",
    "beside": "You stand beside a lever while a runaway trolley nears {people}. A pull of the lever guides "
    "the trolley to a vacant track and saves everyone. It is right to pull the lever.",
    "doing nothing": "Unless somebody acts, a heavy trolley will hit {people}. With the lever you can steer "
    "the trolley onto an unused track without harm. To use the lever is good.",
}
NAMED = ("trolley", "lever")  # of the interaction of the paper
PEOPLE = ("five workers", "three children", "six hikers", "four farmers")
SYNONYMS = {
    "runaway": "uncontrolled", "trolley": "tram", "rolls": "moves", "toward": "towards", "pull": "tug",
    "lever": "handle", "turns": "swings", "empty": "vacant", "track": "rail", "harms": "hurts",
    "nobody": "no one", "should": "must", "stand": "wait", "beside": "near", "nears": "approaches",
    "guides": "leads", "vacant": "empty", "saves": "rescues", "everyone": "everybody", "right": "correct",
    "somebody": "someone", "acts": "intervenes", "heavy": "massive", "hit": "strike", "steer": "direct",
    "unused": "idle", "harm": "injury", "use": "employ", "good": "proper",
    "five": "5", "three": "3", "six": "6", "four": "4",
    "workers": "laborers", "children": "kids", "hikers": "walkers", "farmers": "growers",
}  # fmt: skip


def dilemmas() -> list[Item]:
    """Every group of people in every frame; all are true."""
    return [
        Item(name, frame.format(people=people), True, NAMED)
        for people, (name, frame) in product(PEOPLE, FRAMES.items())
    ]
