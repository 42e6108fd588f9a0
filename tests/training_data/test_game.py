from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import spex_mech as sm
from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.masks import all_masks
from spex_mech.evaluation.executors import LocalExecutor
from spex_mech.training_data import (
    Examples,
    Recipe,
    SklearnTrainer,
    TorchTrainer,
    TrainFunction,
    TrainingGame,
    by_class,
    by_example,
    multilayer,
)


def votes(train: Examples, test: Examples, seen: list | None = None):
    """A model whose logits count the present examples of each class, plus the seed at class 0."""

    def function(rows: np.ndarray, seed: int) -> np.ndarray:
        if seen is not None:
            seen.append((tuple(rows.tolist()), seed))
        counts = np.bincount(train.labels[rows], minlength=3).astype(float)
        counts[0] += seed
        return np.tile(counts, (len(test), 1))

    return TrainFunction(function, "votes")


def masks(n: int, m: int = 7) -> np.ndarray:
    return np.random.default_rng(3).random((m, n)) < 0.5


def test_values_are_those_of_a_retrained_model(train: Examples, test: Examples):
    game = TrainingGame(SklearnTrainer(LogisticRegression()), train, test, value="accuracy")
    x = masks(24)
    wanted = [
        LogisticRegression()
        .fit(train.inputs[row], train.labels[row])
        .score(test.inputs, test.labels)
        for row in x
    ]
    np.testing.assert_allclose(game(x), wanted)


def test_measures_by_hand(train: Examples, test: Examples):
    game = TrainingGame(votes(train, test), train, test)
    x = masks(24, 4)
    counts = np.array([np.bincount(train.labels[row], minlength=3) for row in x], dtype=float)
    scores = game.scores(x)
    np.testing.assert_array_equal(scores, np.repeat(counts[:, None], 5, axis=1))
    for i, y in enumerate(test.labels):
        others = np.delete(counts, y, axis=1)
        right = counts[:, y]
        loss = np.log(np.exp(counts).sum(axis=1)) - right
        for value, wanted in {
            "margin": right - others.max(axis=1),
            "logit": right,
            "loss": -loss,
            "accuracy": (right > others.max(axis=1)).astype(float),
        }.items():
            np.testing.assert_allclose(game.per_point(scores, value=value)[:, i], wanted)


def test_seeds_stand_side_by_side_and_are_averaged(train: Examples, test: Examples):
    seen: list = []
    game = TrainingGame(votes(train, test, seen), train, test, seeds=[5, 9], value="logit")
    x = masks(24, 2)
    scores = game.scores(x)
    assert scores.shape == (2, 10, 3)
    assert [s for _, s in seen] == [5, 5, 9, 9] or [s for _, s in seen] == [5, 9, 5, 9]
    single = TrainingGame(votes(train, test), train, test, value="logit")
    zero = single.scores(x)
    np.testing.assert_array_equal(scores[:, 0::2, 0], zero[..., 0] + 5)
    np.testing.assert_array_equal(scores[:, 1::2, 0], zero[..., 0] + 9)
    added = 7.0 * (test.labels == 0)
    np.testing.assert_allclose(game.per_point(scores), single.per_point(zero) + added)
    np.testing.assert_allclose(game(x), single(x) + added.mean())


def test_equal_masks_are_trained_once(train: Examples, test: Examples):
    seen: list = []
    game = TrainingGame(votes(train, test, seen), train, test)
    x = masks(24, 2)[[0, 1, 0, 0]]
    assert game.scores(x).shape == (4, 5, 3)
    assert len(seen) == 2


def test_an_empty_subset_and_one_without_a_class_have_values(train: Examples, test: Examples):
    coalitions = by_class(train)
    for trainer in (
        SklearnTrainer(LogisticRegression()),
        TorchTrainer(lambda: multilayer((4,), 3), Recipe(epochs=2, batch=8)),
    ):
        game = TrainingGame(trainer, train, test, coalitions)
        values = game(all_masks(3))
        assert np.isfinite(values).all()
        assert values[-1] == values.max()
        spectrum = sm.exact_spectrum(values)
        np.testing.assert_allclose(spectrum(all_masks(3)), values, atol=1e-9)


def test_store_resume_and_another_measure(train: Examples, test: Examples, tmp_path: Path):
    seen: list = []
    game = TrainingGame(votes(train, test, seen), train, test, seeds=2)
    design = sm.designs.uniform(24, 20, seed=0)
    half = sm.MaskDesign(design.masks[:9], seed=0)
    sm.evaluate(game, half, store=tmp_path / "s")
    before = len(seen)
    run = sm.evaluate(game, design, store=tmp_path / "s")
    assert len(seen) - before == 2 * 11
    np.testing.assert_array_equal(run.values, game(design.masks))
    stored = sm.open_run(tmp_path / "s").with_metric("accuracy")
    scores = stored.scores()
    np.testing.assert_array_equal(
        stored.values, game.per_point(scores, value="accuracy").mean(axis=1)
    )
    assert stored.prompts.ids[:3] == ("test 0, seed 0", "test 0, seed 1", "test 1, seed 0")
    other = TrainingGame(votes(train, test), train, test, seeds=3)
    with pytest.raises(InputError, match="another seeds"):
        sm.evaluate(other, design, store=tmp_path / "s")


