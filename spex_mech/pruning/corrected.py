"""A surrogate corrected by what true ablations have shown: its errors, learnt by a Gaussian process.

A surrogate is most wrong where it promises most, because a search goes where its errors are high. The
errors seen so far are themselves a function of the kept set, f(x) - s(x), which is learnt with the Walsh
kernel of `walsh_gp` (a constant, single players, and smooth products). The corrected surrogate is
s(x) + E[f(x) - s(x)], with a standard deviation that is large far from all sets that were ablated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.decoders.gp.fit import condition_on, learn_in_stages
from spex_mech.decoders.gp.kernel import signs
from spex_mech.decoders.gp.likelihood import Prior, factorise, inverse_from
from spex_mech.decoders.gp.posterior import WalshPosterior
from spex_mech.decoders.samples import Samples

Surrogate = Callable[[Bool[np.ndarray, "m n"]], Float64[np.ndarray, " m"]]

_TIE = 8.0  # few errors cannot tell the players' relevances apart


@dataclass(frozen=True, eq=False)
class Corrected:
    """A surrogate and what is known of its errors; call it on masks.

    Attributes:
        surrogate: s.
        errors: the posterior of f - s; None where nothing is known.
        inverse: float64 (m, m), the inverse covariance of the errors seen, standardised, which `std` would
            otherwise compute anew for every step of a climb.
    """

    surrogate: Surrogate
    errors: WalshPosterior | None = None
    inverse: Float64[np.ndarray, "m m"] | None = None

    def __call__(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Expected values (m,) of masks (m, n), True = kept."""
        known = self.surrogate(masks)
        return known if self.errors is None else known + self.errors(masks)

    def std(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Standard deviations (m,) of f about them; zero where nothing is known of the errors."""
        known = self.errors
        if known is None or self.inverse is None:
            return np.zeros(len(masks))
        cross = known.kernel(signs(masks), signs(known.masks))
        explained = np.einsum("km,km->k", cross @ self.inverse, cross)
        variance = np.maximum(known.kernel.variance - explained, 0.0)
        return known.scale * known.inflation * np.sqrt(variance)


def learn_errors(
    surrogate: Surrogate, masks: Bool[np.ndarray, "m n"], values: Float64[np.ndarray, " m"]
) -> Prior:
    """Learn what a surrogate's errors are like: their kernel and noise.

    Args:
        surrogate: s, masks to values.
        masks: bool (m, n), distinct, two or more, that the surrogate was not fitted to.
        values: float64 (m,), the true values.
    """
    order = np.random.default_rng(0).permutation(len(masks))  # learning goes in stages
    return learn_in_stages(_errors(surrogate, masks, values).rows(order), tie=_TIE)


def correct(
    surrogate: Surrogate,
    masks: Bool[np.ndarray, "m n"],
    values: Float64[np.ndarray, " m"],
    prior: Prior,
) -> Corrected:
    """Correct a surrogate by its errors on masks; the arguments are those of `learn_errors`."""
    posterior = condition_on(prior, _errors(surrogate, masks, values))
    cov = prior.kernel(signs(masks), signs(masks)) + prior.noise * np.eye(len(masks))
    return Corrected(surrogate, posterior, inverse_from(factorise(cov).lower))


def _errors(surrogate: Surrogate, masks: np.ndarray, values: np.ndarray) -> Samples:
    return Samples(masks, values - surrogate(masks), np.ones(len(masks)))
