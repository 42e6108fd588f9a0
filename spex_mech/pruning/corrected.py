"""A surrogate that is corrected by true ablations: a Gaussian process learns its errors.

A search goes where a surrogate's errors make a set look good, so the surrogate is most wrong where its
values are highest. The errors f(x) - s(x) of the ablated sets are themselves a function of the kept set,
which is learnt with the Walsh kernel of `walsh_gp` (a constant, single players, and smooth products). The
corrected surrogate is s(x) + E[f(x) - s(x)], with a standard deviation that is large far from all sets that
were ablated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.decoders.gp.fit import condition_on, learn_in_stages
from spex_mech.decoders.gp.kernel import signs
from spex_mech.decoders.gp.likelihood import Prior, factorise, inverse_from
from spex_mech.decoders.gp.posterior import WalshPosterior
from spex_mech.decoders.samples import Samples
from spex_mech.pruning.nearby import Nearby, SetFunction, near

_ENTRIES = 1 << 20  # covariances held at a time
_TIE = 8.0  # draws the players' relevances together, which few errors cannot tell apart


@dataclass(frozen=True, eq=False)
class Corrected:
    """A surrogate plus the expected value of its errors; call it on masks.

    Attributes:
        surrogate: s.
        errors: the posterior of f - s; None before any errors were learnt.
        inverse: float64 (m, m), the inverse covariance of the ablated sets' standardised errors, computed
            once for the many calls of `std` in a climb.
    """

    surrogate: SetFunction
    errors: WalshPosterior | None = None
    inverse: Float64[np.ndarray, "m m"] | None = None

    def __call__(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Expected values (m,) of masks (m, n), True = kept."""
        values = self.surrogate(masks)
        return values if self.errors is None else values + self.errors(masks)

    def near(self, mask: Bool[np.ndarray, " n"], /) -> Nearby:
        """Expected values near a set."""
        return self.optimistic(0.0).near(mask)

    def optimistic(self, boldness: float) -> Optimistic:
        """Expected values plus ``boldness`` standard deviations, as a set function."""
        return Optimistic(self, boldness)

    def std(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Standard deviations (m,) of f about the expected values; zero before any errors were learnt."""
        errors = self.errors
        if errors is None or self.inverse is None:
            return np.zeros(len(masks))
        return _std(errors, self.inverse, errors.kernel(signs(masks), signs(errors.masks)))


@dataclass(frozen=True, eq=False)
class Optimistic:
    """A corrected surrogate's expected values plus some of its standard deviations; call it on masks.

    Attributes:
        corrected: the surrogate.
        boldness: the number of standard deviations.
    """

    corrected: Corrected
    boldness: float

    def __call__(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Values (m,) of masks (m, n), True = kept."""
        values = self.corrected(masks)
        return values + self.boldness * self.corrected.std(masks) if self.boldness else values

    def near(self, mask: Bool[np.ndarray, " n"], /) -> Nearby:
        """The values near a set."""
        plain = near(self.corrected.surrogate, mask)
        errors, inverse = self.corrected.errors, self.corrected.inverse
        if errors is None or inverse is None:
            return plain
        return _ErrorsNear(plain, errors, inverse, self.boldness, mask)


@dataclass(frozen=True, eq=False)
class _ErrorsNear:
    """A surrogate near a set, plus the posterior of its errors.

    With u_j = sum_i theta_i s_i s_ij the covariance of a set and the ablated set j is
    a0 + a1 u_j + a2 exp(u_j - sum_i theta_i). To flip player i adds -2 theta_i s_i s_ij to u_j, and
    multiplies the exponential by exp(-2 theta_i s_i s_ij).
    """

    plain: Nearby
    errors: WalshPosterior
    inverse: Float64[np.ndarray, "m m"]
    boldness: float
    mask: Bool[np.ndarray, " n"]

    @property
    def value(self) -> float:
        return self.plain.value + float(self._values(self._covariances(self._inner, self._product)))

    def flips(self) -> Float64[np.ndarray, " n"]:
        steps, factors = self._steps
        cross = self._covariances(self._inner + steps, self._product * factors)
        return self.plain.flips() + self._values(cross)

    def swaps(
        self, kept: Int64[np.ndarray, " k"], gone: Int64[np.ndarray, " g"]
    ) -> Float64[np.ndarray, "k g"]:
        steps, factors = self._steps
        out = self.plain.swaps(kept, gone)
        inner, product = self._inner + steps[gone], self._product * factors[gone]
        size = max(1, _ENTRIES // max(1, inner.size))
        for start in range(0, len(kept), size):
            part = kept[start : start + size]
            cross = self._covariances(
                inner + steps[part][:, None], product * factors[part][:, None]
            )
            out[start : start + size] += self._values(cross)
        return out

    @cached_property
    def _steps(self) -> tuple[Float64[np.ndarray, "n m"], Float64[np.ndarray, "n m"]]:
        """What flipping each player adds to u, and multiplies the exponential by."""
        steps = (-2.0 * self._signs * self.errors.kernel.theta)[:, None] * signs(
            self.errors.masks
        ).T
        return steps, np.exp(steps)

    @cached_property
    def _inner(self) -> Float64[np.ndarray, " m"]:
        return signs(self.errors.masks) @ (self._signs * self.errors.kernel.theta)

    @cached_property
    def _product(self) -> Float64[np.ndarray, " m"]:
        kernel = self.errors.kernel
        return kernel.product * np.exp(self._inner - kernel.theta.sum())

    @property
    def _signs(self) -> Float64[np.ndarray, " n"]:
        return signs(self.mask)

    def _covariances(
        self, inner: Float64[np.ndarray, "*k m"], product: Float64[np.ndarray, "*k m"]
    ) -> Float64[np.ndarray, "*k m"]:
        return self.errors.kernel.constant + self.errors.kernel.linear * inner + product

    def _values(self, cross: Float64[np.ndarray, "*k m"]) -> Float64[np.ndarray, "*k"]:
        errors = self.errors
        means = errors.shift + errors.scale * (cross @ errors.alpha)
        if not self.boldness:
            return means
        flat = cross.reshape(-1, cross.shape[-1])
        return means + self.boldness * _std(errors, self.inverse, flat).reshape(means.shape)


def _std(
    errors: WalshPosterior,
    inverse: Float64[np.ndarray, "m m"],
    cross: Float64[np.ndarray, "k m"],
) -> Float64[np.ndarray, " k"]:
    """Standard deviations of errors, from their covariances with those of the ablated sets."""
    explained = np.einsum("km,km->k", cross @ inverse, cross)
    variance = np.maximum(errors.kernel.variance - explained, 0.0)
    return errors.scale * errors.inflation * np.sqrt(variance)


def learn_errors(
    surrogate: SetFunction,
    masks: Bool[np.ndarray, "m n"],
    values: Float64[np.ndarray, " m"],
    counts: Float64[np.ndarray, " m"],
) -> Prior:
    """Learn the kernel and the noise of a surrogate's errors.

    Args:
        surrogate: s, masks to values.
        masks: bool (m, n), distinct, two or more, that the surrogate was not fitted to.
        values: float64 (m,), the true values, or estimates of them.
        counts: float64 (m,), how much each counts: the variance of its noise is divided by it.
    """
    order = np.random.default_rng(0).permutation(len(masks))  # learning goes in stages
    return learn_in_stages(_errors(surrogate, masks, values, counts).rows(order), tie=_TIE)


def correct(
    surrogate: SetFunction,
    masks: Bool[np.ndarray, "m n"],
    values: Float64[np.ndarray, " m"],
    counts: Float64[np.ndarray, " m"],
    prior: Prior,
) -> Corrected:
    """Correct a surrogate by its errors on masks, given as to `learn_errors`, which made the prior."""
    posterior = condition_on(prior, _errors(surrogate, masks, values, counts))
    cov = prior.kernel(signs(masks), signs(masks)) + np.diag(prior.noise / counts)
    return Corrected(surrogate, posterior, inverse_from(factorise(cov).lower))


def _errors(
    surrogate: SetFunction, masks: np.ndarray, values: np.ndarray, counts: np.ndarray
) -> Samples:
    return Samples(masks, values - surrogate(masks), counts)
