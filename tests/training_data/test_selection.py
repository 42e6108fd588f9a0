from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.training_data import (
    Examples,
    SklearnTrainer,
    TrainFunction,
    TrainingGame,
    at_random,
    by_example,
    by_loss,
    class_limits,
    first_order,
    herding,
    k_centre,
    own_losses,
    select,
)


def game_of(train: Examples, test: Examples, value) -> TrainingGame:
    def function(rows: np.ndarray, seed: int) -> np.ndarray:
        out = np.zeros((1, 3))
        out[0, test.labels[0]] = value(set(rows.tolist()))
        return out

    players = by_example(train, rows=np.arange(6))
    return TrainingGame(TrainFunction(function, "f"), train, test.take([0]), players, value="logit")


def worth(kept: set[int]) -> float:
    """Twins 0 and 1 (either will do), a synergy of 2 and 3, a good 4, a useless 5."""
    twins = 2.0 * bool({0, 1} & kept)
    return twins + 3.0 * ({2, 3} <= kept) + 1.2 * (4 in kept)


def test_selection_keeps_synergies_and_drops_the_twin(train: Examples, test: Examples):
    game = game_of(train, test, worth)
    spectrum = sm.exact_spectrum(game(_all(6)))
    for keep in range(1, 6):
        found = select(game, spectrum, keep=keep)
        best = max(worth(set(c)) for c in combinations(range(6), keep))
        assert worth(set(np.flatnonzero(found.mask).tolist())) == best
    # a first-order datamodel takes both twins before it takes the single
    assert (
        np.flatnonzero(first_order(spectrum, 4)).tolist()
        != np.flatnonzero(select(game, spectrum, keep=4).mask).tolist()
    )


def test_selection_spends_retrainings_and_keeps_to_limits(train: Examples, test: Examples):
    game = game_of(train, test, worth)
    spectrum = sm.exact_spectrum(game(_all(6)))
    found = select(game, spectrum, keep=3, validate=4)
    assert found.ablations == 4
    assert found.measured == worth(set(np.flatnonzero(found.mask).tolist()))
    limits = class_limits(["p", "p", "q", "q", "r", "r"], 1)
    mask = select(game, spectrum, keep=3, limits=limits).mask
    assert mask.reshape(3, 2).sum(axis=1).tolist() == [1, 1, 1]


def _all(n: int) -> np.ndarray:
    return (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(bool)


def test_first_order_takes_the_largest_weights():
    spectrum = sm.Spectrum.from_supports([(0,), (1,), (2,), (0, 2)], [1.0, -3.0, -1.0, 5.0], 3)
    assert first_order(spectrum, 1).tolist() == [False, True, False]
    assert first_order(spectrum, 2).tolist() == [False, True, True]


def test_herding_keeps_the_mean():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    error = [np.linalg.norm(x[herding(x, k)].mean(0) - x.mean(0)) for k in (1, 5, 15)]
    lucky = [np.linalg.norm(x[at_random(60, 15, seed=s)].mean(0) - x.mean(0)) for s in range(50)]
    assert error[0] > error[1] > error[2]
    assert error[2] < np.mean(lucky) / 3
    assert herding(x, 1).argmax() == ((x - x.mean(0)) ** 2).sum(1).argmin()


def test_k_centre_covers():
    x = np.array([[0.0], [0.1], [0.2], [5.0], [9.9], [10.0]])
    assert np.flatnonzero(k_centre(x, 3)).tolist() == [0, 3, 5]
    equal = np.zeros((5, 2))
    assert k_centre(equal, 4).sum() == 4


@pytest.mark.parametrize("choose", [herding, k_centre])
def test_classes_get_their_shares(choose):
    x = np.random.default_rng(0).normal(size=(20, 2))
    labels = np.array([0] * 12 + [1] * 8)
    mask = choose(x, 7, labels=labels)
    assert [int(mask[labels == c].sum()) for c in (0, 1)] == [4, 3]
    with pytest.raises(InputError, match="one for each of 20"):
        choose(x, 7, labels=labels[:3])


def test_losses_of_the_model_of_all(train: Examples, test: Examples):
    from sklearn.linear_model import LogisticRegression

    game = TrainingGame(SklearnTrainer(LogisticRegression()), train, test)
    p = LogisticRegression().fit(train.inputs, train.labels).predict_proba(train.inputs)
    wanted = -np.log(p[np.arange(24), train.labels])
    found = own_losses(game)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert by_loss(found, 1).argmax() == wanted.argmax()
    assert by_loss(found, 1, hardest=False).argmax() == wanted.argmin()


def test_sizes_are_checked():
    for choose in (
        lambda: at_random(5, 6, seed=0),
        lambda: herding(np.eye(5), 0),
        lambda: by_loss(np.ones(5), 9),
    ):
        with pytest.raises(InputError, match="expected 1 to 5"):
            choose()
    assert at_random(9, 4, seed=0).sum() == 4
    np.testing.assert_array_equal(at_random(9, 4, seed=0), at_random(9, 4, seed=0))
