"""`exact`: the transform of a design that holds every mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError
from spex_mech.core.masks import pack
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import MAX_PLAYERS, exact_spectrum
from spex_mech.decoders.checks import check_values, distinct
from spex_mech.designs.design import MaskDesign


def exact(design: MaskDesign, values: npt.ArrayLike) -> Spectrum:
    """Exact transform of a design that holds every mask (equal masks are averaged).

    Raises:
        InputError: a design that lacks masks, or has more than 24 players.
    """
    y = check_values(design, values)
    first, means, _ = distinct(design, y)
    if design.n > MAX_PLAYERS or len(first) != 1 << design.n:
        raise InputError(
            f"the design holds {len(first)} distinct masks, the exact transform needs all "
            f"2^{design.n} (and at most {MAX_PLAYERS} players); use designs.exhaustive or another "
            "method"
        )
    table = np.empty(len(first))
    table[pack(design.masks[first])[:, 0]] = means
    return exact_spectrum(table)
