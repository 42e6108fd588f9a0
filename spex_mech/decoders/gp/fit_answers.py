"""Learning a Gaussian process from answers to single questions, and its predictions of held-out masks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.decoders.gp.answers import AnswerSamples, means_left_out
from spex_mech.decoders.gp.fit import (
    FEW_PLAYERS,
    LEARNT,
    TEST,
    condition_on,
    learn_from,
    learn_in_stages,
    rows_to_learn,
)
from spex_mech.decoders.gp.likelihood import TIE, Prior
from spex_mech.decoders.gp.posterior import WalshPosterior

_STEPS = 10  # of L-BFGS for a fold, from where all masks led


def fit_answers(
    data: AnswerSamples, fold: Int64[np.ndarray, " u"], *, tie: float = TIE
) -> tuple[WalshPosterior, Float64[np.ndarray, " u"], Float64[np.ndarray, " u"]]:
    """Fit to all answers, and predict the mean over all questions at each fold from the others.

    Args:
        data: the answers.
        fold: int64 (u,), the fold of each distinct mask.
        tie: how strongly relevances are drawn towards each other.

    Returns:
        The posterior, and means and standard deviations (u,) of the mean over all questions at each mask,
        without its fold; NaN for masks that relevances were learnt from, with many players.
    """
    u, n = data.masks.shape
    samples = len(data.samples.values)
    learnt = rows_to_learn(samples, n)
    first = int(LEARNT * u)  # masks that relevances may be learnt from while others are predicted
    if n > FEW_PLAYERS and u - first >= TEST:
        some = min(learnt, len(data.of_first(first).values))
        prior = learn_in_stages(data.samples.rows(slice(some)), tie=tie)
        posterior = condition_on(prior, data.solved())
        mean, std = means_left_out(posterior, data, fold)
        mean[:first] = std[:first] = np.nan
        if some < learnt:
            part = data.samples.rows(slice(learnt))
            prior = learn_from(prior, part, part.moments(), steps=_STEPS, tie=tie)
            posterior = condition_on(prior, data.solved())
        return posterior, mean, std
    prior = learn_in_stages(data.samples.rows(slice(learnt)), tie=tie)
    posterior = condition_on(prior, data.solved())
    if n <= FEW_PLAYERS and learnt <= LEARNT * samples:
        return posterior, *means_left_out(posterior, data, fold)
    return posterior, *_fold_by_fold(prior, data, fold, learnt, tie)


def _fold_by_fold(
    prior: Prior,
    data: AnswerSamples,
    fold: Int64[np.ndarray, " u"],
    learnt: int,
    tie: float,
) -> tuple[Float64[np.ndarray, " u"], Float64[np.ndarray, " u"]]:
    """Held-out means and standard deviations, with the relevances learnt anew for each fold.

    With few players they start at ``prior``, which was learnt from the fold too; else at equal ones.
    """
    mean, std = np.empty(len(fold)), np.empty(len(fold))
    for k in range(int(fold.max()) + 1):
        out = fold == k
        train = data.but(out)
        part = train.rows(slice(learnt))
        if data.masks.shape[1] <= FEW_PLAYERS:
            own = learn_from(prior, part, train.moments(), steps=_STEPS, tie=tie)
        else:
            own = learn_in_stages(part, tie=tie)
        posterior = condition_on(own, train)
        mean[out] = posterior(data.masks[out])
        std[out] = posterior.std(data.masks[out], noise=False)
    return mean, std
