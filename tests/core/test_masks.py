"""Masks: packing, equality and order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spex_mech.core.masks import all_masks, check_masks, mask_hash, mask_keys, pack, unique, unpack


@given(st.integers(1, 200), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_packing_is_undone_by_unpacking(n, m, seed):
    masks = np.random.default_rng(seed).random((m, n)) < 0.5
    np.testing.assert_array_equal(unpack(pack(masks), n), masks)


@given(st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_unique_keeps_first_appearances_in_order(n, m, seed):
    rng = np.random.default_rng(seed)
    masks = (rng.random((m, n)) < 0.5)[rng.integers(0, m, m)]
    first, inverse = unique(masks)
    np.testing.assert_array_equal(masks[first][inverse], masks)
    assert len({row.tobytes() for row in masks}) == len(first)
    assert list(first) == sorted(first)


def test_table_order_puts_player_0_in_bit_0():
    table = all_masks(3)
    assert table.shape == (8, 3)
    for i, row in enumerate(table):
        assert sum(1 << p for p in range(3) if row[p]) == i


def test_hash_depends_on_width_and_content():
    narrow, wide = np.zeros((2, 3), dtype=bool), np.zeros((2, 4), dtype=bool)
    flipped = narrow.copy()
    flipped[1, 2] = True
    assert len({mask_hash(x) for x in (narrow, wide, flipped)}) == 3
    assert mask_hash(narrow) == mask_hash(np.zeros((2, 3), dtype=bool))


def test_check_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"dtype int64, expected bool .* masks.astype\(bool\)"):
        check_masks(np.ones((2, 3), dtype=np.int64))
    with pytest.raises(ValueError, match="3 players wide, expected 4"):
        check_masks(np.ones((2, 3), dtype=bool), 4)
    with pytest.raises(ValueError, match=r"shape \(1, 2, 3\)"):
        check_masks(np.ones((1, 2, 3), dtype=bool))
    assert check_masks(np.ones(3, dtype=bool), 3).shape == (1, 3)


def test_keys_are_equal_for_equal_masks_only():
    masks = np.random.default_rng(0).random((50, 70)) < 0.5
    masks[9] = masks[3]
    keys = mask_keys(masks)
    assert keys[9] == keys[3] and len(set(keys)) == 49
