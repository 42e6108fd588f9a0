"""The masks of a spec: equal specs give equal masks."""

from __future__ import annotations

from spex_mech.core.errors import InputError
from spex_mech.designs import DESIGNS, MaskDesign
from spex_mech.designs.pilot import keep_range, pilot, piloted
from spex_mech.evaluation.questions import ALL, PILOT, QuestionChoice
from spex_mech.run.spec import DesignSpec
from spex_mech.run.spec_values import AUTO

_CHECK_SEED = 1_000_003  # added to the design's seed, so that the two differ


def has_pilot(spec: DesignSpec) -> bool:
    """Whether the keep rates are found by a pilot."""
    return spec.kind == "biased" and spec.keep_rate == AUTO


AIMS = {"biased": "values", "stratified": "shapley"}
"""Designs whose masks can be drawn in rounds, and what `explain` calls them."""


def check_rounds(spec: DesignSpec) -> None:
    """Refuse a design whose masks cannot be evaluated in rounds.

    Raises:
        InputError: another kind of masks.
    """
    if spec.kind not in AIMS:
        raise InputError(
            f"design.kind is {spec.kind!r}, but rounds need masks that can be drawn in rounds; expected "
            f"{' or '.join(AIMS)}, or a number for design.budget"
        )


def is_asked_all(spec: DesignSpec) -> bool:
    """Whether every mask is asked all questions, whatever the game."""
    return spec.questions == ALL or spec.kind == "spex"


def search_design(
    spec: DesignSpec,
    n: int,
    keep_rate: tuple[float, float] | None = None,
    choice: QuestionChoice | None = None,
) -> MaskDesign:
    """The masks to decode.

    Args:
        spec: kind, number, rates and seed of the masks.
        n: number of players.
        keep_rate: the range that the pilot has found, where the spec has one. Before that, None draws
            equally many masks from the usual range.
        choice: how many questions each mask is asked; None for all.

    Raises:
        InputError: an unknown kind, or a budget, rate or ``first`` out of range.
    """
    budget = spec.most if choice is None else choice.masks(spec.most * choice.questions)
    if has_pilot(spec):
        spread = keep_rate or keep_range(None, None, n)
        pilots = spec.most
        if choice is not None:
            pilots = spec.most * choice.questions // min(PILOT, choice.questions)
        first = pilot(n, pilots, seed=spec.seed)
        design = piloted(first, spread, n, budget, seed=spec.seed)
    else:
        design = _design(spec, n, budget, spec.seed, spec.keep_rate)
    if spec.first is None or spec.first == len(design):
        return design
    if not 1 <= spec.first <= len(design):
        raise InputError(
            f"design.first is {spec.first}, expected a number of masks from 1 to {len(design)}"
        )
    # A part of a coded design has no code: its masks are decoded by regression.
    return MaskDesign(design.masks[: spec.first], design.seed, design.kind, design.keep_rates)


def check_design(
    spec: DesignSpec,
    n: int,
    keep_rate: tuple[float, float] | None = None,
    choice: QuestionChoice | None = None,
) -> MaskDesign | None:
    """The masks held out to measure faithfulness; None where the spec holds none out.

    Where ``choice`` asks masks some questions each, they are more, as `QuestionChoice.check_counts` says.

    Raises:
        InputError: as for `search_design`.
    """
    if spec.check == 0:
        return None
    if spec.check < 2:
        raise InputError(
            f"design.check is {spec.check}, expected 0 for no held-out masks, or 2 or more"
        )
    rate = spec.keep_rate
    if has_pilot(spec):
        rate = list(keep_rate or keep_range(None, None, n))
    masks = spec.check if choice is None else choice.check_counts(spec.check)[0]
    return _design(spec, n, masks, spec.seed + _CHECK_SEED, rate)


def _design(
    spec: DesignSpec, n: int, budget: int, seed: int, rate: float | list[float] | str
) -> MaskDesign:
    if spec.kind not in DESIGNS:
        raise InputError(f"unknown design.kind {spec.kind!r}; expected one of {', '.join(DESIGNS)}")
    options = {}
    if spec.kind == "biased":
        options["keep_rate"] = tuple(rate) if isinstance(rate, list) else rate
    return DESIGNS[spec.kind](n, budget, seed=seed, **options)
