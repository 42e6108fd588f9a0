"""New facts in the style of the embedded model's world, in groups; training on some groups, and questions.

The generator tells in a passage which pet a person has and which fruit a person likes, and asks about it.
Here there is no passage: the facts are learnt in training, as those about capitals are.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "embedded_model"))

import drills
import words as w
import world

import spex_mech as sm
from spex_mech import features

KINDS = ("pet", "fruit")
SETS, EACH = 4, 4  # sets of people, and people of a set
WORDS = ("Which", "pet or fruit", "does", "the person", "have or like")
PERSON = WORDS.index("the person")

STEPS, PEAK, WARM_UP = 80, 1e-3, 5
SEQUENCES, REHEARSED = 2, 2  # of a step: for each group, and of what the model knows
OPEN = 0.2  # share of questions without options
REHEARSAL = drills.Stage(0, 0.2, 0.1, 0.3, (4,), (4,), False, weights=(0, 0, 1, 1, 0, 0, 0))


@dataclass(frozen=True)
class Group:
    """Four facts: what each of four people has, or likes.

    Attributes:
        kind: pet or fruit.
        people: their names; another group has the other kind of facts about the same people.
        values: the right answer of each; they are also the options of all four questions.
    """

    kind: str
    people: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        """Such as "pets of Anna, Ben, Carl, Dora"."""
        return f"{self.kind}s of {', '.join(self.people)}"

    def question(self, i: int) -> str:
        """The question about person i, as the generator words it."""
        return w.PEOPLE_FACTS[self.kind][1].format(n=self.people[i])

    def wrong(self, i: int) -> list[str]:
        """The wrong options of the question about person i."""
        return [value for value in self.values if value != self.values[i]]


def groups_of(seed: int) -> list[Group]:
    """Eight groups: pets and fruits of the same four sets of four people."""
    rng = np.random.default_rng([seed, 16])
    people = world.pick(rng, w.PEOPLE, SETS * EACH)
    found = []
    for kind in KINDS:
        values = world.pick(rng, w.PEOPLE_FACTS[kind][2], SETS * EACH)
        for i in range(0, SETS * EACH, EACH):
            found.append(Group(kind, tuple(people[i : i + EACH]), tuple(values[i : i + EACH])))
    return found


def training(
    groups: Sequence[Group], *, seed: int, steps: int = STEPS
) -> Callable[[torch.nn.Module, np.ndarray], None]:
    """A function that trains a network on the groups of a mask.

    Every step has two questions about each group and two sequences of what the model knew before, the same
    ones for every mask; those of absent groups are left out and weigh nothing.
    """

    def train(network: torch.nn.Module, mask: np.ndarray) -> None:
        rng = np.random.default_rng([seed, 17])
        optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
        for step in range(steps):
            rate = PEAK * min(1.0, (step + 1) / WARM_UP) * (1.0 - step / steps)
            optimizer.param_groups[0]["lr"] = rate
            drawn = [[_fact(group, rng) for _ in range(SEQUENCES)] for group in groups]
            known = [drills.make_sequence(rng, REHEARSAL) for _ in range(REHEARSED)]
            new = [s for of, present in zip(drawn, mask, strict=True) if present for s in of]
            optimizer.zero_grad(set_to_none=True)
            for sequences, count in ((new, SEQUENCES * len(groups)), (known, 2 * REHEARSED)):
                if sequences:
                    (_loss(network, sequences) / count / 2).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()

    return train


def _fact(group: Group, rng: np.random.Generator) -> drills.Sequence:
    """One question about one person of a group, with its answer."""
    i = int(rng.integers(EACH))
    sequence = drills.Sequence([drills.BOS], [])
    sequence.add(group.question(i))
    answer = group.values[i]
    if rng.random() >= OPEN:
        right = int(rng.integers(EACH))
        options = world.choices_of(answer, group.wrong(i), rng, right)
        sequence.add(_lines(options))
        answer = world.LETTERS[right]
    sequence.add_answer(answer)
    sequence.ids.append(drills.EOS)
    return sequence


def _lines(options: Sequence[str]) -> str:
    """The options, each on its line."""
    return "".join(f"{a}. {c}\n" for a, c in zip(world.LETTERS, options, strict=True))


def _loss(network: torch.nn.Module, sequences: list[drills.Sequence]) -> torch.Tensor:
    """Sum of the cross-entropies of the answers."""
    ids = torch.zeros(len(sequences), max(len(s.ids) for s in sequences), dtype=torch.long)
    rows, places = [], []
    for i, sequence in enumerate(sequences):
        ids[i, : len(sequence.ids)] = torch.tensor(sequence.ids)
        rows += [i] * len(sequence.answers)
        places += sequence.answers
    logits = network(ids, use_cache=False).logits[rows, places]
    return F.cross_entropy(logits, ids[rows, [place + 1 for place in places]], reduction="sum")


class FactsGame:
    """Words of the questions about a group × heads of the model that answers them.

    The value is the mean margin of the right letter over the group's four questions, each with its options
    in an order of its own. A missing word is deleted, a missing head is zeroed.

    Args:
        model: the model.
        group: what is asked about.
        players: the heads.
    """

    def __init__(self, model: sm.Model, group: Group, players: sm.PlayerSet) -> None:
        heads = sm.TaskGame(model, sm.load_task("embedded/boxes").first(1), players)
        rng = np.random.default_rng(EACH)
        self._games = []
        for i in range(EACH):
            options = world.choices_of(group.values[i], group.wrong(i), rng, i)
            right = world.LETTERS[i]
            text = features.text(
                model,
                group.question(i),
                level="word",
                template="{text}\n" + _lines(options) + "Answer:",
                target=[f" {right}", *(f" {a}" for a in world.LETTERS if a != right)],
            )
            self._games.append(sm.joint(text, heads))
        self.sides = (sm.PlayerSet.from_names(WORDS), players)
        self.players = sm.PlayerSet((*self.sides[0].players, *players.players))

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever an answer could."""
        keys = [game.key for game in self._games]
        return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Mean margins (m,) of masks (m, words + heads)."""
        return np.mean([game(masks) for game in self._games], axis=0)
