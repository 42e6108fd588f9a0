from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.training_data import attribute, load_trainings


def trainings(m: int = 400):
    """Point 0: an AND and a single; point 1: an OR that helps; point 2: an OR that hurts."""
    x = np.random.default_rng(0).random((m, 8)) < 0.5
    margins = np.stack(
        [
            4.0 * (x[:, 0] & x[:, 1]) - 1.0 * x[:, 5],
            3.0 * (x[:, 2] | x[:, 3]) + 0.5 * x[:, 0],
            -2.0 * (x[:, 2] | x[:, 3]),
        ],
        axis=1,
    )
    return load_trainings(
        x,
        margins,
        player_classes=["cat"] * 4 + ["dog"] * 4,
        point_classes=["cat", "cat", "dog"],
    )


@pytest.fixture(scope="module")
def found():
    return attribute(trainings(), method="lasso", order=2)


def test_an_and_is_a_synergy_and_an_or_a_redundancy(found):
    assert found.synergies(0, 1)[0].players == (0, 1)
    assert found.synergies(0, 1)[0].value == pytest.approx(4.0, abs=0.1)
    assert found.redundancies(1, 1)[0].players == (2, 3)
    assert found.redundancies(1, 1)[0].value == pytest.approx(-3.0, abs=0.1)
    # the average effect of a part of an AND or OR of size h is h / 2
    np.testing.assert_allclose(found.synergies(0, 1)[0].effects, [2.0, 2.0], atol=0.1)


def test_twins_are_found_where_they_help_and_where_they_hurt(found):
    best = found.redundant(3)
    assert best[0].players == (2, 3)
    assert best[0].value == pytest.approx(3.0 + 2.0, abs=0.2)
    alone = attribute(trainings(), points=[2], method="lasso").redundant(1)
    assert alone[0].players == (2, 3)
    assert alone[0].value == pytest.approx(2.0, abs=0.1)


def test_examples_of_other_classes_at_the_boundary(found):
    (player, effect), *_ = found.of_other_classes(0)
    assert player == 5
    assert effect == pytest.approx(-1.0, abs=0.05)
    assert {i for i, _ in found.of_other_classes(2, k=2)} == {2, 3}
    assert found.strongest(1, 1)[0][0] in (2, 3)
    bare = attribute(load_trainings(trainings().masks, trainings().margins), method="lasso")
    with pytest.raises(InputError, match="no class names"):
        bare.of_other_classes(0)


def test_one_decode_a_point_is_that_of_decode(found):
    data = trainings()
    for point in range(3):
        alone = sm.decode(data.design, data.values(point), method="lasso", seed=0, order=2)
        np.testing.assert_array_equal(found(data.masks)[:, point], alone(data.masks))


def test_points_may_be_chosen():
    some = attribute(trainings(), points=[2, 0], method="lasso")
    assert some.points == (2, 0)
    assert some.point_classes == ("dog", "cat")
    assert some.synergies(0, 1)[0].players == (0, 1)
    with pytest.raises(InputError, match="test point 1 was not decoded"):
        some.joint(1)
    with pytest.raises(InputError, match="test point 3 of 3"):
        attribute(trainings(), points=[3])


def test_text_says_who_acts_together(found):
    lines = found.text(0, k=1).splitlines()
    assert lines[0] == "test point 0 (cat)"
    assert lines[1].startswith("  synergy +4.0") or lines[1].startswith("  synergy +3.9")
    assert "#0 × #1" in lines[1]
    assert lines[-1].endswith("#5")
