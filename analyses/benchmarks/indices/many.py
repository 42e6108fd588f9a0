"""CPU seconds for indices of a Gaussian process with many players: see the README beside this file.

python analyses/benchmarks/indices/many.py
"""

from __future__ import annotations

import argparse
import os
import time

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.interactions import interactions
from spex_mech.core.packed import pack_supports
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.gp.kernel import WalshKernel
from spex_mech.decoders.gp.likelihood import Prior
from spex_mech.decoders.gp.posterior import WalshPosterior, condition
from spex_mech.decoders.samples import Samples


def process(n: int, m: int) -> Spectrum:
    """A process with a few relevant players, given random values of masks of all sizes."""
    rng = np.random.default_rng(n)
    kernel = WalshKernel(rng.exponential(2.0 / n, size=n), 0.3, 0.3, 0.3)
    masks = rng.random((m, n)) < rng.random((m, 1))
    values = rng.normal(size=m)
    found = condition(Prior(kernel, 0.1), Samples(masks, values, np.ones(m)), shift=0.0, scale=1.0)
    empty = Spectrum.from_supports([()], [0.0], n)
    return Spectrum(empty.words, empty.coefficients, n, {}, found)


def largest_difference(spectrum: Spectrum, values: dict, index: str) -> float:
    """From the sums over supersets that `WalshPosterior.moments` takes, for 200 sets."""
    assert isinstance(spectrum.predictor, WalshPosterior)
    sets = list(values)[:: max(1, len(values) // 200)]
    functional = IndexFunctional(index, 2)
    means, _ = spectrum.predictor.moments(pack_supports(sets, spectrum.n), functional.fourier)
    return float(np.abs(means - [values[s] for s in sets]).max())


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 300, 1000])
    args = parser.parse_args()
    print("| players, masks | index | sets | CPU s | largest value | largest difference |")
    print("|---|---|---|---|---|---|")
    for n in args.sizes:
        m = min(3 * n, 3000)
        spectrum = process(n, m)
        for index in ("SII", "FSII"):
            start = time.process_time()
            values = dict(interactions(spectrum, index, 2).values)
            seconds = time.process_time() - start
            most = max(map(abs, values.values()))
            off = largest_difference(spectrum, values, index)
            print(
                f"| {n}, {m} | {index} | {len(values)} | {seconds:.1f} | {most:.2g} | {off:.0e} |"
            )


if __name__ == "__main__":
    main()
