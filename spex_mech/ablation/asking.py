"""Asking masks some questions each: which rows of the prompts to score, and the scores as asked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32, Int64

from spex_mech.ablation.engines import Engine
from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.masks import unique
from spex_mech.core.players import PlayerSet
from spex_mech.tasks.prompts import NO_OPTION, Prompts


def check_questions(
    questions: npt.ArrayLike, masks: int, prompts: Prompts
) -> Int64[np.ndarray, "m q"]:
    """Return ``questions`` as int64 (m, q), or say why they are not different questions for each mask.

    Raises:
        InputError: not integers, not (masks, q) with q of at least 1, a position that no question has, or
            the same question twice under one mask.
    """
    array = np.asarray(questions)
    known = len(prompts.ids)
    if array.dtype.kind not in "iu":
        raise InputError(
            f"questions have dtype {array.dtype}, expected int64: their positions among question_ids"
        )
    if array.ndim != 2 or len(array) != masks or not array.shape[1]:
        raise InputError(
            f"questions have shape {array.shape}, expected ({masks}, q): q of at least 1 for each of the "
            f"{masks} masks"
        )
    outside = (array < 0) | (array >= known)
    if outside.any():
        raise InputError(
            f"question {array[outside][0]} does not exist; expected positions from 0 to {known - 1}"
        )
    ordered = np.sort(array, axis=1)
    again = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if again.any():
        raise InputError(
            f"mask {int(again.argmax())} is asked a question twice; ask it different questions"
        )
    return array.astype(np.int64)


def asked_scores(
    engine: Engine,
    prompts: Prompts,
    masks: Bool[np.ndarray, "m n"],
    questions: Int64[np.ndarray, "m q"],
) -> Float32[np.ndarray, "m q ..."]:
    """Scores of each mask on its questions; what is asked twice is evaluated once."""
    shape = prompts.shape[1:]
    if not len(masks):
        return np.empty((0, questions.shape[1], *shape), dtype=np.float32)
    first, inverse = unique(masks)
    known = len(prompts.ids)
    keys = (inverse[:, None] * known + questions).reshape(-1)
    different, place = np.unique(keys, return_inverse=True)
    mask, question = np.divmod(different, known)
    rows = prompts.rows_of(question)
    run = rows >= 0
    pairs = np.column_stack([np.broadcast_to(mask[:, None], rows.shape)[run], rows[run]])
    found = engine.pair_scores(masks[first], pairs)
    if prompts.options is None:
        scores = found
    else:
        scores = np.full((len(different), *shape), NO_OPTION)
        scores[run] = found
    return scores[place.reshape(-1)].reshape(*questions.shape, *shape)


def check_finite(
    scores: Float32[np.ndarray, "m q ..."],
    masks: Bool[np.ndarray, "m n"],
    questions: Int64[np.ndarray, "m q"],
    players: PlayerSet,
    prompts: Prompts,
) -> None:
    """Refuse scores that are NaN or infinite.

    Raises:
        NonFiniteScoreError: naming the first mask and example with such a score.
    """
    bad = ~np.isfinite(scores).all(axis=tuple(range(2, scores.ndim)))
    if not bad.any():
        return
    row, column = np.argwhere(bad)[0]
    gone = [name for name, kept in zip(players.names, masks[row], strict=True) if not kept]
    raise NonFiniteScoreError(
        f"mask {row} (without {' '.join(gone) or 'nothing'}) scores {scores[row, column]} on example "
        f"{prompts.ids[questions[row, column]]!r}; load the model in float32 or bfloat16, or leave the "
        "example out"
    )
