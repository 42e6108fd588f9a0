"""Planted hierarchical games."""

from itertools import combinations

import numpy as np

from spex_mech.core.spectrum import Spectrum


def planted(n: int, seed: int, sets: int = 40) -> Spectrum:
    """Random sets of 1 to 5 players with all their subsets; some players are far more popular."""
    rng = np.random.default_rng(seed)
    popularity = rng.permutation(np.arange(1, n + 1) ** -0.7)
    terms: dict[tuple[int, ...], float] = {}
    for _ in range(sets):
        size = rng.integers(1, 6)
        top = sorted(rng.choice(n, size, replace=False, p=popularity / popularity.sum()).tolist())
        for k in range(1, size + 1):
            for s in combinations(top, k):
                terms[s] = terms.get(s, 0.0) + rng.normal() * 0.6**k
    return Spectrum.from_supports(list(terms), list(terms.values()), n)
