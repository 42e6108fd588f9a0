"""Evaluating: equal masks once, resuming, and values that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm


class Counting:
    """A game without a model: a weighted sum, counting what it is asked."""

    def __init__(self, n: int, fail_after: int | None = None) -> None:
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(n))
        self.fingerprint = "counting"
        self.seen: list[bytes] = []
        self.fail_after = fail_after

    def __call__(self, masks):
        if self.fail_after is not None and len(self.seen) >= self.fail_after:
            raise KeyboardInterrupt
        self.seen += [row.tobytes() for row in masks]
        return masks @ np.arange(1.0, masks.shape[1] + 1)


DESIGN = sm.designs.MaskDesign(
    masks=np.repeat(sm.designs.uniform(10, 40, seed=0).masks, 2, axis=0), seed=0
)


def test_equal_masks_are_evaluated_once():
    game = Counting(10)
    run = sm.evaluate(game, DESIGN)
    np.testing.assert_allclose(run.values, DESIGN.masks @ np.arange(1.0, 11))
    assert len(game.seen) == len(set(game.seen)) == run.evaluated == 40
    assert run.scores is None


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path):
    first, second = Counting(10, fail_after=16), Counting(10)
    with pytest.raises(KeyboardInterrupt):
        sm.evaluate(first, DESIGN, store=tmp_path / "s")
    run = sm.evaluate(second, DESIGN, store=tmp_path / "s")
    assert first.seen and second.seen and not set(first.seen) & set(second.seen)
    assert len(first.seen) + len(second.seen) == 40
    np.testing.assert_allclose(run.values, DESIGN.masks @ np.arange(1.0, 11))
    again = sm.evaluate(Counting(10, fail_after=0), DESIGN, store=tmp_path / "s")
    np.testing.assert_array_equal(again.values, run.values)
    assert again.evaluated == 0


def test_a_store_of_another_game_is_refused(tmp_path):
    sm.evaluate(Counting(10), DESIGN, store=tmp_path / "s")
    other = Counting(10)
    other.fingerprint = "else"
    with pytest.raises(
        ValueError, match="another fingerprint: it has 'counting', this run has 'else'"
    ):
        sm.evaluate(other, DESIGN, store=tmp_path / "s")


def test_any_callable_is_a_game():
    run = sm.evaluate(lambda masks: masks.sum(axis=1), DESIGN)
    np.testing.assert_array_equal(run.values, DESIGN.masks.sum(axis=1))
    assert run.values.dtype == np.float64


def test_scores_are_kept_and_another_metric_needs_no_model(tiny_llama, tmp_path):
    rng = np.random.default_rng(0)
    task = sm.TokenTask(rng.integers(1, 61, (3, 7)), answers=rng.integers(1, 61, (3, 2)))
    players = sm.select_players(tiny_llama, "heads:0")
    margin = sm.TaskGame(tiny_llama, task, players, metric="margin")
    design = sm.designs.exhaustive(4)
    run = sm.evaluate(margin, design, store=tmp_path / "s")
    assert run.scores is not None and run.scores.shape == (16, 3, 2)
    np.testing.assert_allclose(
        run.values, (run.scores[..., 0] - run.scores[..., 1]).mean(1), rtol=1e-6
    )
    accuracy = sm.TaskGame(tiny_llama, task, players, metric="accuracy")
    other = sm.evaluate(accuracy, design, store=tmp_path / "s")
    assert other.evaluated == 0
    np.testing.assert_array_equal(other.values, (run.scores[..., 0] > run.scores[..., 1]).mean(1))


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (lambda masks: np.full(len(masks), np.nan), "answered nan for mask"),
        (lambda masks: np.full(len(masks), -np.inf), "answered -inf for mask"),
        (lambda masks: np.zeros((len(masks), 2)), r"shape \(8, 2\) for 8 masks"),
    ],
)
def test_unusable_values_are_named(game, message):
    with pytest.raises(ValueError, match=message):
        sm.evaluate(game, DESIGN)


def test_players_and_executor_must_fit():
    with pytest.raises(ValueError, match="the game has 9 players, the design 10"):
        sm.evaluate(Counting(9), DESIGN)
    with pytest.raises(ValueError, match="unknown executor 'cloud'; expected 'local'"):
        sm.evaluate(Counting(10), DESIGN, executor="cloud")
