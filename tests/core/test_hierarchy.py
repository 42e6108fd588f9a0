"""Direct subsets of the largest terms, counted by hand and against random sets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.core.hierarchy import hierarchy, hierarchy_of
from spex_mech.core.spectrum import Spectrum


def test_shares_by_hand():
    sets = [(0,), (1,), (0, 1), (0, 2), (0, 1, 2), (2, 3, 4)]
    spectrum = Spectrum.from_supports([(), *sets], [9.0, 6, -5, 4, 3, -2, 1], 5)
    found = hierarchy(spectrum, 6)
    assert found is not None and (found.terms, found.interactions) == (6, 4)
    # Pairs: both and one of two singles; the triples: two of three pairs, and none.
    assert found.direct == pytest.approx((1 + 1 / 2 + 2 / 3 + 0) / 4)
    assert found.staircase == pytest.approx(3 / 4)
    assert found.chance == pytest.approx((2 / 5 + 2 / 5 + 2 / 10 + 2 / 10) / 4)
    fewer = hierarchy(spectrum, 3)
    assert fewer is not None and (fewer.interactions, fewer.direct) == (1, 1.0)
    assert hierarchy(spectrum, 2) is None


def test_chance_is_the_mean_over_random_sets():
    n, rng = 7, np.random.default_rng(0)
    every = {k: list(combinations(range(n), k)) for k in (1, 2, 3)}
    direct, chance = [], 0.0
    for _ in range(1500):
        sets = [
            frozenset(every[k][i])
            for k, count in ((1, 3), (2, 9), (3, 5))
            for i in rng.choice(len(every[k]), count, replace=False)
        ]
        found = hierarchy_of(sets, n)
        assert found is not None
        direct.append(found.direct)
        chance = found.chance
    error = float(np.std(direct)) / np.sqrt(len(direct))
    assert np.mean(direct) == pytest.approx(chance, abs=4 * error)


def test_a_number_of_terms_is_needed():
    with pytest.raises(InputError, match="terms is 0"):
        hierarchy(Spectrum.from_supports([(0,)], [1.0], 2), 0)
