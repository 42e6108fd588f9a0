"""The posterior of a Gaussian process with a Walsh kernel, given a prior that has been learnt."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, UInt64

from spex_mech.core.errors import InputError
from spex_mech.core.evidence import known_weights
from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import sets_by_size
from spex_mech.core.masks import check_masks
from spex_mech.core.packed import degrees, players_of
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.gp.index import SizeWeight, covariances
from spex_mech.decoders.gp.indices import mean_index_values
from spex_mech.decoders.gp.kernel import WalshKernel, signs
from spex_mech.decoders.gp.likelihood import Factor, Prior, covariance, factorise
from spex_mech.decoders.gp.sizes import growth, slopes_of
from spex_mech.decoders.samples import Samples

_OWN_TERMS = 50  # of a question, beside those of the mean over all
_ENTRIES = 1 << 22  # covariances held at a time


@dataclass(frozen=True, eq=False)
class QuestionKernels:
    """How values of some questions are related to those of all.

    Attributes:
        prior: the kernels of what questions have in common and of how they differ, and an answer's noise.
        asked: float64 (m, e), the weight of each question in each value.
    """

    prior: Prior
    asked: Float64[np.ndarray, "m e"]

    @property
    def mean_kernel(self) -> WalshKernel:
        """The kernel of the mean over all questions, which is also that of the mean and one answer."""
        kernel, own = self.prior.kernel, self.own_kernel
        count = self.asked.shape[1]
        return WalshKernel(
            kernel.theta,
            kernel.constant + own.constant / count,
            kernel.linear + own.linear / count,
            kernel.product + own.product / count,
        )

    @property
    def own_kernel(self) -> WalshKernel:
        """The kernel of how one question differs from what all have in common."""
        assert self.prior.question is not None
        return WalshKernel(self.prior.kernel.theta, *self.prior.question)


@dataclass(frozen=True, eq=False)
class WalshPosterior:
    """f(x) = shift + scale sum_j alpha_j K(x, x_j): the posterior mean; call it on masks.

    Where values are of some questions only, f is the mean over all e questions. Its kernel has the amplitudes
    a + b / e, because a question's own part is shared by one question in e.

    Attributes:
        kernel: K, of the standardised values.
        noise: variance of one standardised evaluation about f.
        masks: bool (m, n), the coalitions x_j that were evaluated; distinct, unless values are of some
            questions only.
        counts: float64 (m,), how often each was, or how many questions its value is the mean of.
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
        asking: what values of some questions have beside; None where values are of all questions.
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
    asking: QuestionKernels | None = None

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
        lower = self._factor().lower
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
        self,
        words: UInt64[np.ndarray, "k w"],
        functional: IndexFunctional,
        beside: Bool[np.ndarray, "b n"] | None = None,
    ) -> Float64[np.ndarray, " k"]:
        """Standard deviation of the game's index, given that the evaluated masks' values are known.

        What no smooth f can follow is here a part of the game, independent at every coalition x and of the
        noise's variance: the prior variance of an index gains noise times the sum of the squares of its
        weights omega_T(x), and its covariance with the value of an evaluated mask noise times omega_T of
        that mask. (The mean of this process is f's plus omega_T times the residuals, see `core.evidence`.)
        Where residuals are larger at small or large coalitions, deviations grow (see `gp.sizes`).

        Args:
            words: uint64 (k, w), packed sets.
            functional: the index.
            beside: bool (b, n), distinct masks that were evaluated too. They may be among those of this
                posterior; others have no part in its mean, but are known here.
        """
        everything = self._with(beside)
        variances = everything._index_variances(words, functional)
        squares = self.residuals * self.alpha / self.inflation**2
        slopes = slopes_of(squares, self.masks.sum(axis=1), self.masks.shape[1])
        for rows, sets in sets_by_size(words):
            variances[rows] *= growth(slopes, everything.masks, sets.shape[1], functional) ** 2
        return self.scale * self.inflation * np.sqrt(np.maximum(variances, 0.0))

    def _with(self, beside: Bool[np.ndarray, "b n"] | None) -> WalshPosterior:
        """This posterior with more masks, for deviations only: its mean would change too."""
        if beside is None:
            return self
        more = [mask for mask in beside if not (self.masks == mask).all(axis=1).any()]
        if not more:
            return self
        none = np.zeros(len(more))
        return replace(
            self,
            masks=np.concatenate([self.masks, more]),
            counts=np.append(self.counts, none + 1.0),
            alpha=np.append(self.alpha, none),
        )

    def _index_variances(
        self, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional
    ) -> Float64[np.ndarray, " k"]:
        """Variances of indices of the standardised game, without ``inflation``; below 0 by rounding only."""
        from scipy.linalg import solve_triangular

        seen = signs(self.masks)
        lower = self._factor().lower
        variances = np.empty(len(words))
        for rows, sets in sets_by_size(words):
            for part, cross, prior in covariances(self.kernel, seen, sets, functional.fourier):
                known, squares = known_weights(self.masks, sets[part], functional)
                explained = solve_triangular(lower, cross + self.noise * known, lower=True)
                left = prior + self.noise * squares - np.einsum("mk,mk->k", explained, explained)
                variances[rows[part]] = left
        return variances

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
        lower = self._factor().lower
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

    def deviation_of(self, question: int) -> Spectrum:
        """How one question differs from the mean over all; see `gp.questions.deviation`.

        Raises:
            InputError: a question that there is not, or values of all questions.
        """
        from spex_mech.decoders.gp.questions import deviation  # which needs this class

        count = 0 if self.asking is None else self.asking.asked.shape[1]
        if not 0 <= question < count:
            raise InputError(
                f"there is no question {question}; "
                + (
                    f"expected 0 to {count - 1}"
                    if count
                    else "the values are means of all questions"
                )
            )
        return deviation(self, question, terms=_OWN_TERMS)

    def _factor(self) -> Factor:
        prior, asked = Prior(self.kernel, self.noise), None
        if self.asking is not None:
            prior, asked = self.asking.prior, self.asking.asked
        return _factor(prior, Samples(self.masks, self.alpha, self.counts, asked))

    def deviations(
        self,
        words: UInt64[np.ndarray, "k w"],
        values: Float64[np.ndarray, " k"],
        weight: SizeWeight,
    ) -> Float64[np.ndarray, " k"]:
        """Root mean square, under the posterior, of the sum in `moments` minus ``values``."""
        mean, std = self.moments(words, weight)
        return np.hypot(std, mean - values)


