import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.designs.codes import source_code
from spex_mech.designs.gf2 import gf2_rank
from spex_mech.designs.spex import spex


@pytest.mark.parametrize(("n", "budget", "degree"), [(6, 50, 2), (12, 900, 3), (70, 4000, 5)])
def test_masks_are_the_affine_subsamplings_of_the_paper(n, budget, degree):
    design = spex(n, budget, degree, seed=3)
    s = design.structure
    for c in range(s.groups):
        for d, delay in enumerate(s.delays):
            for index in range(0, 1 << s.b, 3):
                bits = np.array([index >> k & 1 for k in range(s.b)])
                mask = (s.matrices[c] @ bits + delay + s.offsets[c]) % 2
                np.testing.assert_array_equal(design.masks[s.rows[c, d, index]], mask.astype(bool))


def test_delays_are_zero_and_then_the_parity_checks():
    code = spex(100, 3936).structure.code
    delays = spex(100, 3936).structure.delays
    assert delays.shape == (41, 100)
    assert not delays[0].any()
    words = (delays[1:].T.astype(object) * [1 << k for k in range(40)]).sum(axis=1)
    assert words.tolist() == code.columns[:, 0].tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 130), st.integers(1, 4000), st.integers(1, 6), st.integers(0, 5))
def test_the_design_is_the_largest_within_the_budget(n, budget, degree, seed):
    try:
        design = spex(n, budget, degree, seed)
    except InputError:
        smallest = 3 * 2 * (1 + source_code(n, degree).parity)
        assert budget < min(smallest, 2**n)
        return
    s = design.structure
    delays = 1 + s.code.parity
    assert len(design) <= budget
    assert len(unique(design.masks)[0]) == len(design)
    assert set(s.rows.ravel().tolist()) == set(range(len(design)))
    if budget >= 2**n:  # at most 11 players
        assert len(design) == 2**n
    else:
        assert s.groups >= 3
        assert s.groups * 2**s.b * delays <= budget
        assert 3 * 2 ** (s.b + 1) * delays > budget
        assert (s.groups + 1) * 2**s.b * delays > budget


@pytest.mark.parametrize(("n", "b_bits"), [(100, 5), (20, 6), (9, 7)])
def test_hash_words_have_full_rank_and_spread_the_players(n, b_bits):
    design = spex(n, 3 * 2**b_bits * (1 + source_code(n, 5).parity))
    s = design.structure
    for words, matrix in zip(s.hashes, s.matrices, strict=True):
        assert gf2_rank(matrix) == s.b
        assert words.min() > 0
        counts = np.bincount(words.astype(int), minlength=2**s.b)[1:]
        assert counts.max() - counts.min() <= 1


def test_small_budgets_are_refused_with_the_smallest_that_works():
    with pytest.raises(InputError, match=r"C \* 2\^b \* \(1 \+ P\).*P = 40.*at least 246"):
        spex(100, 245)
    assert len(spex(100, 246)) == 246
    with pytest.raises(InputError, match=r"at least 36 \(or all 2\^5 = 32 masks\)"):
        spex(5, 31)
    assert len(spex(5, 32)) == 32


def test_a_budget_beyond_all_masks_stays_in_bounds():
    design = spex(15, 1 << 15)
    assert design.structure.b == 9
    assert len(design) < design.structure.rows.size <= 1 << 15


def test_a_smaller_degree_buys_more_bins():
    few, many = spex(200, 5000, max_degree=2).structure, spex(200, 5000, max_degree=5).structure
    assert few.code.parity == 16
    assert (few.b, many.b) == (6, 5)


def test_the_seed_decides_everything():
    a, b, c = spex(40, 2000, seed=1), spex(40, 2000, seed=1), spex(40, 2000, seed=2)
    np.testing.assert_array_equal(a.masks, b.masks)
    assert (a.masks[:100] != c.masks[:100]).any()
    assert a.kind == "spex"
    np.testing.assert_array_equal(a.keep_rates, np.full(40, 0.5))


def test_every_player_is_present_in_half_of_each_subsampling():
    design = spex(300, 10_000)
    for rows in design.structure.rows:
        present = design.masks[rows].mean(axis=1)
        np.testing.assert_array_equal(present, np.full(present.shape, 0.5))


def test_a_degree_below_one_is_refused():
    with pytest.raises(InputError, match="max_degree is 0, expected at least 1"):
        spex(10, 500, max_degree=0)
