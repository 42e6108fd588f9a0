"""Some questions for each mask: drawn evenly, asked once, stored, resumed, and the same everywhere."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spex_mech as sm
from spex_mech.core.answers import Answers
from spex_mech.designs.asked import asked_questions
from spex_mech.evaluation.asked import ask_design
from spex_mech.evaluation.evaluated import rows_of
from spex_mech.evaluation.questions import choose_questions, variance_ratio
from spex_mech.evaluation.store.reading import read_blocks, read_header
from spex_mech.evaluation.wrappers import Metered, Recorded, Remembered, asking
from tests.shared.quiz import Quiz

LONGER = sm.designs.uniform(20, 80, seed=4)
DESIGN = sm.designs.MaskDesign(LONGER.masks[:50], 4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=60), st.integers(0, 99))
def test_questions_are_dealt_evenly_and_never_twice_to_a_mask(counts, seed):
    dealt = asked_questions(counts, 7, seed=seed)
    ends = np.cumsum(counts)
    for mask in np.split(dealt, ends[:-1]):
        assert (np.diff(mask) > 0).all()
    for end in ends:
        often = np.bincount(dealt[:end], minlength=7)
        # Within the last mask the order is lost, so that the balance holds at its end.
        assert np.ptp(often) <= 1
    half = len(counts) // 2
    np.testing.assert_array_equal(
        asked_questions(counts[: half + 1], 7, seed=seed), dealt[: ends[half]]
    )


def test_pairs_of_questions_meet_equally_often():
    dealt = asked_questions(np.full(3000, 2), 6, seed=0).reshape(-1, 2)
    met = Counter(map(tuple, dealt.tolist()))
    assert len(met) == 15
    # 200 each if drawn independently, with a standard deviation of 14
    assert max(met.values()) < 265 and min(met.values()) > 135


@pytest.mark.parametrize("questions", [1, 3, 12, [1, 2] * 25])
def test_answers_are_those_of_the_whole_game(questions):
    game = Quiz(20)
    run = sm.evaluate(game, DESIGN, questions=questions)
    every = Quiz(20).scores(DESIGN.masks).astype(float)
    if questions == 12:
        assert run.answers is None
        np.testing.assert_array_equal(run.values, sm.evaluate(Quiz(20), DESIGN).values)
        return
    answers = run.answers
    assert len(answers) == run.rows == np.broadcast_to(questions, 50).sum()
    np.testing.assert_array_equal(answers.values, every[answers.mask, answers.question])
    np.testing.assert_array_equal(answers.counts, np.broadcast_to(questions, 50))
    np.testing.assert_array_equal(run.scores, answers.values.astype(np.float32))
    assert sorted(game.asked) == sorted(
        (DESIGN.masks[m].tobytes(), int(q))
        for m, q in zip(answers.mask, answers.question, strict=True)
    )


def test_values_are_free_of_the_levels_of_the_questions_asked():
    game = Quiz(own=0.0)
    game.level = np.linspace(-50, 50, 12)
    run = sm.evaluate(game, sm.designs.uniform(10, 600, seed=1), questions=2)
    truth = game(run.masks)
    assert np.corrcoef(run.values, truth)[0, 1] > 0.97
    assert abs(run.values.mean() - truth.mean()) < 0.1


def test_a_pair_is_asked_once_however_often_the_design_holds_it():
    masks = np.repeat(sm.designs.exhaustive(3).masks, 40, axis=0)
    game = Quiz(3, 5)
    run = sm.evaluate(game, sm.designs.MaskDesign(masks, seed=0), questions=2)
    assert len(run.answers) == 640 and len(game.asked) < 80  # 40 pairs, with their partners
    every = Quiz(3, 5).scores(masks).astype(float)
    np.testing.assert_array_equal(run.answers.values, every[run.answers.mask, run.answers.question])


def test_a_stopped_run_asks_only_what_is_missing(tmp_path):
    class Stops(Quiz):
        def asked_scores(self, masks, questions):
            if len(self.asked) >= 60:
                raise KeyboardInterrupt
            return super().asked_scores(masks, questions)

    stopped, going = Stops(20), Quiz(20)
    with pytest.raises(KeyboardInterrupt):
        sm.evaluate(stopped, DESIGN, questions=3, store=tmp_path, batch=4)
    run = sm.evaluate(going, DESIGN, questions=3, store=tmp_path)
    assert not set(stopped.asked) & set(going.asked)
    assert len(stopped.asked) + len(going.asked) == 150
    whole = sm.evaluate(Quiz(20), DESIGN, questions=3)
    np.testing.assert_array_equal(run.answers.values, whole.answers.values)
    np.testing.assert_array_equal(run.values, whole.values)
    assert sm.evaluate(Quiz(20), DESIGN, questions=3, store=tmp_path).evaluated == 0


def test_whole_masks_and_earlier_runs_answer_too(tmp_path):
    first = Quiz(20)
    sm.evaluate(first, DESIGN, store=tmp_path)
    assert sm.evaluate(Quiz(20), DESIGN, questions=2, store=tmp_path).evaluated == 0
    known = sm.evaluate(Quiz(20), DESIGN, questions=2)
    assert sm.evaluate(Quiz(20), DESIGN, questions=2, known=known).evaluated == 0
    more = sm.evaluate(Quiz(20), LONGER, questions=2, known=known)
    assert more.evaluated == 30
    assert sum(len(rows) for rows in rows_of(known)) == 50


def test_a_store_keeps_few_questions_beside_whole_masks(tmp_path):
    run = sm.evaluate(Quiz(20), DESIGN, questions=3, store=tmp_path)
    shards = [rows for _, rows in read_blocks(tmp_path, 20)]
    asked = [rows for rows in shards if rows.questions is not None]
    assert sum(map(len, asked)) == 50 and {rows.questions.shape[1] for rows in asked} == {3}
    for rows in asked:
        np.testing.assert_allclose(rows.values, rows.scores.mean(axis=1, dtype=float), rtol=1e-6)
    assert run.evaluated == 50
    whole = sm.evaluate(Quiz(20), DESIGN, store=tmp_path)  # few answers do not count for a mask
    np.testing.assert_array_equal(whole.values, sm.evaluate(Quiz(20), DESIGN).values)
    assert whole.evaluated == 50


def test_a_store_of_before_takes_few_questions_and_says_so(tmp_path):
    sm.evaluate(Quiz(20), DESIGN, store=tmp_path)
    header = json.loads((tmp_path / "key.json").read_text())
    from spex_mech.evaluation.store.reading import signed

    (tmp_path / "key.json").write_bytes(
        signed({k: v for k, v in header.items() if k != "sha256"} | {"format": 2})
    )
    assert read_header(tmp_path)["format"] == 2
    sm.evaluate(Quiz(20), sm.designs.uniform(20, 20, seed=9), questions=1, store=tmp_path)
    assert read_header(tmp_path)["format"] == 3
    np.testing.assert_array_equal(
        sm.evaluate(Quiz(20), DESIGN, store=tmp_path).values, sm.evaluate(Quiz(20), DESIGN).values
    )


def test_auto_asks_one_question_where_a_mask_costs_nothing():
    run = sm.evaluate(Quiz(20), DESIGN, questions="auto")
    # every fifth has a second answer, from which the noise of answers is measured
    np.testing.assert_array_equal(run.answers.counts, [2, 1, 1, 1, 1] * 10)


@pytest.mark.parametrize("mask_cost, own, least, most", [(50.0, 3.0, 8, 12), (50.0, 0.02, 1, 2)])
def test_auto_weighs_the_cost_of_masks_against_what_questions_differ(mask_cost, own, least, most):
    design = sm.designs.uniform(10, 400, seed=1)
    run = sm.evaluate(Quiz(mask_cost=mask_cost, own=own), design, questions="auto")
    counts = np.full(400, 12) if run.answers is None else run.answers.counts
    assert (counts[:20] == 4).all() or run.answers is None
    assert least <= counts[-1] <= most
    again = sm.evaluate(Quiz(mask_cost=mask_cost, own=own), design, questions="auto")
    np.testing.assert_array_equal(again.values, run.values)


def test_the_ratio_of_variances_is_found():
    rng = np.random.default_rng(3)
    masks, asked = np.ones((4000, 2), bool), asked_questions(np.full(4000, 3), 40, seed=0)
    values = rng.normal(0, 2.0, 4000)[:, None] + rng.normal(0, 3.0, (4000, 3))
    values = values + rng.normal(0, 9.0, 40)[asked.reshape(-1, 3)]
    answers = Answers.of_asked(masks, asked.reshape(-1, 3), values, 40)
    assert 1.9 < variance_ratio(answers) < 2.6  # 9 / 4
    assert choose_questions((80.0, 1.0), 40, answers).each in (13, 14)
    assert choose_questions((0.0, 1.0), 40, answers).each == 1


@pytest.mark.parametrize("masks", [8, 17])
def test_a_pilot_that_asked_most_questions_once_does_not_set_the_ratio(masks):
    rng = np.random.default_rng(masks)
    asked = asked_questions(np.full(masks, 4), 60, seed=0).reshape(-1, 4)
    values = rng.normal(0, 1.0, (masks, 1)) + rng.normal(0, 1.0, (masks, 4))
    pilot = Answers.of_asked(np.ones((masks, 2), bool), asked, values, 60)
    assert choose_questions((113.0, 21.0), 60, pilot) == choose_questions((113.0, 21.0), 60, None)
    assert choose_questions((113.0, 21.0), 60, None).each == 2


@pytest.mark.parametrize(
    "questions, message",
    [
        (0, "expected 1 to 12"),
        (13, "expected 1 to 12"),
        (1.5, "a whole number"),
        ("most", "expected 'all', 'auto'"),
        ([1, 2], "each of the 50 masks"),
    ],
)
def test_bad_numbers_of_questions_are_refused(questions, message):
    game = Quiz(20)
    with pytest.raises(sm.InputError, match=message):
        sm.evaluate(game, DESIGN, questions=questions)
    assert not game.asked


def test_a_game_without_questions_is_asked_all_and_says_so():
    with pytest.raises(sm.InputError, match="asked all of its questions"):
        sm.evaluate(lambda masks: masks.sum(axis=1), DESIGN, questions=2)
    assert sm.evaluate(lambda masks: masks.sum(axis=1), DESIGN, questions="auto").answers is None


def test_workers_and_chunks_do_not_matter():
    alone = sm.evaluate(Quiz(20), DESIGN, questions=2, batch=8)
    many = sm.evaluate(Quiz(20), DESIGN, questions=2, batch=8, executor=sm.LocalExecutor(workers=2))
    np.testing.assert_array_equal(alone.answers.values, many.answers.values)


def test_parts_of_answers():
    run = sm.evaluate(Quiz(20), DESIGN, questions=3)
    answers = run.answers
    some = answers.of_masks(np.array([7, 3]))
    np.testing.assert_array_equal(some.masks, DESIGN.masks[[7, 3]])
    np.testing.assert_array_equal(
        some.question[some.mask == 0], answers.question[answers.mask == 7]
    )
    two = answers.of_questions(np.array([5, 2]))
    assert two.questions == 2 and (two.counts >= 1).all()
    back = np.array([5, 2])[two.question]
    every = Quiz(20).scores(two.masks).astype(float)
    np.testing.assert_array_equal(two.values, every[two.mask, back])
    with pytest.raises(sm.InputError, match="twice under one mask"):
        Answers(DESIGN.masks[:1], np.array([0, 0]), np.array([1, 1]), np.zeros(2), 3)
    with pytest.raises(sm.InputError, match="a mask has no answer"):
        Answers(DESIGN.masks[:2], np.array([0]), np.array([1]), np.zeros(1), 3)


def test_masks_of_several_numbers_of_questions_are_evaluated_together(tmp_path):
    counts = np.array([1, 3, 2, 12, 1] * 10)
    for options in ({}, {"store": tmp_path}, {"executor": sm.LocalExecutor(workers=2)}):
        run = sm.evaluate(Quiz(20), DESIGN, questions=counts, batch=2, **options)
        every = Quiz(20).scores(DESIGN.masks).astype(float)
        np.testing.assert_array_equal(run.answers.counts, counts)
        np.testing.assert_array_equal(
            run.answers.values, every[run.answers.mask, run.answers.question]
        )


def pairs(rng: np.random.Generator, masks: np.ndarray, each: int) -> np.ndarray:
    return rng.permuted(np.tile(np.arange(12), (len(masks), 1)), axis=1)[:, :each]


def test_wrappers_ask_each_pair_once_count_rows_and_store_them(tmp_path):
    rng, game, plain = np.random.default_rng(0), Quiz(20), Quiz(20)
    masks = DESIGN.masks[:6]
    recorded = Recorded(game, tmp_path / "run", progress=False)
    meter = Metered(Remembered(recorded), 4)
    questions = pairs(rng, masks, 5)
    scores = meter.asked_scores(masks, questions)
    np.testing.assert_array_equal(scores, plain.asked_scores(masks, questions))
    np.testing.assert_array_equal(
        meter.per_asked(scores, questions), plain.per_asked(scores, questions)
    )
    assert (meter.rows, meter.spent, meter.left, meter.rows_left) == (30, 3, 1, 18)
    others = np.array([np.setdiff1d(range(12), asked)[:2] for asked in questions])
    more = np.concatenate([questions[:, 3::-1], others], axis=1)
    again = meter.asked_scores(masks, more)
    np.testing.assert_array_equal(again, plain.asked_scores(masks, more))
    assert meter.rows == 42 and len(game.asked) == len(set(game.asked)) == 42
    with pytest.raises(sm.InputError, match="7 rows were asked for when 42 of the budget of 48"):
        meter.asked_scores(DESIGN.masks[6:7], np.arange(7)[None])
    with pytest.raises(sm.InputError, match="24 rows were asked for when 42"):
        meter(DESIGN.masks[6:8])
    # Another game on the same folder is asked nothing.
    second = Quiz(20)
    stored = Recorded(second, tmp_path / "run", progress=False)
    np.testing.assert_array_equal(stored.asked_scores(masks, questions), scores)
    run = sm.evaluate(game, DESIGN, store=tmp_path / "run", progress=False)
    np.testing.assert_array_equal(run.values, plain(DESIGN.masks))
    assert not second.asked


def test_a_mask_that_was_asked_all_costs_no_more_by_question():
    game = Quiz(20)
    meter = Metered(Remembered(game), 3)
    masks = DESIGN.masks[:2]
    meter(masks)
    meter.asked_scores(masks, pairs(np.random.default_rng(1), masks, 4))
    assert meter.rows == 24 and meter.spent == 2
    run = sm.evaluate(game, sm.designs.MaskDesign(DESIGN.masks[1:4], 0), questions=3)
    meter.count_run(run)
    assert meter.rows == 24 + 6
    assert asking(lambda masks: masks.sum(axis=1)) is None
    with pytest.raises(sm.InputError, match="asked all of its questions only"):
        Remembered(lambda masks: masks.sum(axis=1)).asked_scores(masks, np.zeros((2, 1), int))


@pytest.mark.parametrize("counts", [1, 3, [1, 2] * 25])
def test_a_design_is_asked_what_evaluate_asks(counts):
    counts = np.broadcast_to(counts, 50)
    run = ask_design(Quiz(20), DESIGN, counts)
    same = sm.evaluate(Quiz(20), DESIGN, questions=counts)
    np.testing.assert_array_equal(run.answers.question, same.answers.question)
    np.testing.assert_array_equal(run.answers.values, same.answers.values)
    np.testing.assert_array_equal(run.scores, same.scores)
    np.testing.assert_array_equal(run.values, same.values)


def test_of_a_mask_of_which_some_answers_are_known_only_the_others_are_asked(tmp_path):
    rng, masks = np.random.default_rng(0), DESIGN.masks[:9]
    first, second = (rng.permuted(np.tile(np.arange(12), (9, 1)), axis=1) for _ in range(2))
    game, plain = Quiz(20), Quiz(20)
    recorded = Recorded(game, tmp_path, progress=False)
    recorded.asked_scores(masks, first[:, :4])
    scores = recorded.asked_scores(masks, second[:, :6])
    np.testing.assert_array_equal(scores, plain.asked_scores(masks, second[:, :6]))
    assert len(game.asked) == len(set(game.asked)) < 9 * 10


def test_batches_are_those_of_a_run_that_was_never_stopped_whatever_is_missing(tmp_path):
    """Masks of which some answers are known keep to their batch, so that values never depend on a stop."""

    class Logged(Quiz):
        def asked_scores(self, masks, questions):
            self.batches.append((masks.tobytes(), questions.tobytes()))
            if len(self.batches) == self.last:
                raise KeyboardInterrupt
            return super().asked_scores(masks, questions)

    def logged(last=0):
        game = Logged(20)
        game.batches, game.last = [], last
        return game

    def partly(folder):
        sm.evaluate(Quiz(20), DESIGN, questions=2, store=folder, batch=1)
        return folder

    other = sm.designs.MaskDesign(DESIGN.masks, 11)  # the same masks with other questions
    whole, stopped, going = logged(), logged(last=6), logged()
    sm.evaluate(whole, other, questions=4, store=partly(tmp_path / "whole"), batch=1)
    with pytest.raises(KeyboardInterrupt):
        sm.evaluate(stopped, other, questions=4, store=partly(tmp_path / "part"), batch=1)
    sm.evaluate(going, other, questions=4, store=tmp_path / "part", batch=1)
    assert stopped.batches[:5] + going.batches == whole.batches
    assert len(whole.asked) < 200