def test_other_data_is_another_game(train: Examples, test: Examples):
    base = TrainingGame(votes(train, test), train, test)
    flipped = Examples(train.inputs, (train.labels + 1) % 3, train.classes)
    others = [
        TrainingGame(votes(train, test), flipped, test),
        TrainingGame(votes(train, test), train, test.take([0, 1])),
        TrainingGame(votes(train, test), train, test, by_example(train, [0, 1])),
        TrainingGame(votes(train, test), train, test, value="loss"),
    ]
    assert len({base.fingerprint, *(g.fingerprint for g in others)}) == 5
    assert TrainingGame(votes(train, test), train, test).fingerprint == base.fingerprint


def test_worker_processes_give_the_same(train: Examples, test: Examples):
    game = TrainingGame(SklearnTrainer(LogisticRegression()), train, test)
    design = sm.designs.uniform(24, 12, seed=0)
    here = sm.evaluate(game, design, batch=4)
    there = sm.evaluate(game, design, batch=4, executor=LocalExecutor(workers=1))
    np.testing.assert_array_equal(here.scores, there.scores)


def test_a_diverging_training_is_named(train: Examples, test: Examples):
    def function(rows: np.ndarray, seed: int) -> np.ndarray:
        bad = 3 in rows and 4 not in rows and seed == 1
        return np.full((len(test), 3), np.nan if bad else float(len(rows)))

    game = TrainingGame(TrainFunction(function, "f"), train, test, seeds=2)
    x = np.ones((4, 24), dtype=bool)
    x[1, 4] = x[2, 5] = x[3, 6] = False
    with pytest.raises(NonFiniteScoreError, match=r"mask 1 with seed 1 diverged \(without #4 b\)"):
        game.scores(x)
    assert game.scores(x[[0, 2, 3]])[:, 0, 0].tolist() == [24.0, 23.0, 23.0]


def test_an_interruption_loses_one_training(train: Examples, test: Examples, tmp_path):
    rows_seen: list = []

    def function(rows: np.ndarray, seed: int) -> np.ndarray:
        rows_seen.append(rows.tolist())
        if len(rows_seen) == 3:
            raise KeyboardInterrupt
        return np.zeros((len(test), 3))

    game = TrainingGame(TrainFunction(function, "f"), train, test)
    design = sm.designs.uniform(24, 5, seed=0)
    with pytest.raises(KeyboardInterrupt):
        sm.evaluate(game, design, store=tmp_path)
    assert len(sm.open_run(tmp_path).masks) == 2
    sm.evaluate(game, design, store=tmp_path)
    again = [rows for rows in rows_seen if rows_seen.count(rows) > 1]
    assert len(rows_seen) == 3 + (1 + 5 - 2) and len(again) == 2  # the third, twice


def test_a_learning_rate_that_diverges_says_what_to_do(train: Examples, test: Examples):
    wild = TorchTrainer(lambda: multilayer((4,), 3), Recipe(epochs=20, batch=4, rate=1e12))
    game = TrainingGame(wild, train, test)
    with pytest.raises(NonFiniteScoreError, match="lower the learning rate, set clip"):
        game(masks(24, 2))


def test_bad_games_are_refused(train: Examples, test: Examples):
    trainer = votes(train, test)
    with pytest.raises(InputError, match="value is 'f1'"):
        TrainingGame(trainer, train, test, value="f1")
    with pytest.raises(InputError, match="none twice"):
        TrainingGame(trainer, train, test, seeds=[1, 1])
    with pytest.raises(InputError, match="at least one"):
        TrainingGame(trainer, train, test, seeds=0)
    with pytest.raises(InputError, match="coalitions are of 5 examples"):
        TrainingGame(trainer, train, test, by_example(test))
    with pytest.raises(InputError, match="classes differ"):
        TrainingGame(trainer, train, Examples(test.inputs, test.labels, ("a", "b", "x")))
    game = TrainingGame(trainer, train, test)
    with pytest.raises(InputError, match="5 players wide"):
        game(np.ones((1, 5), dtype=bool))
    with pytest.raises(InputError, match="dtype float64"):
        game(np.ones((1, 24)))


def test_trainings_of_a_run(train: Examples, test: Examples):
    game = TrainingGame(votes(train, test), train, test, seeds=3)
    run = sm.evaluate(game, sm.designs.uniform(24, 15, seed=0))
    trainings = game.trainings(run, value="logit")
    np.testing.assert_allclose(trainings.margins, game.per_point(run.scores, value="logit"))
    assert trainings.point_classes == ("a", "b", "c", "a", "b")
    assert trainings.player_classes[:4] == ("a", "b", "c", "a")
    # the seed adds the same to every mask: no noise
    np.testing.assert_allclose(trainings.noise.variance, 0.0, atol=1e-12)
    bare = sm.evaluate(lambda x: x[:, 0] * 1.0, run.design)
    with pytest.raises(InputError, match="evaluate this game"):
        game.trainings(bare)
