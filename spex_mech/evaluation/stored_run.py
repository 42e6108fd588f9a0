"""`open_run`: a stored evaluation without its model, for another metric, decoder, index or pruning size."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64, Int64

from spex_mech.core.errors import DamagedStoreWarning, InputError
from spex_mech.core.players import Player, PlayerSet
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.batches import MaskIndex
from spex_mech.evaluation.example_choice import ExampleChoice, positions_of
from spex_mech.evaluation.store.examples import prompts_of, read_examples, texts_of
from spex_mech.evaluation.store.reading import (
    damage_text,
    read_blocks,
    read_header,
    read_shard,
)
from spex_mech.evaluation.store.shards import Rows
from spex_mech.tasks.metrics import Metric, metric_for, row_by_row
from spex_mech.tasks.prompts import Prompts


@dataclass(frozen=True, eq=False)
class StoredRun:
    """What a store holds, as a game: it answers for its masks, in any metric, without the model.

    Attributes:
        folder: the store.
        key: what decided the answers, field by field.
        facts: names of model, task and metric, and how masks were evaluated.
        players: the ordered players.
        masks: bool (m, n), the stored masks that were asked all questions, each once; `stored_answers` has
            the others.
        damaged: shards that are damaged or missing; their masks are not among ``masks``.
        metric: name of the metric; None for the values as they were stored, which are in the metric that
            was evaluated (`metric_name`).
        examples: positions of the examples that count, (e,); None for all.
    """

    folder: Path
    key: dict[str, str]
    facts: dict[str, Any]
    players: PlayerSet
    masks: Bool[np.ndarray, "m n"] = field(repr=False)
    damaged: tuple[str, ...]
    metric: str | None
    examples: Int64[np.ndarray, " e"] | None = field(repr=False)
    _shards: tuple[str, ...] = field(repr=False)
    _rows: Int64[np.ndarray, " m"] = field(repr=False)  # of the masks among the rows of the shards
    asked_shards: tuple[str, ...] = field(
        default=(), repr=False
    )  # of masks asked some questions each

    def with_metric(
        self, metric: str | None = None, *, examples: ExampleChoice | None = None
    ) -> StoredRun:
        """The same run in another metric, or on a subset of its examples.

        Args:
            metric: any that `metric_for` knows for these examples; None for the one that it has.
            examples: ids, positions, or a bool for each example; None for those that it has.

        Raises:
            InputError: a store without scores or examples, an unknown metric or example.
        """
        chosen = self.examples if examples is None else positions_of(examples, self.prompts.ids)
        name = metric or self.metric
        if name is None:
            name = self.facts["game"].get("metric")
        if name is None:
            raise InputError(f"{self.folder} does not say which metric it is in; give one")
        metric_for(name, self.prompts)
        return replace(self, metric=name, examples=chosen)

    def __repr__(self) -> str:
        damaged = f", {len(self.damaged)} damaged shards" if self.damaged else ""
        chosen = "" if self.examples is None else f", {len(self.examples)} examples"
        return (
            f"StoredRun({str(self.folder)!r}, {len(self.masks)} masks of {self.players.n} players, "
            f"metric {self.metric_name}{chosen}{damaged})"
        )

    @property
    def design(self) -> MaskDesign:
        """The stored masks as a design of their own; for a coded one, see ``__call__``."""
        return MaskDesign(self.masks, seed=0, kind="stored")

    @cached_property
    def values(self) -> Float64[np.ndarray, " m"]:
        """Values of ``masks``: means of the metric over the examples."""
        parts = []
        for rows in self._blocks():
            if self.metric is None:
                parts.append(rows.values)
            else:
                mean = lambda scores: self._measure(scores).mean(axis=1)  # noqa: E731
                parts.append(row_by_row(mean, self._scores_of(rows)))
        values = np.concatenate(parts)[self._rows]
        values.setflags(write=False)
        return values

    def scores(self) -> Float32[np.ndarray, "m e ..."]:
        """Scores of ``masks`` on the examples.

        Raises:
            InputError: a store without scores.
        """
        parts = [self._chosen(self._scores_of(rows)) for rows in self._blocks()]
        return np.concatenate(parts)[self._rows]

    def per_example(self, masks: Bool[np.ndarray, "k n"]) -> Float64[np.ndarray, "k e"]:
        """The metric of stored masks on each example.

        Raises:
            InputError: a mask that is not stored, a store without scores.
        """
        rows = self._rows[self._find(masks)]
        out: np.ndarray | None = None
        start = 0
        for block in self._blocks():
            inside = np.flatnonzero((rows >= start) & (rows < start + len(block)))
            if len(inside):
                part = self._measure(self._scores_of(block)[rows[inside] - start])
                out = np.empty((len(rows), part.shape[1])) if out is None else out
                out[inside] = part
            start += len(block)
        return np.empty((0, 0)) if out is None else out

    @property
    def question_ids(self) -> tuple[str, ...]:
        """The ids of the examples that count."""
        return self._chosen_prompts.ids

    @property
    def metric_name(self) -> str | None:
        """The metric of the values: the one that was asked for, else the one that was evaluated."""
        return self.metric or self.facts["game"].get("metric")

    def per_question(
        self, masks: Bool[np.ndarray, "k n"], *, metric: str | None = None
    ) -> Float64[np.ndarray, "k e"]:
        """The run's metric, or another, of stored masks on each example.

        Raises:
            InputError: a mask that is not stored, a store without scores, an unknown metric.
        """
        return self.with_metric(metric).per_example(masks)

    def __call__(self, masks: Bool[np.ndarray, "k n"]) -> Float64[np.ndarray, " k"]:
        """Values of stored masks (k, n), so that `evaluate`, `prune` and the rest take this as a game.

        Raises:
            InputError: a mask that is not stored.
        """
        return self.values[self._find(masks)]

    @property
    def fingerprint(self) -> str:
        """What tells its answers from others."""
        return f"{sorted(self.key.items())} {self.metric} {self.examples} of {self.folder}"

    @cached_property
    def prompts(self) -> Prompts:
        """The examples' ids, right answers and options; their tokens are not stored.

        Raises:
            InputError: a store of a game without examples, or one whose examples are damaged.
        """
        return prompts_of(self._table)

    @property
    def texts(self) -> list[tuple[str | None, list[str] | None]]:
        """Prompt and options of each example, where the task had texts."""
        return texts_of(self._table)

    @cached_property
    def _table(self) -> pa.Table:
        return read_examples(self.folder)

    @cached_property
    def full_scores(self) -> Float32[np.ndarray, "1 e k"]:
        """Scores of the full model."""
        for rows in self._blocks():
            full = np.flatnonzero(rows.masks.all(axis=1))
            if len(full) and rows.scores is not None:
                return rows.scores[full[:1]]
        raise InputError(
            f"{self.folder} does not hold the full model's scores, which {self.metric_name} needs; evaluate "
            "once more with the model"
        )

    def all_blocks(self) -> Iterator[Rows]:
        """The rows of the shards that were intact when the run was opened, whatever questions were asked."""
        yield from self._read((*self._shards, *self.asked_shards))

    def _blocks(self) -> Iterator[Rows]:
        """The rows of masks that were asked all questions."""
        yield from self._read(self._shards)

    def _read(self, shards: tuple[str, ...]) -> Iterator[Rows]:
        for name in shards:
            rows = read_shard(self.folder, name, self.players.n)
            if rows is None:
                raise InputError(
                    f"shard {name} of {self.folder} was damaged or removed after the run was opened; "
                    "open it again"
                )
            yield rows

    def _scores_of(self, rows: Rows) -> Float32[np.ndarray, "m e ..."]:
        if rows.scores is None:
            raise InputError(
                f"{self.folder} holds values without scores, so there is no other metric; evaluate a "
                "game that keeps scores"
            )
        return rows.scores

    def _find(self, masks: np.ndarray) -> np.ndarray:
        place = self._index.find(masks)
        if (place < 0).any():
            mask = masks[np.flatnonzero(place < 0)[0]].astype(int)
            raise InputError(
                f"{int((place < 0).sum())} of {len(masks)} masks are not stored in {self.folder}, the "
                f"first is {mask}; they need the model: evaluate them with the game and this store"
            )
        return place

    @cached_property
    def _index(self) -> MaskIndex:
        return MaskIndex(self.masks)

    @cached_property
    def _chosen_prompts(self) -> Prompts:
        """The prompts of the examples that count."""
        prompts, chosen = self.prompts, self.examples
        if chosen is None:
            return prompts
        return replace(
            prompts,
            ids=tuple(prompts.ids[i] for i in chosen),
            answers=None if prompts.answers is None else prompts.answers[chosen],
            right=prompts.right[chosen],
            options=None if prompts.options is None else prompts.options[chosen],
            lengths=None if prompts.lengths is None else prompts.lengths[chosen],
        )

    @cached_property
    def _metric(self) -> Metric:
        name = self.metric_name
        if name is None:
            raise InputError(
                f"{self.folder} does not say which metric it is in; give one: open_run(folder, metric=...)"
            )
        return metric_for(name, self._chosen_prompts)

    def _chosen(self, scores: np.ndarray) -> np.ndarray:
        return scores if self.examples is None else scores[:, self.examples]

    def _measure(self, scores: np.ndarray) -> Float64[np.ndarray, "k e"]:
        full = self._chosen(self.full_scores) if self._metric.needs_full else None
        return self._metric(self._chosen(scores), self._chosen_prompts.right, full)


def open_run(folder: str | Path, *, metric: str | None = None) -> StoredRun:
    """Open a store for reading, without its model; it may be being written.

    Needs no torch. Nothing is changed: damaged shards are named in ``damaged`` and left out, and a warning
    says how many masks that costs and what mends it.

    Args:
        folder: what `evaluate` was given as ``store``.
        metric: the metric of its values; None for the values as they were stored.

    Raises:
        MissingFileError: no store is there.
        InputError: a header that is damaged, no intact shard, an unknown metric.
    """
    header = read_header(folder)
    n, facts = int(header["n"]), dict(header["facts"])
    masks, intact, asked, damaged = [], [], [], []
    stored = 0
    for name, rows in read_blocks(folder, n):
        if rows is None:
            damaged.append(name)
            continue
        stored += len(rows)
        if rows.questions is not None:
            asked.append(name)
        else:
            masks.append(rows.masks)
            intact.append(name)
    if damaged:
        warnings.warn(damage_text(folder, damaged, stored), DamagedStoreWarning, stacklevel=2)
    if not stored:
        raise InputError(f"{folder} holds no intact masks yet; nothing can be read off it")
    every = np.concatenate([np.empty((0, n), dtype=bool), *masks])
    place = MaskIndex(every).find(every)
    first = np.flatnonzero(place == np.arange(len(every)))
    named = facts.get("players")
    players = (
        PlayerSet.from_names(str(i) for i in range(n))
        if named is None
        else PlayerSet(tuple(Player(*player) for player in named))
    )
    run = StoredRun(
        Path(folder),
        dict(header["key"]),
        {**facts, "game": facts.get("game", {})},
        players,
        every[first],
        tuple(damaged),
        None,
        None,
        tuple(intact),
        first,
        tuple(asked),
    )
    return run if metric is None else run.with_metric(metric)
