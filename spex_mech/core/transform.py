"""The fast Walsh-Hadamard transform and the exact spectrum of a complete value table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.spectrum import Spectrum

MAX_PLAYERS = 24


def walsh_hadamard(table: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    """Unnormalised Walsh-Hadamard transform, out[k] = sum_i table[i] (-1)^{popcount(i & k)}.

    Needs two more arrays of the table's size. Applied twice it multiplies by N = 2^n.
    """
    source = np.array(table, dtype=np.float64)
    target = np.empty_like(source)
    half = len(source) // 2
    for _ in range(len(source).bit_length() - 1):
        # One butterfly on the lowest bit, which then becomes the highest: n rounds restore the order.
        np.add(source[0::2], source[1::2], out=target[:half])
        np.subtract(source[0::2], source[1::2], out=target[half:])
        source, target = target, source
    return source


def exact_spectrum(values: npt.ArrayLike, *, tolerance: float = 1e-12) -> Spectrum:
    """Exact Fourier spectrum of a game that is known on every coalition.

    Memory: about six float64 arrays of 2^n (0.8 GB for 24 players).

    Args:
        values: (2^n,), ``values[i]`` = value of the coalition of the 1-bits of i, player 0 = bit 0.
        tolerance: terms of at most ``tolerance * max|values|`` are rounding and are dropped.

    Raises:
        InputError: a length that is not a power of two, more than 24 players, NaN or infinity.
    """
    table = np.asarray(values, dtype=np.float64)
    size = table.size
    if table.ndim != 1 or size < 2 or size & (size - 1):
        raise InputError(
            f"values have shape {table.shape}, expected (2^n,): one value for each coalition in "
            "table order; decode sampled values with spex_mech.decode"
        )
    n = size.bit_length() - 1
    if n > MAX_PLAYERS:
        raise InputError(
            f"values of {n} players, at most {MAX_PLAYERS} are supported; "
            "decode a sample of them with spex_mech.decode"
        )
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table))[0])
        raise InputError(
            f"value {table[row]} of coalition {row} is not finite; every coalition needs a number"
        )
    coefficients = walsh_hadamard(table)
    coefficients /= size
    kept = np.flatnonzero(np.abs(coefficients) > tolerance * np.abs(table).max())
    info = {"method": "exact", "message": f"exact transform of all 2^{n} values"}
    return Spectrum(kept.astype(np.uint64)[:, None], coefficients[kept], n, info)
