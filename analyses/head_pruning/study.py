"""What is compared: the questions of each split, the methods, and the files that hold the answers."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

import spex_mech as sm
from spex_mech.core.masks import pack, unique
from spex_mech.pruning import compare
from spex_mech.tasks.splits import resplit
from spex_mech.tasks.task import ChoiceTask

HERE = Path(__file__).parent
CONFIG = tomllib.loads((HERE / "config.toml").read_text(encoding="utf-8"))
METHODS = dict(compare.METHODS)
METRICS = ("accuracy", "margin")


@cache
def model() -> sm.Model:
    """The embedded model."""
    return sm.load_model("embedded")


@cache
def task(subject: str, seed: int) -> ChoiceTask:
    """A subject's questions as one split draws them.

    Search and validation questions are drawn anew among the card's search and validation questions,
    test questions among its test questions: none of those was ever seen by a search or by anybody who
    chose a setting.
    """
    whole = resplit(sm.load_task(f"embedded/{subject}"), seed=seed, splits=("search", "validation"))
    wanted = {name: CONFIG[name] for name in ("search", "validation", "test")}
    kept = [x for name, count in wanted.items() for x in _drawn(whole, name, seed)[:count]]
    return replace(whole, examples=tuple(kept))


def game(subject: str, seed: int, split: str) -> sm.TaskGame:
    """The heads of the embedded model on the questions of one split."""
    return sm.TaskGame(
        model(),
        task(subject, seed),
        sm.select_players(model()),
        split=split,
        metric=CONFIG["metric"],
    )


def _drawn(whole: ChoiceTask, split: str, seed: int) -> list:
    def order(x):
        return hashlib.sha256(f"{split} {seed} {x.id}".encode()).hexdigest()

    return sorted(whole.select(split), key=order)


@dataclass(frozen=True)
class Rows:
    """Choices in a file of JSON lines, one line for a method on a split of a subject."""

    path: Path

    def __iter__(self):
        if self.path.exists():
            yield from map(json.loads, self.path.read_text(encoding="utf-8").splitlines())

    def add(self, row: dict) -> None:
        """Append a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def drop(self, method: str) -> None:
        """Forget a method's lines."""
        if not self.path.exists():
            return
        kept = [row for row in self if row["method"] != method]
        self.path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")


@dataclass(frozen=True)
class Scores:
    """Margins of kept sets on the test questions of a subject and split, a file for each.

    A question is right where its margin is positive, so accuracy is kept as well.
    """

    folder: Path

    def margins(self, subject: str, seed: int, masks: np.ndarray) -> np.ndarray:
        """Margins (m, questions) of masks; those that are missing are scored and kept."""
        path = self.folder / f"{subject}-{seed}.npz"
        keys, rows = np.empty(0, np.uint64), np.empty((0, CONFIG["test"]), np.float16)
        if path.exists():
            with np.load(path) as file:
                keys, rows = file["masks"], file["margins"]
        wanted = pack(masks)[:, 0]
        new = masks[~np.isin(wanted, keys)]
        new = new[unique(new)[0]]
        if len(new):
            asked = game(subject, seed, "test")
            found = asked.per_example(asked.scores(new), metric="margin")
            keys = np.concatenate([keys, pack(new)[:, 0]])
            rows = np.concatenate([rows, found.astype(np.float16)])
            part = path.with_suffix(".part.npz")
            np.savez_compressed(part, masks=keys, margins=rows)
            part.replace(path)
        place = {key: i for i, key in enumerate(keys.tolist())}
        return rows[[place[key] for key in wanted.tolist()]].astype(np.float64)

    def questions(self, subject: str, seed: int) -> list[str]:
        """Ids of the test questions, in the order of the columns."""
        return [x.id for x in task(subject, seed).select("test")]


def chosen_sizes(folder: Path) -> list[dict]:
    """The sizes that were chosen on validation questions, a line for each subject and split."""
    return list(Rows(folder / "sizes.jsonl"))


def mask_of(kept: list[int]) -> np.ndarray:
    """The mask of kept heads, numbered from 0."""
    mask = np.zeros(32, dtype=bool)
    mask[kept] = True
    return mask
