"""The Fourier terms that ProxySPEX of shapiq 1.8 finds; run by faithfulness.py in an environment of its own.

    python newest_shapiq.py SAMPLES.npz TERMS.npz     # pip install shapiq==1.8.0 lightgbm, Python 3.12

SAMPLES holds ``masks`` (bool, m × n) and ``values`` (m). TERMS gets ``supports`` (bool, k × n),
``coefficients`` (k) and ``seconds`` of CPU, without the conversion to an index. Settings are the defaults.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
    os.environ.setdefault(_name, "1")

import numpy as np
from shapiq import ProxySPEX


@dataclass
class Fixed:
    """Stands in for shapiq's sampler: the masks are chosen already."""

    coalitions_matrix: np.ndarray

    def sample(self, budget: int) -> None:
        """Nothing to do."""


class FoundError(Exception):
    """Ends shapiq's work once the Fourier terms are there."""


def main(samples: str, target: str) -> None:
    """Read samples, fit, and write the terms."""
    with np.load(samples, allow_pickle=False) as data:
        masks, values = data["masks"], data["values"]
    peer = ProxySPEX(n=masks.shape[1], index="FBII", max_order=2, random_state=0)
    peer._sampler = Fixed(masks)
    refine, terms = peer._refine, {}

    def catch(*arguments: object) -> dict:
        terms.update(refine(*arguments))
        raise FoundError

    peer._refine = catch
    began = time.process_time()
    try:
        peer.approximate(len(masks), lambda coalitions: values)
    except FoundError:
        seconds = time.process_time() - began
    supports = np.zeros((len(terms), masks.shape[1]), dtype=bool)
    for row, support in zip(supports, terms, strict=True):
        row[list(support)] = True
    np.savez(
        target,
        supports=supports,
        coefficients=np.array([float(np.real(c)) for c in terms.values()]),
        seconds=seconds,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
