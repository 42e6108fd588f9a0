"""A statement asked as True or False: which of its words act together, and what their synonyms change.

Players are the words of the statement that have a synonym; all other words always stay. The game whose
removed words are deleted is decoded. The strongest interaction is then tested on the game whose removed words
become their synonyms, which leaves the statement's meaning as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import spex_mech as sm
from spex_mech.core.energy import energy_by_order

TEMPLATE = sm.features.Chat(
    "Is the following true or false? Answer with one word, True or False.\n{text}"
)
ANSWERS = ["True", "False"]
ORDER = 4  # largest number of words of an interaction
CHANCE = 1000  # sets of random words


@dataclass(frozen=True)
class Item:
    """A statement.

    Attributes:
        kind: what it is counted with.
        text: the statement.
        right: whether it is true.
        named: words of which one would expect that they act together.
    """

    kind: str
    text: str
    right: bool
    named: tuple[str, ...] = ()


def measure(
    model: Any,
    item: Item,
    synonyms: Mapping[str, str],
    *,
    masks: int,
    draws: int = 5,
    seed: int = 0,
) -> dict[str, object]:
    """Decode a statement, and put synonyms in the place of its words.

    Args:
        model: what `sm.features.text` reads texts with, or a function of texts that is positive for "True".
        item: the statement.
        synonyms: a synonym for every word that can be a player, in small letters.
        masks: masks to decode; all are scored where there are no more.
        draws: sets of other words, as many as the strongest interaction has, that are replaced too.
        seed: of masks and draws.

    Returns:
        A row of the results. Values are the log-probability of "True" minus that of "False"; those after
        replacements are texts with a blank between, one value per replaced set.
    """
    spans = sm.features.find_spans(
        item.text, [w for w in dict.fromkeys(re.findall(r"\w+", item.text)) if w in synonyms]
    )
    options = {"level": spans}
    if not callable(model) or hasattr(model, "hf"):
        options |= {"target": ANSWERS, "value": "margin", "template": TEMPLATE}
    deleted = sm.features.text(model, item.text, **options)
    removal = sm.features.Removal(replacements=dict(synonyms))
    replaced = sm.features.text(model, item.text, removal=removal, **options)
    n = deleted.players.n
    design = sm.designs.exhaustive(n) if 2**n <= masks else sm.designs.uniform(n, masks, seed=seed)
    spectrum = sm.decode(design, deleted(design.masks), seed=seed)
    found = sm.interactions(spectrum, "FBII", min(ORDER, n)).values
    single = sm.interactions(spectrum, "Banzhaf", 1).values
    words = sorted((s for s in single if s), key=lambda s: -abs(single[s]))
    neither = tuple(sorted(i for s in words[:2] for i in s))  # where no words act together
    members = max((s for s in found if len(s) > 1), key=lambda s: abs(found[s]), default=neither)
    others = [i for i in range(n) if i not in members]
    rng = np.random.default_rng(seed)
    count = min(len(members), len(others))
    drawn = [rng.choice(others, count, replace=False).tolist() for _ in range(draws)]
    sets = [[], *([i] for i in members), list(members), *drawn]
    values = replaced(np.array([[i not in gone for i in range(n)] for gone in sets]))
    shares = energy_by_order(spectrum)
    names = deleted.players.names
    return {
        "kind": item.kind,
        "text": item.text,
        "right": item.right,
        "players": n,
        "masks": len(design),
        "R2": round(spectrum.info.get("r2_cv", 1.0), 3),
        **{f"order {k}": round(shares.get(k, 0.0), 4) for k in (1, 2)},
        "order 3+": round(sum(v for k, v in shares.items() if k > 2), 4),
        "word": names[words[0][0]],
        "effect": round(single[words[0]], 4),
        "together": " x ".join(names[i] for i in members),
        "named": _holds(names, members, item.named),
        "named by chance": np.mean(
            [_holds(names, rng.choice(n, len(members), False), item.named) for _ in range(CHANCE)]
        ),
        "interaction": round(found.get(members, 0.0), 4),
        "whole": round(float(values[0]), 4),
        "one": _joined(values[1 : 1 + len(members)]),
        "all": _joined(values[1 + len(members) : 2 + len(members)]),
        "others": _joined(values[2 + len(members) :]),
    }


def _holds(names: Sequence[str], members: Iterable[int], wanted: Sequence[str]) -> int:
    """Whether a set of players has all of some words in it, whichever occurrence."""
    return int(set(wanted) <= {names[i].split(" #")[0] for i in members})


def _joined(values: np.ndarray) -> str:
    return " ".join(f"{v:.4f}" for v in values)
