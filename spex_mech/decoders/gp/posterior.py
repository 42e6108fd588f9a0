"""The posterior of a Gaussian process with a Walsh kernel, given a prior that has been learnt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, UInt64

from spex_mech.core.evidence import known_weights
from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import sets_by_size
from spex_mech.core.masks import check_masks
from spex_mech.core.packed import degrees, players_of
from spex_mech.decoders.gp.index import SizeWeight, covariances
from spex_mech.decoders.gp.indices import mean_index_values
from spex_mech.decoders.gp.kernel import WalshKernel, signs
from spex_mech.decoders.gp.likelihood import Factor, Prior, factorise

_ENTRIES = 1 << 22  # covariances held at a time


@dataclass(frozen=True, eq=False)
class WalshPosterior:
    """f(x) = shift + scale sum_j alpha_j K(x, x_j): the posterior mean; call it on masks.

    Attributes:
        kernel: K, of the standardised values.
        noise: variance of one standardised evaluation about f.
        masks: bool (m, n), the distinct coalitions x_j that were evaluated.
        counts: float64 (m,), how often each was.
        alpha: float64 (m,).
        shift: what was subtracted from the values.
        scale: what the values were then divided by.
        residuals: float64 (m,), standardised: the mean value of x_j minus what the posterior of all
            other coalitions predicts, in closed form: alpha_j / (C^-1)_jj with C = K + noise / counts
            (Rasmussen and Williams 2006, equation 5.12).
        inflation: factor of all standard deviations, at least 1: the root mean square of those
            residuals in units of what the posterior of the others expects of them, noise included.
            (The noise was learnt on clipped values.)
        jitter: what the Cholesky factorisation had to add to the diagonal of C, as a part of its mean.
    """

    kernel: WalshKernel
    noise: float
    masks: Bool[np.ndarray, "m n"]
    counts: Float64[np.ndarray, " m"]
    alpha: Float64[np.ndarray, " m"]
    shift: float
    scale: float
    residuals: Float64[np.ndarray, " m"]
    inflation: float
    jitter: float

    def __call__(self, masks: Bool[np.ndarray, "k n"]) -> Float64[np.ndarray, " k"]:
        """The posterior mean at masks (k, n), True = present; float64 (k,)."""
        masks = check_masks(masks, self.masks.shape[1])
        seen = signs(self.masks)
        out = np.empty(len(masks))
        step = max(1, _ENTRIES // len(seen))
        for start in range(0, len(masks), step):
            rows = slice(start, start + step)
            out[rows] = self.kernel(signs(masks[rows]), seen) @ self.alpha
        return self.shift + self.scale * out

    def std(
        self, masks: Bool[np.ndarray, "k n"], *, noise: bool = True
    ) -> Float64[np.ndarray, " k"]:
        """Standard deviation of one evaluation at each mask (k, n), or of f itself without ``noise``.

        In a deterministic game, whatever part of the values no smooth f can follow counts as noise, so
        they have to be compared with the standard deviation that includes the noise. The covariance of
        the evaluated masks is factorised in every call.
        """
        from scipy.linalg import solve_triangular

        masks = check_masks(masks, self.masks.shape[1])
        seen = signs(self.masks)
        lower = _factor(Prior(self.kernel, self.noise), seen, self.counts).lower
        out = np.empty(len(masks))
        step = max(1, _ENTRIES // len(seen))
        for start in range(0, len(masks), step):
            rows = slice(start, start + step)
            cross = self.kernel(seen, signs(masks[rows]))
            explained = solve_triangular(lower, cross, lower=True, overwrite_b=True)
            out[rows] = self.kernel.variance - np.einsum("mk,mk->k", explained, explained)
        out = np.maximum(out, 0.0) + (self.noise if noise else 0.0)
        return self.scale * self.inflation * np.sqrt(out)

    def index_values(
        self, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional
    ) -> Float64[np.ndarray, " k"]:
        """The interaction index of the posterior mean, of packed sets (k, w); float64 (k,)."""
        seen = signs(self.masks)
        values = mean_index_values(self.kernel, seen, self.alpha, words, functional)
        empty = np.where(words.any(axis=1), 0.0, self.shift * functional.fourier(0, 0))
        return empty + self.scale * values

    def index_std(
        self, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional
    ) -> Float64[np.ndarray, " k"]:
        """Standard deviation of the game's index, given that the evaluated masks' values are known.

        What no smooth f can follow is here a part of the game, independent at every coalition x and of the
        noise's variance: the prior variance of an index gains noise times the sum of the squares of its
        weights omega_T(x), and its covariance with the value of an evaluated mask noise times omega_T of
        that mask. (The mean of this process is f's plus omega_T times the residuals, see `core.evidence`.)
        """
        from scipy.linalg import solve_triangular

        seen = signs(self.masks)
        lower = _factor(Prior(self.kernel, self.noise), seen, self.counts).lower
        variances = np.empty(len(words))
        for rows, sets in sets_by_size(words):
            for part, cross, prior in covariances(self.kernel, seen, sets, functional.fourier):
                known, squares = known_weights(self.masks, sets[part], functional)
                explained = solve_triangular(lower, cross + self.noise * known, lower=True)
                left = prior + self.noise * squares - np.einsum("mk,mk->k", explained, explained)
                variances[rows[part]] = left
        return self.scale * self.inflation * np.sqrt(np.maximum(variances, 0.0))

    def moments(
        self, words: UInt64[np.ndarray, "k w"], weight: SizeWeight
    ) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
        """Posterior mean and standard deviation of sum_{S ⊇ T} weight(|S|, |T|) F(S), for each T.

        Args:
            words: uint64 (k, w), the sets T as `packed.pack_supports` packs them.
            weight: from the sizes of S and T to a number; 1.0 for equal sizes and 0.0 otherwise asks
                for F(T) itself.

        Returns:
            Means (k,) and standard deviations (k,), float64.
        """
        from scipy.linalg import solve_triangular

        seen = signs(self.masks)
        lower = _factor(Prior(self.kernel, self.noise), seen, self.counts).lower
        means, variances = np.empty(len(words)), np.empty(len(words))
        sizes = degrees(words)
        for size in np.unique(sizes).tolist():
            rows = np.flatnonzero(sizes == size)
            sets = players_of(words[rows], size)
            for part, cross, prior in covariances(self.kernel, seen, sets, weight):
                known = self.shift * weight(0, 0) if size == 0 else 0.0
                means[rows[part]] = known + self.scale * (self.alpha @ cross)
                explained = solve_triangular(lower, cross, lower=True)
                variances[rows[part]] = prior - np.einsum("mk,mk->k", explained, explained)
        deviations = np.sqrt(np.maximum(variances, 0.0))
        return means, self.scale * self.inflation * deviations

    def deviations(
        self,
        words: UInt64[np.ndarray, "k w"],
        values: Float64[np.ndarray, " k"],
        weight: SizeWeight,
    ) -> Float64[np.ndarray, " k"]:
        """Root mean square, under the posterior, of the sum in `moments` minus ``values``."""
        mean, std = self.moments(words, weight)
        return np.hypot(std, mean - values)


def condition(
    prior: Prior,
    masks: Bool[np.ndarray, "m n"],
    values: Float64[np.ndarray, " m"],
    counts: Float64[np.ndarray, " m"],
    *,
    shift: float,
    scale: float,
) -> WalshPosterior:
    """Exact posterior given the mean ``values`` of distinct coalitions. Time m^3, memory 4 m^2 floats.

    Args:
        prior: kernel and noise in standardised units.
        masks: bool (m, n), distinct.
        values: float64 (m,), not standardised.
        counts: float64 (m,), evaluations behind each value.
        shift: subtracted from the values.
        scale: what the values are then divided by.
    """
    from scipy.linalg import get_lapack_funcs

    factor = _factor(prior, signs(masks), counts)
    potrs, trtri = get_lapack_funcs(("potrs", "trtri"), (factor.lower,))
    alpha = potrs(factor.lower, (values - shift) / scale, lower=1)[0]
    inverse = trtri(factor.lower, lower=1, overwrite_c=1)[0]
    residuals = alpha / np.einsum("ij,ij->j", inverse, inverse)
    inflation = max(1.0, float(np.sqrt(np.mean(residuals * alpha))))  # residual / std, squared
    return WalshPosterior(
        prior.kernel, prior.noise, masks, counts, alpha, shift, scale, residuals, inflation,
        factor.jitter,
    )  # fmt: skip


def _factor(
    prior: Prior, seen: Float64[np.ndarray, "m n"], counts: Float64[np.ndarray, " m"]
) -> Factor:
    cov = prior.kernel(seen, seen)
    np.einsum("ii->i", cov)[:] += prior.noise / counts
    return factorise(cov)
