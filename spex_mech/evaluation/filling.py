"""Filling a table from a store, from an earlier run, and by evaluating what is left."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import nullcontext, suppress
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from tqdm.auto import tqdm

from spex_mech.core.errors import InputError
from spex_mech.core.games import Game
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.evaluated import Run, rows_of
from spex_mech.evaluation.executors import Executor
from spex_mech.evaluation.executors.executor import Batch, Chunk, questions_each
from spex_mech.evaluation.store.metadata import EXAMPLES, examples_file, facts_of, session_of
from spex_mech.evaluation.store.shards import Rows
from spex_mech.evaluation.store.store import RunStore
from spex_mech.evaluation.tables import Table

_PROBE = 8
_BAR = "{desc}: {percentage:3.0f} % |{bar}| {n_fmt} of {total_fmt} masks, {rate_noinv_fmt}, {remaining} left"


def fill_table(
    game: Game,
    table: Table,
    design: MaskDesign,
    counts: Int64[np.ndarray, " m"] | None,
    *,
    store: str | Path | None,
    known: Run | None,
    executor: Executor,
    batch: int | None,
    spec: Mapping[str, Any] | None,
    progress: bool | None,
    label: str,
) -> tuple[int, float | None]:
    """Fill a table with what is known, and evaluate the rest; one keyword per choice of `evaluate`.

    Args:
        game: what is evaluated.
        table: what is wanted of ``design``.
        design: the masks.
        counts: int64 (m,), how many questions each mask is asked; None for all.
        store: see `evaluate`, as all that follow.
        known: an earlier run.
        executor: where masks are evaluated.
        batch: masks at once.
        spec: resolved settings.
        progress: whether a bar is shown.
        label: what to write beside the bar.

    Returns:
        How many masks were evaluated, and the noise floor.
    """
    facts = {} if store is None else facts_of(game, batch or game.batch)
    opened = nullcontext() if store is None else RunStore(store, game.key, design.n, facts)
    with opened as kept:
        size = _size(batch, game, kept)
        has_full = counts is None and bool(design.masks.all(axis=1).any())
        if kept is not None:
            for rows in kept.blocks():
                table.fill(rows)
                whole = rows.questions is None and bool(rows.masks.all(axis=1).any())
                has_full = has_full or whole
        if known is not None:
            for rows in rows_of(known):
                table.fill(rows)
        batches = table.left(size)
        extra: list[Batch] = []
        if kept is not None and batches and _keep_examples(game, kept) and not has_full:
            extra = [np.ones((1, design.n), dtype=bool)]
        wanted = sum(len(masks) for masks in [*extra, *batches])
        noise = None
        if kept is not None and batches:
            noise = _noise_floor(game, executor, batches[0])
            session = session_of(design, executor.describe(), wanted, spec, counts)
            kept.begin({**session, "noise_floor": noise})
        hidden = None if progress is None else not progress
        bar_options = {"unit": " masks", "leave": False, "bar_format": _BAR, "disable": hidden}
        with tqdm(total=wanted, desc=label, **bar_options) as bar:
            take = partial(_take, kept=kept, table=table, bar=bar)
            for _, alike in groupby([*extra, *batches], questions_each):
                _evaluate_all(game, executor, list(alike), take)
    return wanted, noise


def _size(batch: int | None, game: Game, kept: RunStore | None) -> int:
    stored = None if kept is None else kept.facts.get("batch")
    if kept is not None and batch is not None and stored is not None and batch != stored:
        raise InputError(
            f"{kept.folder} was evaluated in batches of {stored} masks, batch is {batch}; leave batch "
            "out, or use another folder"
        )
    return batch or stored or game.batch


def _keep_examples(game: Game, kept: RunStore) -> bool:
    """Put a game's examples into its store, if it has any."""
    questions = game.questions()
    if questions is not None:
        kept.attach(EXAMPLES, examples_file(questions))
    return questions is not None


def _noise_floor(game: Game, executor: Executor, batch: Batch) -> float | None:
    """Largest difference of scores of the same masks, evaluated together and one by one."""
    if game.key.get("dtype", "torch.float32") == "torch.float32":
        return None
    few = batch[:_PROBE]
    both = [few, *(few[i : i + 1] for i in range(len(few)))]
    scores = {}
    for chunk in executor.map(game, both):
        rows = chunk.values if chunk.scores is None else chunk.scores
        ends = np.cumsum([len(both[i]) for i in chunk.batches])
        scores.update(zip(chunk.batches, np.split(rows, ends[:-1]), strict=True))
    alone = np.concatenate([scores[i] for i in range(1, len(both))])
    return float(np.abs(scores[0].astype(np.float64) - alone).max())


def _take(chunk: Chunk, *, kept: RunStore | None, table: Table, bar: Any) -> None:
    if kept is not None:
        kept.append(chunk.masks, chunk.values, chunk.scores, chunk.questions)
    table.fill(Rows(chunk.masks, chunk.values, chunk.scores, chunk.questions))
    bar.update(len(chunk.masks))


def _evaluate_all(
    game: Game, executor: Executor, batches: list[Batch], take: Callable[[Chunk], None]
) -> None:
    """Evaluate batches; where that is interrupted, those that are done are taken first."""
    if not batches:
        return
    chunks = iter(executor.map(game, batches))
    try:
        for chunk in chunks:
            take(chunk)
    except KeyboardInterrupt as stop:
        if isinstance(chunks, Generator):  # other workers may have finished batches meanwhile
            with suppress(KeyboardInterrupt, StopIteration):  # a second interrupt is obeyed
                take(chunks.throw(stop))
                for chunk in chunks:
                    take(chunk)
        raise