def condition(prior: Prior, data: Samples, *, shift: float, scale: float) -> WalshPosterior:
    """Exact posterior given samples. Time m^3, memory 4 m^2 floats.

    Args:
        prior: kernel and noise in standardised units.
        data: m samples, not standardised; of distinct coalitions, unless values are of some questions only.
        shift: subtracted from the values.
        scale: what the values are then divided by.
    """
    from scipy.linalg import get_lapack_funcs

    factor = _factor(prior, data)
    potrs, trtri = get_lapack_funcs(("potrs", "trtri"), (factor.lower,))
    alpha = potrs(factor.lower, (data.values - shift) / scale, lower=1)[0]
    inverse = trtri(factor.lower, lower=1, overwrite_c=1)[0]
    residuals = alpha / np.einsum("ij,ij->j", inverse, inverse)
    inflation = max(1.0, float(np.sqrt(np.mean(residuals * alpha))))  # residual / std, squared
    kernel, noise, asking = prior.kernel, prior.noise, None
    if prior.question is not None and data.asked is not None:
        count = data.asked.shape[1]
        asking = QuestionKernels(prior, data.asked)
        kernel, noise = asking.mean_kernel, prior.noise / count
    return WalshPosterior(
        kernel, noise, data.masks, data.counts, alpha, shift, scale, residuals, inflation,
        factor.jitter, asking,
    )  # fmt: skip


def _factor(prior: Prior, data: Samples) -> Factor:
    seen = signs(data.masks)
    cov = covariance(prior, seen, seen, data.overlap)
    np.einsum("ii->i", cov)[:] += prior.noise / data.counts
    return factorise(cov)
