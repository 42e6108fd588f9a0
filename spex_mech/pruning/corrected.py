"""A surrogate that is corrected by true ablations: a Gaussian process learns its errors.

A search goes where a surrogate's errors make a set look good, so the surrogate is most wrong where its
values are highest. The errors f(x) - s(x) of the ablated sets are themselves a function of the kept set,
which is learnt with the Walsh kernel of `walsh_gp` (a constant, single players, and smooth products). The
corrected surrogate is s(x) + E[f(x) - s(x)], with a standard deviation that is large far from all sets that
were ablated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.decoders.gp.fit import condition_on, learn_in_stages
from spex_mech.decoders.gp.kernel import signs
from spex_mech.decoders.gp.likelihood import Prior, factorise, inverse_from
from spex_mech.decoders.gp.posterior import WalshPosterior
from spex_mech.decoders.samples import Samples
from spex_mech.pruning.moves import SetFunction

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

    def std(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Standard deviations (m,) of f about the expected values; zero before any errors were learnt."""
        errors = self.errors
        if errors is None or self.inverse is None:
            return np.zeros(len(masks))
        cross = errors.kernel(signs(masks), signs(errors.masks))
        explained = np.einsum("km,km->k", cross @ self.inverse, cross)
        variance = np.maximum(errors.kernel.variance - explained, 0.0)
        return errors.scale * errors.inflation * np.sqrt(variance)


def learn_errors(
    surrogate: SetFunction, masks: Bool[np.ndarray, "m n"], values: Float64[np.ndarray, " m"]
) -> Prior:
    """Learn the kernel and the noise of a surrogate's errors.

    Args:
        surrogate: s, masks to values.
        masks: bool (m, n), distinct, two or more, that the surrogate was not fitted to.
        values: float64 (m,), the true values.
    """
    order = np.random.default_rng(0).permutation(len(masks))  # learning goes in stages
    return learn_in_stages(_errors(surrogate, masks, values).rows(order), tie=_TIE)


def correct(
    surrogate: SetFunction,
    masks: Bool[np.ndarray, "m n"],
    values: Float64[np.ndarray, " m"],
    prior: Prior,
) -> Corrected:
    """Correct a surrogate by its errors on masks, given as to `learn_errors`, which made the prior."""
    posterior = condition_on(prior, _errors(surrogate, masks, values))
    cov = prior.kernel(signs(masks), signs(masks)) + prior.noise * np.eye(len(masks))
    return Corrected(surrogate, posterior, inverse_from(factorise(cov).lower))


def _errors(surrogate: SetFunction, masks: np.ndarray, values: np.ndarray) -> Samples:
    return Samples(masks, values - surrogate(masks), np.ones(len(masks)))
