"""A seed is refused by every function of the library that draws, before it draws or evaluates."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.core.seeds import MOST_SEED, check_seed

DESIGN = sm.designs.uniform(6, 40, seed=0)
VALUES = DESIGN.masks.sum(axis=1).astype(float)
SPECTRUM = sm.Spectrum.from_supports([(0,), (1, 2)], [1.0, 2.0], n=6)
KEPT = np.array([1, 1, 0, 0, 0, 0], dtype=bool)


class Unasked:
    """A game that nothing may evaluate."""

    players, fingerprint = sm.PlayerSet.from_names("abcdef"), "unasked"

    def __call__(self, masks):
        raise AssertionError("it was evaluated")


CALLS = {
    "design": lambda seed: sm.designs.uniform(6, 40, seed=seed),
    **{
        method: lambda seed, method=method: sm.decode(DESIGN, VALUES, method=method, seed=seed)
        for method in ("auto", "stack", "walsh_gp", "proxyspex", "lasso", "exact")
    },
    "explain": lambda seed: sm.explain(Unasked(), budget=40, seed=seed),
    "prune": lambda seed: sm.prune(Unasked(), SPECTRUM, keep=3, seed=seed),
    "prune_curve": lambda seed: sm.prune_curve(Unasked(), SPECTRUM, keeps=[3], seed=seed),
    "circuit": lambda seed: sm.circuit(Unasked(), KEPT, SPECTRUM, seed=seed),
}


@pytest.mark.parametrize("seed", [-1, MOST_SEED + 1, 1.5, "a", None, True, float("nan")])
@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_seed_is_refused_first(name, seed):
    with pytest.raises(InputError, match="expected a whole number from 0 to 4294967295"):
        CALLS[name](seed)


@pytest.mark.parametrize("seed", [0, MOST_SEED, np.int64(7), np.uint8(3)])
def test_whole_numbers_of_numpy_are_seeds(seed):
    check_seed(seed)
