"""Leverage-score masks: sizes, pairs, and the probabilities that the design states."""

from math import comb

import numpy as np
import pytest

from spex_mech import designs
from spex_mech.core.masks import unique


@pytest.mark.parametrize(
    ("n", "budget"), [(1, 2), (2, 3), (4, 9), (6, 64), (14, 200), (15, 1001), (300, 500)]
)
def test_masks_are_distinct_and_paired(n, budget):
    design = designs.leverage(n, budget, seed=1)
    assert len(design) == budget and len(unique(design.masks)[0]) == budget
    assert not design.masks[0].any() and design.masks[1].all()
    whole = design.masks[: budget - budget % 2]
    np.testing.assert_array_equal(whole[1::2], ~whole[0::2])
    again = designs.leverage(n, budget, seed=1)
    np.testing.assert_array_equal(design.masks, again.masks)


def test_small_sizes_are_whole_and_the_others_alike():
    design = designs.leverage(15, 1000, seed=2)
    sizes = np.bincount(design.masks.sum(axis=1), minlength=16)
    assert sizes[[0, 1, 2, 13, 14, 15]].tolist() == [1, 15, 105, 105, 15, 1]
    assert np.ptp(sizes[3:13]) <= 2


def test_one_or_two_players_are_whole_where_half_of_what_is_left_suffices():
    for budget, whole in ((62, True), (60, False)):  # 30 and 29 pairs of 15 players
        sizes = np.bincount(designs.leverage(15, budget, seed=0).masks.sum(axis=1), minlength=16)
        assert (sizes[1] == sizes[14] == 15) == whole
    sizes = np.bincount(designs.leverage(15, 2000, seed=0).masks.sum(axis=1), minlength=16)
    assert sizes[2] == 105 and sizes[3] == pytest.approx((999 - 15 - 105) / 5, abs=1)


DRAWS = {
    "leverage": designs.leverage,
    "uniform": designs.uniform,
    "paired": designs.paired,
    "stratified": designs.stratified,
    "one rate": lambda n, budget, *, seed: designs.biased(n, budget, keep_rate=0.7, seed=seed),
    "range": lambda n, budget, *, seed: designs.biased(n, budget, keep_rate=(0.2, 1.0), seed=seed),
}


@pytest.mark.parametrize("budget", [20, 21])
def test_stated_probabilities_sum_to_the_budget(budget):
    stated = designs.leverage(6, budget, seed=0).inclusion
    assert sum(stated[k] * comb(6, k) for k in range(7)) == pytest.approx(budget)


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize(("n", "budget"), [(6, 20), (5, 16)])
def test_every_mask_is_drawn_as_often_as_the_design_says(kind, n, budget):
    seeds, draw = 300, DRAWS[kind]
    counts = np.zeros(1 << n)
    for seed in range(seeds):
        masks = draw(n, budget, seed=seed).masks
        counts[np.unique(masks @ (1 << np.arange(n)))] += 1
    sizes = np.bitwise_count(np.arange(1 << n))
    expected = draw(n, budget, seed=0).inclusion[sizes]
    spread = np.sqrt(np.maximum(expected * (1 - expected), 1e-12) / seeds)
    assert np.abs(counts / seeds - expected).max() < 5 * spread.max()


def test_designs_of_unlike_players_state_no_probabilities():
    design = designs.biased(3, 20, keep_rate=[0.2, 0.5, 0.9], seed=0)
    assert design.inclusion is None
    with pytest.raises(ValueError, match=r"inclusion has shape \(2,\), expected \(4,\)"):
        designs.MaskDesign(design.masks, 0, inclusion=np.ones(2))


@pytest.mark.parametrize("budget", [1, 17])
def test_budgets_that_no_design_has_are_refused(budget):
    with pytest.raises(ValueError, match=r"expected 2 \(the empty and the full mask\) to 2\^4"):
        designs.leverage(4, budget, seed=0)
