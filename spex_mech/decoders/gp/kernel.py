r"""The Walsh kernel: a prior over functions of coalitions whose spectrum is known in closed form.

With s_i = (-1)^{x_i} and one relevance theta_i > 0 per player,

    K(x, x') = a0 + a1 u + a2 exp(u - sum_i theta_i),        u = sum_i theta_i s_i s'_i.

Because exp(theta_i s_i s'_i) = cosh(theta_i) + s_i s'_i sinh(theta_i), the Fourier terms diagonalise it,
K(x, x') = sum_S lambda_S (-1)^{|S ∩ x|} (-1)^{|S ∩ x'|}, with

    lambda_S = a2 prod_i cosh(theta_i) e^{-theta_i} prod_{i in S} tanh(theta_i)
               + a1 theta_i if S = {i} + a0 if S is empty.

So prior variance falls with every player added to S, and fastest for players of little relevance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64


def signs(masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, "m n"]:
    """(-1)^{x_i}: -1.0 where a player is present, +1.0 where it is absent."""
    return 1.0 - 2.0 * masks


@dataclass(frozen=True)
class WalshKernel:
    """The kernel's parameters.

    Attributes:
        theta: float64 (n,), positive, the relevance of each player.
        constant: a0, prior variance of the mean.
        linear: a1, prior variance of single players, in units of theta.
        product: a2, prior variance of everything else.
    """

    theta: Float64[np.ndarray, " n"]
    constant: float
    linear: float
    product: float

    def __call__(
        self, rows: Float64[np.ndarray, "m n"], columns: Float64[np.ndarray, "k n"]
    ) -> Float64[np.ndarray, "m k"]:
        """Covariances K(x, x') of the coalitions of ``rows`` and ``columns``, given as `signs`."""
        inner, cov = self.parts(rows, columns)
        inner *= self.linear
        cov += inner
        cov += self.constant
        return cov

    def parts(
        self, rows: Float[np.ndarray, "m n"], columns: Float[np.ndarray, "k n"]
    ) -> tuple[Float[np.ndarray, "m k"], Float[np.ndarray, "m k"]]:
        """The parts u and a2 exp(u - sum theta) for the coalitions of ``rows`` and ``columns``."""
        inner = (rows * self.theta.astype(rows.dtype)) @ columns.T
        product = inner + float(np.log(self.product) - self.theta.sum())
        return inner, np.exp(product, out=product)

    @property
    def variance(self) -> float:
        """K(x, x), the same for every coalition."""
        return self.constant + self.linear * float(self.theta.sum()) + self.product

    @property
    def product_scale(self) -> float:
        """a2 prod_i cosh(theta_i) e^{-theta_i}: the empty set's share of the product part."""
        return float(self.product * np.prod(0.5 * (1.0 + np.exp(-2.0 * self.theta))))
