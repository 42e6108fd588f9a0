"""No decoder's answer hangs on a tie, an early stop or the rounding of a kernel."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.decoders.decode import DECODERS
from spex_mech.decoders.gp.warp import levels_of

N = 10
TERMS = {(): 0.3, (1,): 2.0, (4,): -1.5, (7,): 0.8, (1, 4): -1.0, (2, 8): 0.7, (3, 5, 6): 0.5}
PLANTED = sm.Spectrum.from_supports(list(TERMS), list(TERMS.values()), n=N)


def test_values_that_differ_by_rounding_share_a_level():
    values = np.array([3.0, 1.0, 3.0 + 1e-13, 2.0, 1.0 - 1e-13])
    np.testing.assert_array_equal(levels_of(values), [2, 0, 2, 1, 0])
    np.testing.assert_array_equal(levels_of(np.zeros(3)), [0, 0, 0])


def design_of(method: str) -> sm.MaskDesign:
    if method == "spex":
        return sm.designs.spex(N, 400, seed=0)
    return sm.designs.exhaustive(N) if method == "exact" else sm.designs.uniform(N, 120, seed=0)


@pytest.mark.parametrize("method", [name for name in DECODERS if name != "auto"])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_values_that_differ_by_rounding_have_the_same_spectrum(method, noise):
    design = design_of(method)
    values = np.asarray(PLANTED(design.masks))
    values = values + noise * np.random.default_rng(7).normal(size=len(values))
    shaken = values * (1 + 1e-12 * np.random.default_rng(0).normal(size=len(values)))
    before, after = (sm.decode(design, v, method=method, seed=0) for v in (values, shaken))
    held = sm.designs.uniform(N, 300, seed=3).masks
    np.testing.assert_allclose(after(held), before(held), atol=1e-5)
    expected, found = dict(before.top(6)), dict(after.top(6))
    assert found.keys() == expected.keys()
    for support, value in expected.items():
        assert found[support] == pytest.approx(value, abs=1e-5)
