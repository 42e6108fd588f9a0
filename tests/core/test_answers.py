"""R² of the mean over all questions from held-out masks that were asked a few of them."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.answers import Answers
from spex_mech.core.errors import InputError
from spex_mech.core.faithfulness import answers_r2
from spex_mech.designs.asked import asked_questions

E = 30


def held_out(seed, *, masks=150, each=2, error=0.6, own=1.5):
    """Predictions with a known error, answers, levels, and the R² that full answers would have."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(0, 1.0, masks)
    level = rng.normal(0, 4.0, E)
    full = mean[:, None] + level + rng.normal(0, own, (masks, E))
    truth = full.mean(axis=1)
    predicted = truth + rng.normal(0, error, masks)
    asked = asked_questions(np.full(masks, each), E, seed=seed).reshape(masks, each)
    answers = Answers.of_asked(
        rng.random((masks, 5)) < 0.5, asked, np.take_along_axis(full, asked, axis=1), E
    )
    r2 = 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    return predicted, answers, full.mean(axis=0), r2


@pytest.mark.parametrize("each", [2, 5])
def test_r2_is_that_of_full_answers_and_its_interval_holds(each):
    off, inside = [], 0
    for seed in range(60):
        predicted, answers, level, truth = held_out(seed, each=each)
        found = answers_r2(predicted, answers, level, seed=0, draws=400)
        off.append(found.mean - truth)
        population = 1 - 0.6**2 / (1.0 + 1.5**2 / E)
        inside += found.low <= population <= found.high
    assert abs(np.mean(off)) < 3 * np.std(off) / np.sqrt(60)  # no bias beyond its error
    assert inside >= 52  # 95 % of 60 are 57; 52 or fewer has a chance of .3 %


def test_uncorrected_errors_would_say_far_less():
    predicted, answers, level, truth = held_out(1)
    means = answers.means(level)
    plain = 1 - ((means - predicted) ** 2).mean() / means.var()
    assert plain < truth - 0.2
    assert abs(answers_r2(predicted, answers, level, seed=0).mean - truth) < 0.15


def test_all_questions_give_plain_r2():
    rng = np.random.default_rng(0)
    full = rng.normal(size=(40, E))
    every = np.tile(np.arange(E), (40, 1))
    answers = Answers.of_asked(rng.random((40, 5)) < 0.5, every, full, E)
    truth, predicted = full.mean(axis=1), rng.normal(size=40)
    expected = 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    assert answers_r2(predicted, answers, full.mean(axis=0), seed=0).mean == pytest.approx(expected)


def test_single_answers_and_mere_noise_are_refused():
    predicted, answers, level, _ = held_out(0, each=1)
    with pytest.raises(InputError, match="ask each of them 2 questions"):
        answers_r2(predicted, answers, level, seed=0)
    rng = np.random.default_rng(0)
    flat = Answers.of_asked(
        rng.random((9, 5)) < 0.5, np.tile([0, 1], (9, 1)), np.tile([1.0, -1.0], (9, 1)), E
    )
    with pytest.raises(InputError, match="no more than the noise"):
        answers_r2(np.zeros(9), flat, np.zeros(E), seed=0)
