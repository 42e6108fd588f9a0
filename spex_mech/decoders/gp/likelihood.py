"""Learning the Walsh kernel: the marginal likelihood times a prior is maximised (type II MAP)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.decoders.gp.kernel import WalshKernel

_MIN_LOG_NOISE = -6.0
_LOG_NOISE, _NOISE_WEIGHT = -2.0, 2.0
_LOG_AMPLITUDE, _AMPLITUDE_WEIGHT = np.log(0.3), 0.05
TIE = 2.0
_TIED_PLAYERS = 16
_LOG_THETA_RANGE = (-16.0, 1.0)
_JITTERS = (0.0, *(10.0**k for k in range(-12, -3)))


@dataclass(frozen=True)
class Prior:
    """A kernel and the variance of the noise of one evaluation, in units of the values' variance.

    Attributes:
        kernel: of what all questions have in common; of the values, where masks were asked all questions.
        noise: variance of the noise of one evaluation; of one answer, where answers are known.
        question: b0, b1 and b2, the amplitudes of the kernel of how single questions differ from that: their
            levels, single players, and everything else, with the same relevances. None without answers.
    """

    kernel: WalshKernel
    noise: float
    question: tuple[float, float, float] | None = None

    @classmethod
    def start(cls, n: int, *, asked: bool = False) -> Prior:
        """Equal players of relevance 1/n; ``asked`` where answers to single questions are known."""
        kernel = WalshKernel(np.full(n, 1.0 / n), 0.3, 0.3, 0.3)
        return cls(kernel, float(np.exp(_LOG_NOISE)), (0.3, 0.1, 0.1) if asked else None)

    def pack(self) -> Float64[np.ndarray, " p"]:
        """Logarithms of theta, noise, a0, a1, a2, and b0, b1, b2 where there are any."""
        k = self.kernel
        return np.log(
            [*k.theta, self.noise, k.constant, k.linear, k.product, *(self.question or ())]
        )

    @classmethod
    def unpack(cls, logs: Float64[np.ndarray, " p"], n: int) -> Prior:
        """Undo `pack` for ``n`` players."""
        theta, (noise, a0, a1, a2, *rest) = np.exp(logs[:n]), np.exp(logs[n:]).tolist()
        return cls(WalshKernel(theta, a0, a1, a2), noise, tuple(rest) if rest else None)


def learn(
    signs: Float64[np.ndarray, "m n"],
    values: Float64[np.ndarray, " m"],
    counts: Float64[np.ndarray, " m"],
    start: Prior,
    *,
    iterations: int,
    tie: float = TIE,
    overlap: Float64[np.ndarray, "m m"] | None = None,
) -> Prior:
    """Maximise the posterior density of the logarithms of all parameters by L-BFGS.

    Args:
        signs: float64 (m, n), distinct coalitions.
        values: float64 (m,), standardised; the mean of each coalition's evaluations.
        counts: float64 (m,), number of evaluations of each coalition; the noise is divided by it.
        start: where to begin.
        iterations: most iterations of L-BFGS.
        tie: how strongly the relevances are drawn towards each other.
        overlap: float64 (m, m), the chance that a question of one value is that of the other, where values
            are means over some questions: sum_j w_ij w_kj with w_ij the weight of question j in value i.
    """
    from scipy.optimize import minimize

    n = signs.shape[1]
    amplitudes = 3 if start.question is None else 6
    bounds = [_LOG_THETA_RANGE] * n + [(_MIN_LOG_NOISE, 3.0)] + [(-12.0, 8.0)] * amplitudes
    solution = minimize(
        lambda logs: objective(logs, signs, values, counts, tie=tie, overlap=overlap),
        start.pack(),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": iterations, "maxcor": 20, "ftol": 1e-7, "gtol": 1e-3},
    )
    return Prior.unpack(solution.x, n)


def objective(
    logs: Float64[np.ndarray, " p"],
    signs: Float64[np.ndarray, "m n"],
    values: Float64[np.ndarray, " m"],
    counts: Float64[np.ndarray, " m"],
    *,
    tie: float = TIE,
    overlap: Float64[np.ndarray, "m m"] | None = None,
) -> tuple[float, Float64[np.ndarray, " p"]]:
    """Minus the log posterior (up to a constant) at `Prior.pack`, and its gradient.

    -log p(y) = 1/2 y' C^-1 y + 1/2 log det C with C = K + noise / counts, plus the penalties
    tie min(1, 16 / n) sum (log theta - their mean)^2, 2 (log noise + 2)^2 and 0.05 (log a - log 0.3)^2 for
    each amplitude a. Without the factor min(1, 16 / n), the first penalty would tie many players too closely.
    With ``overlap`` O, K has the amplitudes a + O b, entry by entry (see `Prior.question`).
    """
    n = signs.shape[1]
    prior = Prior.unpack(logs, n)
    kernel = prior.kernel
    inner, product = kernel.parts(signs, signs)
    shared = None if overlap is None or prior.question is None else (prior.question, overlap)
    noise = prior.noise / counts
    cov = _covariance(kernel, inner, product, shared)
    np.einsum("ii->i", cov)[:] += noise
    factor = factorise(cov).lower
    inverse = inverse_from(factor)
    alpha = inverse @ values
    loss = 0.5 * float(values @ alpha) + float(np.log(np.diagonal(factor)).sum())
    # With G = (C^-1 - alpha alpha') / 2 the derivative by any parameter is sum(G * dC).
    inverse -= np.outer(alpha, alpha)
    inverse *= 0.5
    of_product = float(np.vdot(inverse, product))
    of_linear = kernel.linear * float(np.vdot(inverse, inner))
    slope = np.empty_like(logs)
    slope[n] = noise @ np.diagonal(inverse)
    slope[n + 1 : n + 4] = kernel.constant * inverse.sum(), of_linear, of_product
    if shared is None:
        product += kernel.linear
    else:
        (b0, b1, b2), overlap = shared
        both = inverse * overlap
        of_own = b2 / kernel.product * float(np.vdot(both, product))
        slope[n + 4 :] = b0 * both.sum(), b1 * float(np.vdot(both, inner)), of_own
        of_product += of_own
        product *= 1.0 + b2 / kernel.product * overlap
        product += kernel.linear
        product += b1 * overlap
    product *= inverse
    slope[:n] = kernel.theta * (np.einsum("mn,mn->n", product @ signs, signs) - of_product)
    return _add_penalties(loss, slope, logs, tie, n)


def covariance(
    prior: Prior,
    rows: Float64[np.ndarray, "m n"],
    columns: Float64[np.ndarray, "k n"],
    overlap: Float64[np.ndarray, "m k"] | None = None,
) -> Float64[np.ndarray, "m k"]:
    """Covariances of values at the coalitions of ``rows`` and ``columns``, without noise.

    Args:
        prior: the kernel.
        rows: coalitions as `kernel.signs`.
        columns: coalitions as `kernel.signs`.
        overlap: see `learn`; None for values of all questions of a game.
    """
    if overlap is None or prior.question is None:
        return prior.kernel(rows, columns)
    inner, product = prior.kernel.parts(rows, columns)
    return _covariance(prior.kernel, inner, product, (prior.question, overlap))


def _covariance(
    kernel: WalshKernel,
    inner: Float64[np.ndarray, "m k"],
    product: Float64[np.ndarray, "m k"],
    shared: tuple[tuple[float, float, float], Float64[np.ndarray, "m k"]] | None,
) -> Float64[np.ndarray, "m k"]:
    """The kernel from its parts u and a2 exp(u - sum theta)."""
    cov = product + kernel.linear * inner
    cov += kernel.constant
    if shared is not None:
        (b0, b1, b2), overlap = shared
        cov += overlap * (b0 + b1 * inner + (b2 / kernel.product) * product)
    return cov


def _add_penalties(
    loss: float,
    slope: Float64[np.ndarray, " p"],
    logs: Float64[np.ndarray, " p"],
    tie: float,
    n: int,
) -> tuple[float, Float64[np.ndarray, " p"]]:
    spread = logs[:n] - logs[:n].mean()
    noise = logs[n] - _LOG_NOISE
    amplitudes = logs[n + 1 :] - _LOG_AMPLITUDE
    tie *= min(1.0, _TIED_PLAYERS / len(spread))
    loss += tie * float(spread @ spread) + _NOISE_WEIGHT * float(noise**2)
    loss += _AMPLITUDE_WEIGHT * float(amplitudes @ amplitudes)
    slope[:n] += 2.0 * tie * spread
    slope[n] += 2.0 * _NOISE_WEIGHT * noise
    slope[n + 1 :] += 2.0 * _AMPLITUDE_WEIGHT * amplitudes
    return loss, slope


@dataclass(frozen=True)
class Factor:
    """A Cholesky factor, C + jitter mean(diag C) I = L L'; ``lower`` is L."""

    lower: Float64[np.ndarray, "m m"]
    jitter: float


