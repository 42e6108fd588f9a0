"""The Walsh-kernel Gaussian process: a smooth posterior over coalitions with a Fourier readout.

Values are standardised, the kernel's relevances are learnt by maximum a posteriori on some of the
masks, one exact solve on all masks gives the posterior, and its largest Fourier terms are read out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.core.answers import Answers
from spex_mech.core.errors import InputError
from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.checks import check_values, constant_spectrum, distinct
from spex_mech.decoders.gp.fit import (
    FOLDS,
    condition_on,
    expected_r2,
    learn_in_stages,
    rows_to_learn,
)
from spex_mech.decoders.gp.gradients import centre_of
from spex_mech.decoders.gp.kernel import signs
from spex_mech.decoders.gp.posterior import WalshPosterior
from spex_mech.decoders.gp.readout import Readout, read_out
from spex_mech.decoders.samples import Samples, r2_of
from spex_mech.designs.design import MaskDesign

MAX_ROWS = 5000  # most masks to solve for
_SEARCH = 200_000  # terms to evaluate in search of the largest, with more than 20 players
_FRESH = 2000  # random masks on which the readout is compared with the posterior
_RATE_RANGE = (0.02, 0.98)


def walsh_gp(
    design: MaskDesign,
    values: npt.ArrayLike,
    *,
    seed: int = 0,
    terms: int = 200,
    gradients: npt.ArrayLike | None = None,
) -> Spectrum:
    """Fit a Gaussian process with a Walsh kernel and read out the largest terms of its mean.

    The relevances are learnt by L-BFGS, first on 400 random masks and then, starting from the result, on
    twice as many each time (see `gp.likelihood` for the priors). In the end they are learnt from 16 masks
    per player, at least 400 and at most 2000, and with 1000 masks or more from at most 90 % of them. The
    posterior is exact for all distinct masks up to 5000; with more masks it is that of a random 5000 of
    them. Time grows with the cube of their number, and 5000 take 1.5 GB.

    Args:
        design: any masks; equal masks are averaged, and their mean has less noise accordingly.
        values: float64 (m,).
        seed: seed of the order of the masks, of the folds and of the masks that test the readout.
        terms: terms to read out, ranked in the basis that is orthogonal at the design's keep rates;
            at rates other than 1/2 their expansion into plain Fourier terms has more.
        gradients: float64 (n,), the mean derivative of the value by each player's gate, which relevances are
            then drawn to with more than 32 players (see `gp.gradients`); None to draw them to each other.

    Returns:
        A spectrum that predicts with the full posterior mean (its ``predictor``, which also offers
        ``std(masks)``), while its terms are the readout. ``info`` holds

        - ``r2_cv``: R² to expect on masks like the design's. If 100 masks or more beyond 5000 were left
            out, it is that of the predictions of these. Else, if 100 masks or more took no part in learning
            the relevances, it is that of the closed-form leave-one-out predictions of those. Else it comes
            from 5 folds, with the relevances learnt anew for each.
        - ``r2_cv_kind``: ``left out``, ``leave one out`` or ``folds``.
        - ``readout_loss``: the part of the posterior mean's variance that the terms do not give, on
            2000 fresh masks drawn with the design's keep rates.
        - ``exact_readout``: False if the search was cut before the terms were proven the largest.
        - ``theta`` (a list of n), ``noise``, ``jitter``, ``rows``: relevances, noise variance in units of the
            values' variance, what was added to the diagonal, masks the relevances are learnt from.

    Raises:
        InputError: values that do not fit the design, fewer than 2 distinct masks, less than 1 term,
            or gradients that are not one finite number for each player.
    """
    centre = centre_of(gradients, design.n)
    y = check_values(design, values)
    _check_terms(terms)
    if constant := constant_spectrum(design, y, "walsh_gp"):
        return constant
    first, means, counts = distinct(design, y)
    if len(first) < 2 or not np.ptp(means) > 0:
        raise InputError(
            f"{len(first)} distinct masks whose mean values are all equal hold nothing but noise; "
            "evaluate more masks"
        )
    rng = np.random.default_rng(seed)
    data = Samples(design.masks[first], means, counts, centre=centre)
    data = data.rows(rng.permutation(len(first)))
    learnt = min(rows_to_learn(len(first), design.n), MAX_ROWS)
    prior = learn_in_stages(data.rows(slice(learnt)))
    posterior = condition_on(prior, data.rows(slice(MAX_ROWS)))
    r2 = expected_r2(posterior, data, learnt)
    return _spectrum(design, posterior, r2, (len(first), learnt), terms=terms, rng=rng)


def walsh_gp_answers(
    design: MaskDesign,
    answers: Answers,
    *,
    seed: int = 0,
    terms: int = 200,
    gradients: npt.ArrayLike | None = None,
) -> Spectrum:
    """`walsh_gp` on answers to single questions: the process of their mean over all questions.

    Args:
        design: the masks of the answers.
        answers: the answers; beyond 5000 they are averaged mask by mask.
        seed: see `walsh_gp`.
        terms: see `walsh_gp`.
        gradients: see `walsh_gp`.

    Returns:
        As `walsh_gp`; ``r2_cv`` is that of the mean over all questions, see `stack_answers`.

    Raises:
        InputError: fewer than 10 distinct masks, less than 1 term, or gradients as in `walsh_gp`.
    """
    from spex_mech.decoders.gp.answers import AnswerSamples, levels_of, noise_of
    from spex_mech.decoders.gp.fit_answers import fit_answers

    _check_terms(terms)
    rng = np.random.default_rng(seed)
    data = AnswerSamples.of(answers, rng, centre_of(gradients, design.n))
    if len(data.masks) < 2 * FOLDS:
        raise InputError(
            f"answers under {len(data.masks)} distinct masks are too few, expected {2 * FOLDS} masks or "
            "more; evaluate more"
        )
    posterior, mean, _ = fit_answers(data, np.arange(len(data.masks)) % FOLDS)
    levels = levels_of(posterior)
    noise = noise_of(data.answers, levels, posterior)
    counts = data.answers.counts.astype(np.float64)
    means = Samples(data.masks, data.answers.means(levels), counts)
    seen = np.flatnonzero(np.isfinite(mean))
    r2 = r2_of(mean[seen], means.rows(seen), noise[seen]), "folds"
    count = len(data.masks), rows_to_learn(len(data.samples.values), design.n)
    spectrum = _spectrum(design, posterior, r2, count, terms=terms, rng=rng)
    return replace(spectrum, info={**spectrum.info, "answers": len(answers)})


def _spectrum(
    design: MaskDesign,
    posterior: WalshPosterior,
    expected: tuple[float, str],
    counts: tuple[int, int],
    *,
    terms: int,
    rng: np.random.Generator,
) -> Spectrum:
    """The largest terms of a posterior mean; ``counts``: masks, and rows that relevances are learnt from."""
    rates = product_rates(design)
    readout = read_out(
        posterior.kernel, signs(posterior.masks), posterior.alpha, rates, terms=terms, limit=_SEARCH
    )
    constant_term = np.where(readout.words.any(axis=1), 0.0, posterior.shift)
    coefficients = posterior.scale * readout.coefficients + constant_term
    fresh = rng.random((_FRESH, design.n)) < rates
    loss = _loss(Spectrum(readout.words, coefficients, design.n), fresh, posterior(fresh))
    info = {
        "method": "walsh_gp",
        "r2_cv": expected[0],
        "r2_cv_kind": expected[1],
        "readout_loss": loss,
        "exact_readout": readout.exact,
        "theta": posterior.kernel.theta.tolist(),
        "noise": posterior.noise,
        "jitter": posterior.jitter,
        "rows": counts[1],
    }
    info["message"] = _message(info, counts[0], readout)
    return Spectrum(readout.words, coefficients, design.n, info, posterior)


def product_rates(design: MaskDesign) -> Float64[np.ndarray, " n"]:
    """The design's keep rates; exactly 1/2 where that is within its sampling error."""
    rates = np.clip(np.asarray(design.keep_rates, dtype=np.float64), *_RATE_RANGE)
    near = np.abs(rates - 0.5) <= max(0.02, 2.0 / np.sqrt(len(design)))
    return np.where(near.all(), 0.5, rates)


def _check_terms(terms: int) -> None:
    if terms < 1:
        raise InputError(f"terms is {terms}, expected at least 1")


def _loss(
    terms: Spectrum, masks: Bool[np.ndarray, "k n"], target: Float64[np.ndarray, " k"]
) -> float:
    """The part of the variance of ``target`` on some masks that ``terms`` do not give."""
    return 1.0 - faithfulness(terms, masks, target) if np.ptp(target) > 0 else 0.0


def _message(info: dict[str, Any], m: int, readout: Readout) -> str:
    """One line on a fit to ``m`` distinct masks."""
    cut = "" if readout.exact else f" (search cut at {_SEARCH} terms: larger ones may exist)"
    part = "" if m <= MAX_ROWS else f" {MAX_ROWS} of"
    return (
        f"Gaussian process on{part} {m} masks, relevances from {info['rows']}; expect R² "
        f"{info['r2_cv']:.3f} on masks like these; its {readout.ranked} largest terms{cut} miss "
        f"{100 * max(info['readout_loss'], 0.0):.1f} % of its variance"
    )
