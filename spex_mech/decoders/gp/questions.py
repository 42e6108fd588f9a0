"""How single questions differ from their mean, read off a Gaussian process of answers."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.gp.kernel import WalshKernel, signs
from spex_mech.decoders.gp.posterior import WalshPosterior
from spex_mech.decoders.gp.readout import read_out

_SEARCH = 50_000  # terms to evaluate in search of the largest, with more than 20 players
_RATE_RANGE = (0.02, 0.98)


def deviation(posterior: WalshPosterior, question: int, *, terms: int) -> Spectrum:
    """What one question has beside the mean over all questions: its largest terms, and all of it to predict.

    Args:
        posterior: of answers to single questions.
        question: the question's position.
        terms: terms to read out, ranked at the keep rates of the masks.
    """
    own, alpha = _own(posterior)
    alpha = alpha[:, question]
    seen, scale = signs(posterior.masks), posterior.scale
    readout = read_out(own, seen, alpha, rates_of(posterior), terms=terms, limit=_SEARCH)

    def predict(masks: np.ndarray) -> np.ndarray:
        return scale * (own(signs(masks), seen) @ alpha)

    info = {"method": "walsh_gp", "exact_readout": readout.exact}
    n = posterior.masks.shape[1]
    return Spectrum(readout.words, scale * readout.coefficients, n, info, predict)


def effects(posterior: WalshPosterior) -> Float64[np.ndarray, "n e"]:
    """What each part is worth to each question: the mean change of its value when the part is present.

    The other parts are present independently at the masks' keep rates. With f = sum_S G(S) prod_S phi_i
    in the basis of `gp.readout`, it is -2 G({i}) / sigma_i.
    """
    own, alpha = _own(posterior)
    every = _singles(posterior, posterior.kernel, posterior.alpha[:, None])
    return posterior.scale * (every + _singles(posterior, own, alpha))


def rates_of(posterior: WalshPosterior) -> Float64[np.ndarray, " n"]:
    """How often each player is present in the masks of a posterior, within .02 and .98."""
    return np.clip(posterior.masks.mean(axis=0), *_RATE_RANGE)


def _own(posterior: WalshPosterior) -> tuple[WalshKernel, Float64[np.ndarray, "m e"]]:
    """The kernel of how questions differ, and each question's weights alpha_i (w_ij - 1 / e)."""
    assert posterior.asking is not None
    asked = posterior.asking.asked
    return posterior.asking.own_kernel, posterior.alpha[:, None] * (asked - 1.0 / asked.shape[1])


def _singles(
    posterior: WalshPosterior, kernel: WalshKernel, alpha: Float64[np.ndarray, "m e"]
) -> Float64[np.ndarray, "n e"]:
    """-2 G({i}) / sigma_i of sum_j alpha_j K(x, x_j), for several alphas at once (see `gp.search`)."""
    s = signs(posterior.masks)
    mean = 1.0 - 2.0 * rates_of(posterior)
    t = np.tanh(kernel.theta)
    # E[exp part given x_j] is a product over players; dropping player i's factor leaves t_i s_ij.
    factors = 1.0 + s * (mean * t)
    weight = np.exp(np.log(factors).sum(axis=1))
    first = (s * t / factors).T @ (kernel.product_scale * weight[:, None] * alpha)
    linear = (kernel.linear * kernel.theta)[:, None] * (s.T @ alpha)
    return -2.0 * (first + linear)
