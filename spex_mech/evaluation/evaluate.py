"""Evaluating a design: every distinct mask once, stored as it goes, resumed where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from spex_mech.core.answers import Answers
from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.games import AnyGame, AskedGame, Game, ScoredGame
from spex_mech.designs import MaskDesign
from spex_mech.designs.asked import asked_questions
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.executors import Executor, as_executor
from spex_mech.evaluation.filling import fill_table
from spex_mech.evaluation.games import as_game
from spex_mech.evaluation.identity import UNKNOWN
from spex_mech.evaluation.questions import (
    ALL,
    AUTO,
    QuestionCounts,
    choose_questions,
    counts_of,
    pilot_counts,
    question_count,
)
from spex_mech.evaluation.tables import AnswerTable, ValueTable
from spex_mech.tasks.metrics import row_by_row


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
    options: dict[str, Any] = {"store": store, "executor": executor, "batch": batch}
    options["progress"] = progress
    counts = _counts(game, design, questions, {**options, "known": known, "spec": spec})
    table: ValueTable | AnswerTable = ValueTable(design.masks)
    if counts is not None:
        every = question_count(game)
        asked = asked_questions(counts, every, seed=design.seed)
        table = AnswerTable(design.masks, counts, asked, every)
    wanted, noise = fill_table(
        game, table, design, counts, **options, known=known, spec=spec, label=label
    )
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


def evaluate_asked(
    game: AnyGame,
    masks: Bool[np.ndarray, "m n"],
    questions: Int64[np.ndarray, "m q"],
    *,
    store: str | Path,
    executor: str | Executor = "local",
    progress: bool | None = None,
    label: str = "ablations",
) -> Float32[np.ndarray, "m q ..."]:
    """Scores of each mask on its own questions, evaluated into a store or read from it.

    Args:
        game: a game that can be asked some of its questions.
        masks: bool (m, n), True = present.
        questions: int64 (m, q), different positions of questions for each mask.
        store: see `evaluate`, as all that follow.
        executor: where masks are evaluated.
        progress: whether a bar is shown.
        label: what to write beside the bar.

    Raises:
        InputError: a game that is asked all of its questions only, or what `evaluate` refuses of a store.
    """
    game, executor = as_game(game), as_executor(executor)
    every = question_count(game)
    design = MaskDesign(masks, seed=0)
    _check_told_apart(game, store, None, design)
    order = np.argsort(questions, axis=1)
    ordered = np.take_along_axis(questions, order, axis=1)
    counts = np.full(len(masks), questions.shape[1])
    table = AnswerTable(masks, counts, ordered.reshape(-1), every)
    options: dict[str, Any] = {"store": store, "executor": executor, "progress": progress}
    options |= {"batch": None, "known": None, "spec": None, "label": label}
    fill_table(game, table, design, counts, **options)
    scores = table.scores.reshape(*questions.shape, *table.scores.shape[1:])
    out = np.empty_like(scores)
    out[np.arange(len(masks))[:, None], order] = scores
    return out


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
