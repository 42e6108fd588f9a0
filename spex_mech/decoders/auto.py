"""`decode`: one entry to every decoder, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spex_mech.decoders.checks import check_values, constant_spectrum, distinct
from spex_mech.decoders.lasso import lasso
from spex_mech.decoders.proxyspex import proxyspex
from spex_mech.decoders.walsh_gp import walsh_gp
from spex_mech.designs.design import MaskDesign
from spex_mech.errors import InputError
from spex_mech.masks import pack
from spex_mech.spectrum import Spectrum
from spex_mech.transform import MAX_PLAYERS, exact_spectrum


def decode(
    design: MaskDesign,
    values: npt.ArrayLike,
    *,
    method: str = "auto",
    seed: int = 0,
    **options: Any,
) -> Spectrum:
    """Turn the values of a design's masks into a sparse Fourier spectrum.

    Args:
        design: the masks; ``spex`` needs one made by `designs.spex`.
        values: float64 (m,), one for each mask.
        method: ``auto``, ``walsh_gp``, ``proxyspex``, ``spex``, ``lasso`` or ``exact``. ``auto`` is
            exact when all 2^n masks are there, ``spex`` for a coded design, and otherwise whichever
            of ``proxyspex`` and ``lasso`` has the better cross-validated R².
        seed: seed of whatever the method draws, such as its folds.
        **options: keywords of the method's own function.

    Returns:
        The spectrum; its ``info`` holds the ``method`` that was used and a ``message``.

    Raises:
        InputError: a method that does not exist, or input that the method cannot use.
    """
    return decoder(method)(design, values, seed=seed, **options)


def decoder(method: str) -> Callable[..., Spectrum]:
    """The function behind a method's name.

    Raises:
        InputError: a method that does not exist.
    """
    if method not in DECODERS:
        raise InputError(f"method is {method!r}, expected one of {', '.join(DECODERS)}")
    return DECODERS[method]


def exact(design: MaskDesign, values: npt.ArrayLike, *, seed: int = 0) -> Spectrum:
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


def auto(design: MaskDesign, values: npt.ArrayLike, *, seed: int = 0) -> Spectrum:
    """Choose a decoder by what the design holds, or by cross-validated R²."""
    y = check_values(design, values)
    if constant := constant_spectrum(design, y, "auto"):
        return constant
    if design.n <= MAX_PLAYERS and len(design) >= 1 << design.n:
        if len(distinct(design, y)[0]) == 1 << design.n:
            return exact(design, y, seed=seed)
    if design.structure is not None:
        return _spex(design, y, seed=seed)
    candidates = [proxyspex(design, y, seed=seed)]
    try:
        candidates.append(lasso(design, y, seed=seed))
    except InputError:  # too many terms for memory, or too few masks for its folds
        pass
    best = max(candidates, key=lambda spectrum: spectrum.info.get("r2_cv", -np.inf))
    scores = ", ".join(f"{c.info['method']} {c.info.get('r2_cv', np.nan):.3f}" for c in candidates)
    message = f"chose {best.info['method']} by cross-validated R² ({scores}). "
    return replace(best, info={**best.info, "message": message + best.info["message"]})


def _spex(design: MaskDesign, values: npt.ArrayLike, *, seed: int = 0, **options: Any) -> Spectrum:
    from spex_mech.decoders.spex import spex

    return spex(design, values, seed=seed, **options)


DECODERS: Mapping[str, Callable[..., Spectrum]] = {
    "auto": auto,
    "walsh_gp": walsh_gp,
    "proxyspex": proxyspex,
    "spex": _spex,
    "lasso": lasso,
    "exact": exact,
}
