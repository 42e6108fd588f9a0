"""Answers to single questions out of a store, in any metric, without the model."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

from spex_mech.core.answers import Answers
from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.designs import MaskDesign
from spex_mech.designs.asked import asked_questions
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.stored_run import StoredRun
from spex_mech.evaluation.tables import AnswerTable
from spex_mech.tasks.metrics import metric_for


def stored_answers(stored: StoredRun, design: MaskDesign, counts: Int64[np.ndarray, " m"]) -> Run:
    """What `evaluate` gave for a design with some questions for each mask, read from its store.

    Args:
        stored: the store, in any metric and on any of its examples. Masks that were asked none of these are
            left out.
        design: the design.
        counts: int64 (m,), how many questions each mask was asked.

    Raises:
        InputError: answers that are not stored (see `missing_answers`), a store that does not say its metric,
            or no mask that was asked any of the examples.
    """
    every, table = len(stored.prompts.ids), _table(stored, design, counts)
    scores = table.scores
    values = _measured(stored, scores, table.questions)
    answers: Answers = Answers(design.masks, table.mask, table.questions, values, every)
    if stored.examples is not None:
        answers, scores = answers.of_questions(stored.examples), None
        design = MaskDesign(answers.masks, design.seed, design.kind, design.keep_rates)
    return Run(design, design.masks, answers.means(), scores, 0, None, stored.key, answers)


def every_answer(stored: StoredRun) -> Run:
    """All answers of a store in its metric, those under masks that were asked all questions among them.

    Raises:
        InputError: as for `stored_answers`.
    """
    every = len(stored.prompts.ids)
    masks, questions, scores = [], [], []
    for rows in stored.all_blocks():
        if rows.scores is None:
            continue
        count = rows.scores.shape[1]
        asked = rows.questions
        if asked is None:
            asked = np.broadcast_to(np.arange(count), (len(rows), count))
        masks.append(np.repeat(rows.masks, count, axis=0))
        questions.append(asked.reshape(-1))
        scores.append(rows.scores.reshape(len(rows) * count, *rows.scores.shape[2:]))
    every_mask, question = np.concatenate(masks), np.concatenate(questions)
    first, mask = unique(every_mask)
    _, pair = np.unique(mask * every + question, return_index=True)  # each once, mask after mask
    values = _measured(stored, np.concatenate(scores)[pair], question[pair])
    answers = Answers(every_mask[first], mask[pair], question[pair], values, every)
    if stored.examples is not None:
        answers = answers.of_questions(stored.examples)
    design = MaskDesign(answers.masks, seed=0, kind="stored")
    return Run(design, design.masks, answers.means(), None, 0, None, stored.key, answers)


def missing_answers(stored: StoredRun, design: MaskDesign, counts: Int64[np.ndarray, " m"]) -> int:
    """How many masks of a design are not stored with all of their questions; see `stored_answers`."""
    return sum(len(batch) for batch in _table(stored, design, counts).left(len(design)))


def _table(stored: StoredRun, design: MaskDesign, counts: Int64[np.ndarray, " m"]) -> AnswerTable:
    every = len(stored.prompts.ids)
    questions = asked_questions(counts, every, seed=design.seed)
    table = AnswerTable(design.masks, counts, questions, every)
    for rows in stored.all_blocks():
        table.fill(rows)
    return table


def _measured(
    stored: StoredRun, scores: Float32[np.ndarray, "r ..."], questions: Int64[np.ndarray, " r"]
) -> Float64[np.ndarray, " r"]:
    """The store's metric of single answers."""
    name = stored.metric_name
    if name is None:
        raise InputError(
            f"{stored.folder} does not say which metric it is in; give one: open_run(folder, metric=...)"
        )
    prompts = stored.prompts.at(questions)
    measure: Any = metric_for(name, prompts)
    full = stored.full_scores[:, questions] if measure.needs_full else None
    return measure(scores[None], prompts.right, full)[0]
