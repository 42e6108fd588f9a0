"""The masks of a spec: equal specs give equal masks."""

from __future__ import annotations

from spex_mech.core.errors import InputError
from spex_mech.designs import DESIGNS, MaskDesign
from spex_mech.run.spec import DesignSpec

_CHECK_SEED = 1_000_003  # added to the design's seed, so that the two differ


def search_design(spec: DesignSpec, n: int) -> MaskDesign:
    """The masks to decode.

    Args:
        spec: kind, number, rates and seed of the masks.
        n: number of players.

    Raises:
        InputError: an unknown kind, or a budget, rate or ``first`` out of range.
    """
    design = _design(spec, n, spec.budget, spec.seed)
    if spec.first is None or spec.first == len(design):
        return design
    if not 1 <= spec.first <= len(design):
        raise InputError(
            f"design.first is {spec.first}, expected a number of masks from 1 to {len(design)}"
        )
    # A part of a coded design has no code: its masks are decoded by regression.
    return MaskDesign(design.masks[: spec.first], design.seed, design.kind, design.keep_rates)


def check_design(spec: DesignSpec, n: int) -> MaskDesign | None:
    """The masks held out to measure faithfulness; None where the spec holds none out.

    Raises:
        InputError: as for `search_design`.
    """
    if spec.check == 0:
        return None
    if spec.check < 2:
        raise InputError(
            f"design.check is {spec.check}, expected 0 for no held-out masks, or 2 or more"
        )
    return _design(spec, n, spec.check, spec.seed + _CHECK_SEED)


def _design(spec: DesignSpec, n: int, budget: int, seed: int) -> MaskDesign:
    rate = tuple(spec.keep_rate) if isinstance(spec.keep_rate, list) else spec.keep_rate
    if isinstance(rate, str) and spec.kind == "biased":
        raise InputError(
            f"design.kind is 'biased' with design.keep_rate {rate!r}; give a rate or [low, high] ('auto' "
            "is for models that are pruned)"
        )
    if spec.kind not in DESIGNS:
        raise InputError(f"unknown design.kind {spec.kind!r}; expected one of {', '.join(DESIGNS)}")
    options = {"keep_rate": rate} if spec.kind == "biased" else {}
    return DESIGNS[spec.kind](n, budget, seed=seed, **options)