def factorise(cov: Float64[np.ndarray, "m m"]) -> Factor:
    """Cholesky factor of a covariance, with the least jitter of 0, 1e-12, 1e-11, ... that works.

    Raises:
        InputError: even 1e-4 of the mean variance on the diagonal does not make it definite.
    """
    from scipy.linalg import get_lapack_funcs

    (potrf,) = get_lapack_funcs(("potrf",), (cov,))
    mean = float(np.diagonal(cov).mean())
    for jitter in _JITTERS:
        trial = cov
        if jitter:
            trial = cov.copy()
            np.einsum("ii->i", trial)[:] += jitter * mean
        # Fortran order of a symmetric matrix is its transpose: no copy on the way in.
        lower, failed = potrf(trial.T, lower=1, clean=1)
        if not failed:
            return Factor(lower, jitter)
    raise InputError(
        f"a covariance of {len(cov)} masks is not positive definite; its values are degenerate: "
        "scale them to moderate size or use proxyspex"
    )


def inverse_from(lower: Float64[np.ndarray, "m m"]) -> Float64[np.ndarray, "m m"]:
    """The full inverse of C from its Cholesky factor L."""
    from scipy.linalg import get_lapack_funcs

    (potri,) = get_lapack_funcs(("potri",), (lower,))
    half, _ = potri(lower, lower=1)  # zero above the diagonal, as L is
    inverse = half + half.T
    np.einsum("ii->i", inverse)[:] = np.diagonal(half)
    return inverse
