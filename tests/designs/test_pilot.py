"""A pilot shows at which keep rates values move."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.designs.pilot import keep_range, pilot, piloted


def curve(masks: np.ndarray, half: float, steepness: float = 3.0) -> np.ndarray:
    removed = 1.0 - masks.mean(axis=1)
    return 2.0 + 5.0 / (1.0 + (removed / half) ** steepness)


def test_pilot_has_a_twentieth_of_the_budget_and_all_sizes():
    masks = pilot(270, 240, seed=3).masks
    shares = masks.mean(axis=1)
    assert masks.shape == (12, 270)
    assert shares[0] == 1.0
    assert shares[1] == 0.0
    np.testing.assert_allclose(shares[2:], np.linspace(0.95, 0.35, 10), atol=0.002)
    np.testing.assert_array_equal(masks, pilot(270, 240, seed=3).masks)
    assert not np.array_equal(masks, pilot(270, 240, seed=4).masks)
    assert len(pilot(32, 10_000)) == 24  # more would tell no more
    assert pilot(32, 79) is None  # three masks show nothing
    with pytest.raises(InputError, match="at least one player"):
        pilot(0, 240)


@pytest.mark.parametrize("half", [0.05, 0.1, 0.2, 0.4])
def test_range_follows_the_values(half):
    masks = pilot(270, 480, seed=0).masks
    low, high = keep_range(masks, curve(masks, half), 270)
    level_10 = 1.0 - half * 9.0 ** (1 / 3)
    assert low == pytest.approx(np.clip(level_10, 0.1, 0.85), abs=0.08)
    assert 0.95 <= high <= 1 - 1 / 270
    # Neither the unit of the values nor their sign matters.
    assert keep_range(masks, -100 * curve(masks, half) + 7, 270) == (low, high)


def test_noise_moves_the_range_little():
    masks = pilot(270, 240, seed=0).masks
    rng = np.random.default_rng(0)
    lows = [
        keep_range(masks, curve(masks, 0.1) + rng.normal(0, 0.7, len(masks)), 270)[0]
        for _ in range(40)
    ]
    assert np.ptp(np.quantile(lows, [0.1, 0.9])) < 0.25
    assert np.median(lows) == pytest.approx(1 - 0.1 * 9 ** (1 / 3), abs=0.08)


def test_values_that_tell_nothing_leave_the_usual_range():
    masks = pilot(32, 240, seed=0).masks
    assert keep_range(masks, np.full(len(masks), 3.0), 32) == keep_range(None, None, 32)


def test_rounding_of_values_does_not_change_the_range():
    masks = pilot(270, 240, seed=0).masks
    values = curve(masks, 0.13)
    assert keep_range(masks, values * (1 + 1e-12), 270) == keep_range(masks, values, 270)


def test_design_begins_with_the_pilot():
    first = pilot(32, 240, seed=0)
    design = piloted(first, (0.6, 0.95), 32, 240, seed=0)
    assert len(design) == 240
    np.testing.assert_array_equal(design.masks[:12], first.masks)
    assert 0.7 < design.masks[12:].mean() < 0.85
    np.testing.assert_allclose(design.keep_rates, 0.775)
    assert len(piloted(None, (0.6, 0.95), 32, 20, seed=0)) == 20
