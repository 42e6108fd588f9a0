"""Crossed designs: rows, rates, and folds of whole first masks."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique


def test_every_first_mask_is_used_equally_often():
    first = sm.designs.biased(4, 12, keep_rate=0.5, seed=0)  # with repetitions
    second = sm.designs.biased(20, 60, keep_rate=0.8, seed=1)
    design = sm.designs.crossed(first, second)
    np.testing.assert_array_equal(design.masks[:, 4:], second.masks)
    rows, place = unique(design.masks[:, :4])
    assert len(rows) < 12 and (np.diff(place) >= 0).all()  # equal ones follow each other
    wanted = np.sort(first.masks.repeat(5, axis=0) @ [1, 2, 4, 8])
    np.testing.assert_array_equal(np.sort(design.masks[:, :4] @ [1, 2, 4, 8]), wanted)
    np.testing.assert_allclose(design.keep_rates, [0.5] * 4 + [0.8] * 20)
    assert design.kind == "crossed" and design.seed == 1


def test_folds_hold_out_whole_first_masks():
    first = sm.designs.biased(6, 20, keep_rate=0.5, seed=0)
    design = sm.designs.crossed(first, sm.designs.biased(3, 80, keep_rate=0.5, seed=1))
    block = design.structure.block
    for most in (1, 2, 7, 100):
        fold = design.structure.folds(most, seed=0)
        blocks = len(np.unique(block))
        assert len(np.unique(fold)) == fold.max() + 1 == min(most, blocks)
        assert all(len(np.unique(fold[block == b])) == 1 for b in range(blocks))
    assert (design.structure.folds(7, 0) != design.structure.folds(7, 1)).any()


def test_a_number_that_cannot_be_shared_is_refused():
    first = sm.designs.uniform(4, 8, seed=0)
    with pytest.raises(InputError, match=r"61 masks cannot be shared evenly among 8.* such as 64"):
        sm.designs.crossed(first, sm.designs.biased(20, 61, keep_rate=0.5))


def test_what_first_masks_alone_decide_is_not_taken_for_known():
    rng = np.random.default_rng(0)
    first = sm.designs.biased(12, 24, keep_rate=0.5, seed=0)
    design = sm.designs.crossed(first, sm.designs.biased(4, 480, keep_rate=0.5, seed=1))
    noise = rng.normal(size=24)[design.structure.block]  # nothing of it can be learnt
    values = noise + 0.3 * design.masks[:, 12]
    plain = sm.decode(sm.MaskDesign(design.masks, 0), values, seed=0).info["r2_cv"]
    honest = sm.decode(design, values, seed=0)
    assert honest.info["r2_cv"] < 0.3 < plain
