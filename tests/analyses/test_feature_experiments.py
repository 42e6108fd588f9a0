"""The experiments of the analysis of features, on functions whose answers are known by construction."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import spex_mech as sm
from spex_mech import features
from spex_mech.core.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[2] / "analyses" / "feature_attribution"))
import experiments

TEXT = "a b c d e f"


def any_of(texts):
    """1 while at least one of a and b is there, plus a little for each other word."""
    return [(("a" in t) or ("b" in t)) - 0.5 + 0.01 * len(t.split()) for t in texts]


@pytest.fixture
def game():
    return features.text(any_of, TEXT, level="word")


def test_curves_by_hand(game):
    found = experiments.insert_delete(game, [1, 0, 5, 4, 3, 2], orders=3)
    assert found.sizes.tolist() == [0, 1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(found.deleted, [0.56, 0.55, -0.46, -0.47, -0.48, -0.49, -0.5])
    np.testing.assert_allclose(found.inserted, [-0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56])
    assert found.random_deleted[0].mean == pytest.approx(0.56)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(6) for _ in range(3)]
    one_gone = [game((np.arange(6) != o[0])[None])[0] for o in orders]
    assert found.random_deleted[1].mean == pytest.approx(np.mean(one_gone))


def test_the_order_of_a_spectrum_is_that_of_its_banzhaf_values(game):
    design = sm.designs.exhaustive(6)
    spectrum = sm.decode(design, game(design.masks))
    found = experiments.insert_delete(game, spectrum, sizes=[0, 2, 6])
    assert set(found.order[:2]) == {0, 1}
    np.testing.assert_allclose(found.deleted, [0.56, -0.46, -0.5])


def test_subtraction_sees_that_two_stand_in_for_each_other(game):
    design = sm.designs.exhaustive(6)
    spectrum = sm.decode(design, game(design.masks))
    one, two, all_of = experiments.subtract_top(game, spectrum, ks=(1, 2, 6), draws=5)
    assert one.drop == pytest.approx(0.01)
    assert two.top == (0, 1) and two.drop == pytest.approx(1.02)
    assert two.predicted == pytest.approx(two.drop)
    assert all_of.drop == pytest.approx(1.06) == pytest.approx(all_of.random.mean)
    assert two.random.mean < two.drop


def test_the_answer_changes_only_when_all_members_go(game):
    found = {o.removed: o for o in experiments.remove_members(game, [0, 1])}
    assert {s: o.changed.mean for s, o in found.items()} == {(): 0, (0,): 0, (1,): 0, (0, 1): 1}
    assert found[(0, 1)].value.mean == pytest.approx(-0.46)


def test_replacements_are_drawn_for_every_seed():
    def sees(texts):
        return [("x" in t.split()) - 0.5 for t in texts]

    removal = features.Removal("replace", replacements=[["x", "y"], ["y", "z"]])
    game = features.text(sees, "k k", level="word", removal=removal)
    found = {o.removed: o for o in experiments.remove_members(game, [0, 1], draws=200)}
    assert found[()].changed.mean == 0 and found[(1,)].changed.mean == 0
    expected = found[(0,)].changed
    assert expected.n == 200 and 0.4 < expected.mean < 0.6 and expected.low < 0.5 < expected.high
    assert found[(0,)].value.mean == pytest.approx(expected.mean - 0.5)


def test_several_games(game):
    other = features.text(any_of, "d b e a", level="word")
    found = experiments.remove_members([game, other], [(0, 1), (3, 1)])
    assert found[-1].removed == (0, 1) and found[-1].changed.mean == 1 and found[-1].changed.n == 2


def test_bad_questions(game):
    bad = [
        (lambda: experiments.insert_delete(game, [0, 1]), "the order has 2 players"),
        (
            lambda: experiments.insert_delete(game, range(6), sizes=[7]),
            "expected numbers from 0 to 6",
        ),
        (lambda: experiments.insert_delete(game, range(6), orders=1), "at least 2 random orders"),
        (lambda: experiments.remove_members(game, [0, 0]), "different players"),
        (lambda: experiments.remove_members(game, [9]), "not players from 0 to 5"),
        (lambda: experiments.remove_members(game, [0], draws=4), "the games draw nothing"),
        (lambda: experiments.remove_members([game, game], [(0, 1), (2,)]), "one set of one size"),
        (
            lambda: experiments.subtract_top(game, sm.exact_spectrum(np.zeros(64)), ks=(7,)),
            "expected 1 to 6",
        ),
    ]
    for call, message in bad:
        with pytest.raises(InputError, match=message):
            call()
