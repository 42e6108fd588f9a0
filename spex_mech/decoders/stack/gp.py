"""Gaussian processes as members of a stack: fit, held-out predictions and readout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from spex_mech.core.transform import walsh_hadamard
from spex_mech.decoders.gp.decode import MAX_ROWS
from spex_mech.decoders.gp.fit import (
    FEW_PLAYERS,
    LEARNT,
    TEST,
    condition_on,
    learn_from,
    learn_in_stages,
    rows_to_learn,
)
from spex_mech.decoders.gp.kernel import signs
from spex_mech.decoders.gp.likelihood import Prior, factorise, inverse_from
from spex_mech.decoders.gp.posterior import WalshPosterior
from spex_mech.decoders.gp.readout import read_out, walsh_table
from spex_mech.decoders.gp.warp import Link
from spex_mech.decoders.samples import Samples
from spex_mech.decoders.stack.bent import Bent
from spex_mech.decoders.stack.members import Fitted, exact

_STEPS, _MANY_ROWS = (15, 8), 800  # of L-BFGS for a fold, from where all masks led; with many rows
_SEARCH = 50_000
_LOOK_ROWS, _LOOK_STEPS = 500, 10  # masks and steps of a quick fit
_MOST_STD = 1000  # masks beyond those of the posterior whose deviations are computed

Warp = Callable[[Samples], Samples]


@dataclass(frozen=True)
class Process:
    """A Gaussian process on values, or on warped values with a link from predictions back to values.

    Attributes:
        name: what it is called in ``info``.
        tie: how strongly its relevances are drawn towards each other.
        warp: makes latents of values; None for the values themselves.
        rows: most masks to learn relevances from, for a rough fit to the masks that are not set apart; None
            for `rows_to_learn`, and a fit to all masks. Only where masks are set apart.
    """

    name: str
    tie: float
    warp: Warp | None = None
    rows: int | None = None

    def __call__(self, data: Samples, fold: Int64[np.ndarray, " m"], seed: int) -> Fitted:
        """Fit to ``data``; ``seed`` decides what is drawn for the indices of warped values."""
        target = data if self.warp is None else self.warp(data)
        m, n = data.masks.shape
        learnt, few = min(rows_to_learn(m, n), MAX_ROWS), n <= FEW_PLAYERS
        if (first := first_apart(data, fold)) is not None:
            posterior, mean, std = self._set_apart(target, fold, learnt, first)
        else:
            prior = learn_in_stages(target.rows(slice(learnt)), tie=self.tie)
            posterior = condition_on(prior, target.rows(slice(MAX_ROWS)))
            if few and learnt <= int(LEARNT * m):
                mean, std = leave_out(posterior, target, fold)
            else:
                mean, std = self._fold_by_fold(prior if few else None, data, fold, learnt)
        if self.warp is None:
            return fitted_of(self.name, posterior, mean, std, None, seed)
        known = np.isfinite(mean)
        link = Link.fit(mean[known], data.values[known], data.counts[known])
        return fitted_of(self.name, posterior, _linked(mean, data, fold), None, link, seed)

    def look(
        self, data: Samples, fold: Int64[np.ndarray, " m"], first: int, prior: Prior
    ) -> Float64[np.ndarray, " t"]:
        """Predictions of the masks from ``first`` on, by a quick fit to the others from ``prior``."""
        target = data if self.warp is None else self.warp(data)
        seen = target.rows(slice(first))
        some = seen.rows(slice(_LOOK_ROWS))
        prior = learn_from(prior, some, seen.moments(), steps=_LOOK_STEPS, tie=self.tie)
        mean = condition_on(prior, seen)(data.masks[first:])
        if self.warp is None:
            return mean
        return _linked(mean, data.rows(slice(first, None)), fold[first:])

    def _set_apart(
        self, target: Samples, fold: Int64[np.ndarray, " m"], learnt: int, first: int
    ) -> tuple[WalshPosterior, Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
        """Learn from the ``first`` masks, predict the others, and only then learn from ``learnt``.

        Means and standard deviations are NaN for the first masks: with many players the relevances fit
        single masks, so that predictions of masks they were learnt from look too good.
        """
        rough, most = self.rows is not None, min(first, self.rows or first)
        prior = learn_in_stages(target.rows(slice(most)), tie=self.tie)
        solved = target.rows(slice(first if rough else MAX_ROWS))
        posterior = condition_on(prior, solved)
        mean, std = leave_out(posterior, target, fold)
        mean[:first] = std[:first] = np.nan
        if not rough and first < learnt:
            part = target.rows(slice(learnt))
            steps = _STEPS[learnt > _MANY_ROWS]
            prior = learn_from(prior, part, part.moments(), steps=steps, tie=self.tie)
            posterior = condition_on(prior, solved)
        return posterior, mean, std

    def _fold_by_fold(
        self, prior: Prior | None, data: Samples, fold: Int64[np.ndarray, " m"], learnt: int
    ) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
        """Held-out means and standard deviations, with the relevances learnt anew for each fold.

        They start at ``prior``, which was learnt from the fold too; without one, at equal relevances.
        """
        mean, std = np.empty(len(fold)), np.empty(len(fold))
        for k in range(int(fold.max()) + 1):
            rows = fold != k
            train = data.rows(rows)
            if self.warp is not None:
                train = self.warp(train)
            part = train.rows(slice(learnt))
            steps = _STEPS[learnt > _MANY_ROWS]
            if prior is None:
                fold_prior = learn_in_stages(part, tie=self.tie)
            else:
                fold_prior = learn_from(prior, part, train.moments(), steps=steps, tie=self.tie)
            fitted = condition_on(fold_prior, train.rows(slice(MAX_ROWS)))
            mean[~rows] = fitted(data.masks[~rows])
            std[~rows] = fitted.std(data.masks[~rows])
        return mean, std


def first_apart(data: Samples, fold: Int64[np.ndarray, " m"]) -> int | None:
    """The number of masks that come before those set apart, which no relevances are learnt from.

    None where there are few players or too few masks to set some of every fold apart.
    """
    m, n = data.masks.shape
    first = int(LEARNT * m)
    if n <= FEW_PLAYERS or m - first < TEST or len(np.unique(fold[first:])) <= fold.max():
        return None
    return min(first, rows_to_learn(m, n), MAX_ROWS)


def _linked(
    mean: Float64[np.ndarray, " m"], data: Samples, fold: Int64[np.ndarray, " m"]
) -> Float64[np.ndarray, " m"]:
    """Values for predicted latents of each fold, by a link that the other folds are fitted to."""
    held_out, known = np.empty(len(mean)), np.isfinite(mean)
    for k in range(int(fold.max()) + 1):
        rows = (fold != k) & known
        link = Link.fit(mean[rows], data.values[rows], data.counts[rows])
        held_out[fold == k] = link(mean[fold == k])
    return held_out


def leave_out(
    posterior: WalshPosterior, data: Samples, fold: Int64[np.ndarray, " m"]
) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
    """Predictions of each fold from the others, from one factorisation and with the same relevances.

    With C = K + noise / counts and P = C^-1, the values y_B of a fold given the others are normal with
    mean y_B - P_BB^-1 (P y)_B and covariance P_BB^-1 (Rasmussen and Williams 2006, equation 5.12, for
    blocks). Masks beyond those of the posterior are predicted by it; the first 1000 of them have deviations.
    """
    seen, scale = signs(posterior.masks), posterior.scale
    cov = posterior.kernel(seen, seen)
    np.einsum("ii->i", cov)[:] += posterior.noise / posterior.counts
    inverse = inverse_from(factorise(cov).lower)
    solved = len(seen)
    mean, std = np.empty(len(fold)), np.empty(len(fold))
    for k in range(int(fold.max()) + 1):
        rows = np.flatnonzero(fold[:solved] == k)
        block = np.linalg.inv(inverse[np.ix_(rows, rows)])
        mean[rows] = data.values[rows] - scale * (block @ posterior.alpha[rows])
        std[rows] = scale * posterior.inflation * np.sqrt(np.diagonal(block))
    if solved < len(fold):
        mean[solved:] = posterior(data.masks[solved:])
        some = slice(solved, solved + _MOST_STD)
        std[solved:] = np.nan
        std[some] = posterior.std(data.masks[some])
    return mean, std


def fitted_of(
    name: str,
    posterior: WalshPosterior,
    held_out: Float64[np.ndarray, " m"],
    std: Float64[np.ndarray, " m"] | None,
    link: Link | None,
    seed: int,
) -> Fitted:
    """A posterior, and its predictions of held-out masks, as a member of a stack."""

    def predict(masks: Bool[np.ndarray, "k n"]) -> Float64[np.ndarray, " k"]:
        values = posterior(masks)
        return values if link is None else link(values)

    def table() -> Float64[np.ndarray, " N"]:
        terms = walsh_table(posterior.kernel, signs(posterior.masks), posterior.alpha)
        values = posterior.shift + posterior.scale * walsh_hadamard(terms)
        return values if link is None else link(values)

    def words(rates: Float64[np.ndarray, " n"], count: int) -> UInt64[np.ndarray, "s w"]:
        return read_out(
            posterior.kernel, signs(posterior.masks), posterior.alpha, rates,
            terms=count, limit=_SEARCH,
        ).words  # fmt: skip

    indices = exact(posterior.index_values) if link is None else Bent(posterior, link, seed)
    return Fitted(
        name, predict, held_out, table, indices, words, std, None if std is None else posterior
    )
