"""Evaluating a design: every distinct mask once, stored as it goes, resumed where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from tqdm.auto import tqdm

from spex_mech.core.answers import Answers
from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.games import AnyGame, AskedGame, Game, ScoredGame
from spex_mech.designs import MaskDesign
from spex_mech.designs.asked import asked_questions
from spex_mech.evaluation.evaluated import Run, rows_of
from spex_mech.evaluation.executors import Executor, as_executor
from spex_mech.evaluation.executors.executor import Batch, Chunk, questions_each
from spex_mech.evaluation.games import as_game
from spex_mech.evaluation.identity import UNKNOWN
from spex_mech.evaluation.questions import (
    ALL,
    AUTO,
    QuestionCounts,
    choose_questions,
    counts_of,
    masks_at_once,
    pilot_counts,
    question_count,
)
from spex_mech.evaluation.store.metadata import EXAMPLES, examples_file, facts_of, session_of
from spex_mech.evaluation.store.shards import Rows
from spex_mech.evaluation.store.store import RunStore
from spex_mech.evaluation.tables import AnswerTable, Table, ValueTable
from spex_mech.tasks.metrics import row_by_row

_PROBE = 8


def evaluate(
    game: AnyGame,
    design: MaskDesign,
    *,
    questions: QuestionCounts = ALL,
    store: str | Path | None = None,
    known: Run | None = None,
    executor: str | Executor = "local",
    batch: int | None = None,
    spec: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    label: str = "ablations",
) -> Run:
    """Evaluate a game on a design's masks; one keyword per choice that callers make.

    Equal masks are evaluated once, and with some questions each, equal masks that are asked the same. With a
    store, every finished chunk of batches is on disk before it counts; calling again with the same game and
    store evaluates only what is missing. The game is always given the same batches of masks, see `Executor`
    for how far values are therefore the same ones wherever they are evaluated. In dtypes other than float32,
    eight masks are first evaluated together and one by one, and the largest difference is the run's noise
    floor. A batch is atomic: where a game fails or is interrupted, all finished batches are stored first, and
    at most one batch per worker is lost.

    Args:
        game: a `ValueFunction`, or any callable from bool masks (m, n) to values (m,); its
            ``fingerprint``, if it has one, guards the store.
        design: which masks to evaluate.
        questions: ``all``; or how many questions each mask is asked, drawn evenly by the design's seed (see
            `asked_questions`): one number, one for each mask (m,), or ``auto``, see `choose_questions`.
            Many masks that are asked few questions each tell a decoder more than few masks that are asked
            all: give the whole run to `decode`.
        store: folder to keep the evaluations in; None keeps them in memory. For a game with prompts it
            gets the full model's scores as well (one mask more), so that `open_run` can do without.
        known: an earlier run of the same game, by its key and players; its masks are not evaluated again.
        executor: ``local`` is this process, ``ray`` all of a cluster; or an `Executor`, such as
            ``LocalExecutor(workers=2)`` or ``RayExecutor(gpus=4, device_map="auto")``.
        batch: masks that the game is given at once; by default that of the store, else the game's own.
            Masks that are asked some questions each are as many more as have as many questions, at most 512.
        spec: resolved settings, kept in the store for its readers.
        progress: show a progress bar; by default when the output is a terminal.
        label: what to write beside the bar.

    Raises:
        InputError: players that do not match, values of the wrong shape, an unknown executor, a store
            of another game or of another batch, one that cannot be written, a ``known`` run of another
            game, more questions than there are, some questions for a game that is asked all of them only, or
            a function that cannot be told from others where a store or ``known`` needs it.
        NonFiniteScoreError: NaN or infinite values; finished batches stay in the store.
    """
    game, executor = as_game(game), as_executor(executor)
    players = game.players
    if players is not None and players.n != design.n:
        raise InputError(
            f"the game has {players.n} players, the design {design.n}; use one player set"
        )
    if batch is not None and batch < 1:
        raise InputError(f"batch is {batch}, expected a number of masks, 1 or more")
    _check_told_apart(game, store, known, design)
    options = {"store": store, "executor": executor, "batch": batch, "progress": progress}
    counts = _counts(game, design, questions, {**options, "known": known, "spec": spec})
    table: ValueTable | AnswerTable = ValueTable(design.masks)
    if counts is not None:
        asked = asked_questions(counts, question_count(game), seed=design.seed)
        table = AnswerTable(design.masks, counts, asked)
    facts = {} if store is None else facts_of(game, batch or game.batch)
    opened = nullcontext() if store is None else RunStore(store, game.key, design.n, facts)
    with opened as kept:
        size = _size(batch, game, kept)
        if counts is not None:
            size = masks_at_once(size, question_count(game), counts)
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
        with tqdm(total=wanted, desc=label, unit="mask", leave=False, disable=hidden) as bar:
            take = partial(_take, kept=kept, table=table, bar=bar)
            for _, alike in groupby([*extra, *batches], questions_each):
                _evaluate_all(game, executor, list(alike), take)
    if isinstance(table, AnswerTable):
        return _answered(game, design, table, wanted, noise)
    values = table.values
    if not np.isfinite(values).all():
        bad = table.masks[np.flatnonzero(~np.isfinite(values))[0]].astype(int)
        raise NonFiniteScoreError(
            f"no finite value came back for mask {bad}; values must be finite"
        )
    # A metric may have changed since the scores were stored; they say what the values are.
    if table.scores is not None and isinstance(game, ScoredGame):
        values = row_by_row(game.values_from_scores, table.scores)
    scores = None if table.scores is None else table.scores[table.place]
    return Run(design, design.masks, values[table.place], scores, wanted, noise, dict(game.key))


def _counts(
    game: Game, design: MaskDesign, questions: QuestionCounts, options: dict[str, Any]
) -> Int64[np.ndarray, " m"] | None:
    """How many questions each mask is asked; None for all."""
    if isinstance(questions, str) and questions == AUTO:
        return _chosen(game, design, options)
    return counts_of(game, design, questions)


def _chosen(
    game: Game, design: MaskDesign, options: dict[str, Any]
) -> Int64[np.ndarray, " m"] | None:
    """What `choose_questions` says, after a pilot of the first masks where it needs one."""
    if not isinstance(game, AskedGame):
        return None
    pilot = pilot_counts(game, len(design))
    answers = None
    if pilot is not None:
        masks = MaskDesign(design.masks[: len(pilot)], design.seed, design.kind)
        answers = evaluate(game, masks, questions=pilot, label="pilot", **options).answers
    choice = choose_questions(game.asking_cost(), len(game.question_ids), answers)
    choice = replace(choice, pilot=0 if pilot is None else len(pilot))
    return counts_of(game, design, choice.counts(len(design)))


def _answered(
    game: Game,
    design: MaskDesign,
    table: AnswerTable,
    wanted: int,
    noise: float | None,
) -> Run:
    """The run of masks that were asked some questions each."""
    assert isinstance(game, AskedGame)
    scores = table.scores
    values = game.per_asked(scores[:, None], table.questions[:, None])[:, 0]
    answers = Answers(design.masks, table.mask, table.questions, values, len(game.question_ids))
    return Run(
        design, design.masks, answers.means(), scores, wanted, noise, dict(game.key), answers
    )


def _check_told_apart(
    game: Game, store: str | Path | None, known: Run | None, design: MaskDesign
) -> None:
    """Refuse to take another game's values for this one's."""
    if store is None and known is None:
        return
    if store is not None and (
        unknown := [field for field, text in game.key.items() if text.startswith(UNKNOWN)]
    ):
        raise InputError(
            f"the game's {unknown[0]} cannot be read off it, so its values cannot be told from another "
            "function's; give it an attribute ``fingerprint``, a text that changes whenever an answer "
            "could change (game.fingerprint = 'my game, version 1'), or leave the store out"
        )
    if known is None:
        return
    if known.design.n != design.n:
        raise InputError(
            f"known= has {known.design.n} players, the design {design.n}; give a run of the same game"
        )
    check_same_game(known.key or {}, game)


def check_same_game(before: Mapping[str, str], game: Game) -> None:
    """Refuse values that were evaluated with another key than the game's.

    Raises:
        InputError: names the first field that differs.
    """
    for field in sorted(before.keys() | game.key.keys()):
        if before.get(field) != game.key.get(field):
            raise InputError(
                f"known= was evaluated with another {field}: it has {before.get(field)!r}, this game has "
                f"{game.key.get(field)!r}; give a run of the same game"
            )


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
