"""Learning a Walsh-kernel Gaussian process in stages, and the R² to expect of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from spex_mech.decoders.gp.kernel import signs
from spex_mech.decoders.gp.likelihood import TIE, Prior, learn
from spex_mech.decoders.gp.posterior import WalshPosterior, condition
from spex_mech.decoders.samples import Samples

LEARNT = 0.8  # share of the masks that relevances may be learnt from while others are predicted
FEW_PLAYERS = 32  # up to this number, relevances learnt from a mask hardly improve its prediction
TEST = 100  # masks that make a fair test, and are enough to weigh members on
_ROWS = (400, 2000)  # fewest and most masks to learn the relevances from
_ROWS_PER_PLAYER = 16
_STEPS = (60, 40, 20)  # of L-BFGS, on the first masks, on more, and on many
_MANY_ROWS = 1000
_CLIP = 2.0
_HELD_OUT = 100  # masks that make a fair test of one solve
FOLDS = 5


def rows_to_learn(m: int, n: int) -> int:
    """How many of ``m`` masks to learn the relevances of ``n`` players from.

    The number is 16 per player, at least 400 and at most 2000. With 1000 masks or more, at least a tenth
    of them is left as a test.
    """
    fewest, most = _ROWS
    wanted = min(max(fewest, _ROWS_PER_PLAYER * n), most)
    return min(wanted, m if m < 10 * _HELD_OUT else int(0.9 * m))


def learn_in_stages(data: Samples, *, tie: float = TIE) -> Prior:
    """Learn on 400 masks, then on twice as many each time, up to all.

    Values further than 2 standard deviations from the mean are moved there while the relevances are
    learnt, because one outlier is enough to make a Gaussian likelihood explain it by high-degree terms.
    """
    sizes = [len(data.values)]
    while sizes[0] > 1.5 * _ROWS[0]:
        sizes.insert(0, max(sizes[0] // 2, _ROWS[0]))
    asked = data.asked is not None
    prior = Prior.start(data.masks.shape[1], asked=asked, centre=data.centre)
    moments = data.moments()
    for stage, size in enumerate(sizes):
        part = data.rows(slice(size))
        steps = _STEPS[0 if stage == 0 else 1 if size < _MANY_ROWS else 2]
        prior = learn_from(prior, part, moments, steps=steps, tie=tie)
    return prior


def learn_from(
    start: Prior, data: Samples, moments: tuple[float, float], *, steps: int, tie: float = TIE
) -> Prior:
    """Learn on all of ``data``, standardised by ``moments`` and clipped, from a prior that is near."""
    mean, deviation = moments
    standard = np.clip((data.values - mean) / deviation, -_CLIP, _CLIP)
    return learn(
        signs(data.masks),
        standard,
        data.counts,
        start,
        iterations=steps,
        tie=tie,
        overlap=data.overlap,
        centre=data.centre,
    )


def condition_on(prior: Prior, data: Samples) -> WalshPosterior:
    """The posterior given all of ``data``, standardised by its own moments."""
    shift, scale = data.moments()
    return condition(prior, data, shift=shift, scale=scale)


def expected_r2(posterior: WalshPosterior, data: Samples, learnt: int) -> tuple[float, str]:
    """R² on masks that took no part in learning the model that predicts them, and how it was found.

    Args:
        posterior: the posterior given the first masks of ``data``, as many as it holds.
        data: all masks.
        learnt: how many of them, from the first, the relevances were learnt from.

    Returns:
        R² and ``left out`` (masks that the posterior was not fitted to), ``leave one out`` (closed form, of
        masks that the relevances were not learnt from) or ``folds`` (all learnt anew for each of 5
        folds). With fewer than 10 masks it is leave-one-out on all of them, an estimate that is too high.
    """
    solved, m = len(posterior.masks), len(data.values)
    if m - solved >= _HELD_OUT:
        test = data.rows(slice(solved, None))
        return _r2(test, test.values - posterior(test.masks)), "left out"
    if solved - learnt >= _HELD_OUT or m < 2 * FOLDS:
        unseen = slice(learnt if solved - learnt >= _HELD_OUT else 0, solved)
        residuals = posterior.scale * posterior.residuals[unseen]
        return _r2(data.rows(unseen), residuals), "leave one out"
    residuals = np.empty(m)
    fold = np.arange(m) % FOLDS
    for k in range(FOLDS):
        train, test = data.rows(fold != k), data.rows(fold == k)
        fitted = condition_on(learn_in_stages(train.rows(slice(learnt))), train)
        residuals[fold == k] = test.values - fitted(test.masks)
    return _r2(data, residuals), "folds"


def _r2(data: Samples, residuals: Float64[np.ndarray, " m"]) -> float:
    spread = data.error(data.values - data.moments()[0])
    return 1.0 - data.error(residuals) / spread if spread > 0 else float("nan")
