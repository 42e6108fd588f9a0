"""Plain, negated and doubly negated statements about things, each in a true and a false form."""

from __future__ import annotations

from itertools import product

from reworded import Item

FACTS = (  # an adjective that changes nothing, a thing, what it is, and what it is not
    ("fresh", "snow", "white", "black"),
    ("frozen", "ice", "cold", "hot"),
    ("pure", "sugar", "sweet", "sour"),
    ("solid", "rock", "hard", "soft"),
    ("bright", "fire", "hot", "cold"),
    ("dry", "sand", "loose", "liquid"),
    ("heavy", "lead", "dense", "airy"),
    ("raw", "grass", "green", "purple"),
)
FORMS = {
    "plain": "Usually, {adjective} {thing} is {word}.",
    "one negation": "Usually, {adjective} {thing} is not {word}.",
    "false, not": "It is false that {adjective} {thing} is not {word}.",
    "nobody, denies": "Surely nobody honest denies that {adjective} {thing} is {word}.",
    "untrue, fails": "It is untrue that {adjective} {thing} fails to be {word}.",
}
NEGATIONS = {
    "plain": (),
    "one negation": ("not",),
    "false, not": ("false", "not"),
    "nobody, denies": ("nobody", "denies"),
    "untrue, fails": ("untrue", "fails"),
}
SYNONYMS = {
    "fresh": "new", "frozen": "icy", "pure": "refined", "solid": "firm", "bright": "glowing",
    "dry": "waterless", "heavy": "weighty", "raw": "uncooked",
    "snow": "snowfall", "ice": "frost", "sugar": "sucrose", "rock": "stone", "fire": "flame",
    "sand": "grit", "lead": "metal", "grass": "turf",
    "white": "pale", "black": "dark", "cold": "chilly", "hot": "scorching", "sweet": "sugary",
    "sour": "acidic", "hard": "rigid", "soft": "squashy", "loose": "unpacked", "liquid": "fluid",
    "dense": "compact", "airy": "fluffy", "green": "verdant", "purple": "violet",
    "usually": "generally", "not": "never", "false": "incorrect", "nobody": "no one",
    "honest": "truthful", "denies": "disputes", "untrue": "wrong", "fails": "ceases",
}  # fmt: skip


def statements() -> list[Item]:
    """All forms of all facts; what a thing is and what it is not stand one after the other."""
    made = []
    for (adjective, thing, own, other), (form, pattern) in product(FACTS, FORMS.items()):
        for word in (own, other):
            text = pattern.format(adjective=adjective, thing=thing, word=word)
            right = (word == own) != (form == "one negation")
            made.append(Item(form, text, right, NEGATIONS[form]))
    return made
