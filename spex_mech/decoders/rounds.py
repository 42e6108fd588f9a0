"""Evaluating and decoding a design in rounds, until its spectrum is good enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate
from spex_mech.core.games import AnyGame
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import decode
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.questions import ALL


@dataclass(frozen=True)
class Round:
    """What a round has found.

    Attributes:
        masks: masks spent so far.
        r2: R² of their spectrum on masks like those: measured on masks held out, or else to expect by
            cross-validation.
        rows: what these masks cost: pairs of a mask and a question.
        held_out: R² on masks held out, with its interval; None where none are.
    """

    masks: int
    r2: float
    rows: int
    held_out: Estimate | None = None

    def reaches(self, target: float) -> bool:
        """Whether R² is good enough.

        On masks held out, the lower end of its 95 % interval has to reach the target: R² is measured again
        after each round, and the first of several estimates to reach a target is more often too high than
        too low. The cross-validated R² has no interval and is taken as it is.
        """
        return (self.r2 if self.held_out is None else self.held_out.low) >= target


Measure = Callable[[Spectrum, Run], Estimate | None]
"""R² of a spectrum on masks held out; None where it is not defined."""


def decode_rounds(
    game: AnyGame,
    parts: Sequence[MaskDesign],
    counts: Int64[np.ndarray, " m"] | None,
    *,
    target_r2: float | None,
    measure: Measure | None = None,
    known: Run | None = None,
    recorded: Sequence[Round] = (),
    took: Callable[[Round], None] | None = None,
    method: str = "auto",
    seed: int = 0,
    gradients: npt.ArrayLike | None = None,
    **options: Any,
) -> tuple[Spectrum | None, Run, tuple[Round, ...]]:
    """Evaluate and decode each part of a design in turn; one keyword per choice of a caller.

    Args:
        game: what is evaluated.
        parts: the first masks of a design, more of them in each round.
        counts: int64 (m,), how many questions each mask of the last part is asked; None for all.
        target_r2: stop after the round whose R² reaches it (see `Round.reaches`); None takes all rounds.
        measure: R² on masks held out; None to cross-validate.
        known: see `evaluate`.
        recorded: rounds that were taken before, which are not decoded again.
        took: called after each round that was not recorded.
        method: see `decode`.
        seed: seed of the decoder.
        gradients: of the decoder, see `walsh_gp`; None for none.
        options: as for `evaluate`.

    Returns:
        The spectrum of all masks that were spent (None where the last round was recorded), their values, and
        the rounds.

    Raises:
        InputError: a decoder that does not report the R² that a target needs.
    """
    rounds: list[Round] = []
    extra = {} if gradients is None else {"gradients": gradients}
    while True:
        design = parts[len(rounds)]
        asked = ALL if counts is None else counts[: len(design)]
        known = run = evaluate(game, design, questions=asked, known=known, **options)
        spectrum = None
        if len(rounds) < len(recorded):
            rounds.append(recorded[len(rounds)])
        else:
            spectrum = decode(design, run, method=method, seed=seed, **extra)
            held_out = None if measure is None else measure(spectrum, run)
            r2 = _expected(spectrum) if held_out is None else held_out.mean
            if r2 is None and target_r2 is not None:
                raise InputError(
                    f"method {method!r} does not estimate its R², so there is no telling when "
                    f"target_r2={target_r2} is reached; use method='auto', hold out masks, or leave the "
                    "target out"
                )
            rounds.append(Round(len(design), np.nan if r2 is None else r2, run.rows, held_out))
            if took is not None:
                took(rounds[-1])
        reached = target_r2 is not None and rounds[-1].reaches(target_r2)
        if reached or len(rounds) == len(parts):
            return spectrum, run, tuple(rounds)


def _expected(spectrum: Spectrum) -> float | None:
    """R² to expect by cross-validation; 1 of the exact spectrum of all masks, None where it is not known."""
    r2 = 1.0 if spectrum.info.get("method") == "exact" else spectrum.info.get("r2_cv")
    return None if r2 is None else float(r2)


def rounds_message(
    rounds: Sequence[Round], masks: int, target_r2: float | None, most_rows: int | None = None
) -> str:
    """One line on what was spent and reached.

    Args:
        rounds: the rounds that were taken.
        masks: masks of all rounds that could have been taken.
        target_r2: what was to be reached; None for nothing.
        most_rows: answers that could have been spent, where masks were asked some questions each.
    """
    last = rounds[-1]
    spent = f"{last.masks} of {masks} masks"
    if most_rows is not None:
        spent = f"{last.rows:,} of {most_rows:,} answers under {last.masks:,} masks"
    r2, end = f"R² {last.r2:.3f}", ""
    if last.held_out is not None:
        held = last.held_out
        r2 = f"R² {held.mean:.3f} [{held.low:.3f}, {held.high:.3f}] on {held.n} masks held out"
        end = " for its lower end"
    if target_r2 is None:
        expected = "" if last.held_out is not None else " to expect"
        return f"spent {spent}; {r2}{expected}."
    took = f"{len(rounds)} round{'s' if len(rounds) > 1 else ''}"
    if last.reaches(target_r2):
        return f"reached {r2} (target {target_r2}{end}) with {spent} in {took}."
    expect = "measured" if last.held_out is not None else "expect"
    narrow = "; hold out more masks for a narrower interval" if last.r2 >= target_r2 else ""
    return (
        f"spent all {spent} in {took} and {expect} {r2}, below the target {target_r2}{end}{narrow}."
    )
