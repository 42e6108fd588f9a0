"""Answers to single questions as what a Gaussian process is fitted to.

A question is one more coordinate of the kernel: two answers under masks x and x' have the covariance
k(x, x') + [same question] (b0 + k_own(x, x')), with k of what all questions have in common and k_own of how
they differ. So nothing has to be subtracted beforehand, and the mean over all questions, which is what is
wanted, follows from the same fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.answers import Answers
from spex_mech.core.masks import unique
from spex_mech.decoders.gp.decode import MAX_ROWS
from spex_mech.decoders.gp.kernel import signs
from spex_mech.decoders.gp.likelihood import covariance, factorise, inverse_from
from spex_mech.decoders.gp.posterior import WalshPosterior
from spex_mech.decoders.samples import Samples

_REPLICATES = 20  # second answers under a mask from which their variance is measured, not modelled


@dataclass(frozen=True)
class AnswerSamples:
    """Samples of some questions each, and the distinct masks that they are of.

    Attributes:
        masks: bool (u, n), the distinct masks.
        samples: one for each answer, or one for each mask where answers are more than 5000.
        mask: int64 (s,), the mask of each sample.
        answers: the answers, with ``masks`` as their masks.
    """

    masks: Bool[np.ndarray, "u n"]
    samples: Samples
    mask: Int64[np.ndarray, " s"]
    answers: Answers

    @classmethod
    def of(
        cls,
        answers: Answers,
        rng: np.random.Generator,
        centre: Float64[np.ndarray, " n"] | None = None,
    ) -> AnswerSamples:
        """The samples of all answers, mask after mask, with the distinct masks in random order."""
        first, inverse = unique(answers.masks)
        order = rng.permutation(len(first))
        rank = np.argsort(order)
        mask = rank[inverse[answers.mask]]
        by_mask = np.argsort(mask, kind="stable")
        mask, question = mask[by_mask], answers.question[by_mask]
        values, masks = answers.values[by_mask], answers.masks[first[order]]
        # A design may hold a mask twice, and ask it the same question again.
        pair = np.unique(mask * answers.questions + question, return_index=True)[1]
        mask, question, values = mask[pair], question[pair], values[pair]
        merged = Answers(masks, mask, question, values, answers.questions)
        weights = np.zeros((len(mask), answers.questions))
        weights[np.arange(len(mask)), question] = 1.0
        if len(mask) <= MAX_ROWS:
            samples = Samples(masks[mask], values, np.ones(len(mask)), weights, centre)
            return cls(masks, samples, mask, merged)
        counts = merged.counts.astype(np.float64)
        starts = np.cumsum(merged.counts) - merged.counts
        means = np.add.reduceat(values, starts) / counts
        asked = np.add.reduceat(weights, starts, axis=0) / counts[:, None]
        samples = Samples(masks, means, counts, asked, centre)
        return cls(masks, samples, np.arange(len(masks)), merged)

    def of_first(self, masks: int) -> Samples:
        """The samples of the first masks."""
        return self.samples.rows(slice(int(np.searchsorted(self.mask, masks))))

    def but(self, fold: Bool[np.ndarray, " u"]) -> Samples:
        """The samples of all masks but those of a fold."""
        return self.samples.rows(~fold[self.mask])

    def solved(self) -> Samples:
        """As many samples as one solve can take."""
        return self.samples.rows(slice(MAX_ROWS))


def levels_of(posterior: WalshPosterior) -> Float64[np.ndarray, " e"]:
    """What the posterior adds to every answer of each question, (e,), beside what all have in common."""
    assert posterior.asking is not None and posterior.asking.prior.question is not None
    constant = posterior.asking.prior.question[0]
    return posterior.scale * constant * (posterior.alpha @ posterior.asking.asked)


def answer_variance(posterior: WalshPosterior) -> float:
    """Variance of an answer about its mask's mean, beside the question's level."""
    assert posterior.asking is not None
    own = posterior.asking.own_kernel
    return posterior.scale**2 * (own.variance - own.constant + posterior.asking.prior.noise)


def noise_of(
    answers: Answers, levels: Float64[np.ndarray, " e"], posterior: WalshPosterior
) -> Float64[np.ndarray, " m"]:
    """The variance of each mask's mean answer about its mean over all questions, (m,).

    It is measured between answers under one mask, freed of the questions' levels, where there are 20 second
    answers or more, and else that of the posterior.
    """
    left = answers.values - levels[answers.question]
    counts = answers.counts
    freedom = int((counts - 1).sum())
    if freedom < _REPLICATES:
        variance = answer_variance(posterior)
    else:
        means = np.bincount(answers.mask, weights=left, minlength=len(counts)) / counts
        variance = float(((left - means[answers.mask]) ** 2).sum() / freedom)
    return variance * (1.0 / counts - 1.0 / answers.questions)


def means_left_out(
    posterior: WalshPosterior, data: AnswerSamples, fold: Int64[np.ndarray, " u"]
) -> tuple[Float64[np.ndarray, " u"], Float64[np.ndarray, " u"]]:
    """The mean over all questions at the masks of each fold, from the answers under the other masks.

    With C the covariance of the answers and P = C^-1, leaving out a block B changes alpha of the others by
    -P_RB P_BB^-1 alpha_B, and their own inverse is P_RR - P_RB P_BB^-1 P_BR: one factorisation serves all
    folds. The posterior holds the first samples; masks without any are predicted by it.

    Returns:
        Means (u,) and standard deviations (u,) of the mean over all questions, in units of the values.
    """
    assert posterior.asking is not None
    seen, scale = signs(posterior.masks), posterior.scale
    samples = Samples(posterior.masks, posterior.alpha, posterior.counts, posterior.asking.asked)
    cov = covariance(posterior.asking.prior, seen, seen, samples.overlap)
    np.einsum("ii->i", cov)[:] += posterior.asking.prior.noise / posterior.counts
    inverse = inverse_from(factorise(cov).lower)
    of_mask = data.mask[: len(seen)]
    mean, variance = np.empty(len(fold)), np.empty(len(fold))
    for k in range(int(fold.max()) + 1):
        masks = np.flatnonzero(fold == k)
        out = fold[of_mask] == k
        cross = posterior.kernel(signs(data.masks[masks]), seen)
        change = np.linalg.solve(inverse[np.ix_(out, out)], inverse[out])  # P_BB^-1 P_B
        alpha = posterior.alpha - posterior.alpha[out] @ change
        rest = np.where(out, 0.0, cross)
        mean[masks] = rest @ alpha
        spread = np.einsum("km,km->k", rest @ inverse, rest)
        at_fold = rest @ inverse[:, out]
        spread -= np.einsum("kb,kb->k", at_fold, rest @ change.T)
        variance[masks] = posterior.kernel.variance - spread
    std = scale * posterior.inflation * np.sqrt(np.maximum(variance, 0.0))
    return posterior.shift + scale * mean, std
