"""Learning the Walsh kernel: the marginal likelihood times a prior is maximised (type II MAP)."""

from __future__ import annotations

from collections.abc import Iterator
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
_BLOCK = 256  # rows of a symmetric matrix that are computed together
_JITTERS = (0.0, *(10.0**k for k in range(-12, -3)))


@dataclass(frozen=True)
class Prior:
    """A kernel and the variance of the noise of one evaluation, in units of the values' variance."""

    kernel: WalshKernel
    noise: float

    @classmethod
    def start(cls, n: int) -> Prior:
        """Equal players of relevance 1/n."""
        return cls(WalshKernel(np.full(n, 1.0 / n), 0.3, 0.3, 0.3), float(np.exp(_LOG_NOISE)))

    def pack(self) -> Float64[np.ndarray, " p"]:
        """Logarithms of theta, noise, a0, a1, a2."""
        k = self.kernel
        return np.log([*k.theta, self.noise, k.constant, k.linear, k.product])

    @classmethod
    def unpack(cls, logs: Float64[np.ndarray, " p"]) -> Prior:
        """Undo `pack`."""
        theta, (noise, a0, a1, a2) = np.exp(logs[:-4]), np.exp(logs[-4:]).tolist()
        return cls(WalshKernel(theta, a0, a1, a2), noise)


def learn(
    signs: Float64[np.ndarray, "m n"],
    values: Float64[np.ndarray, " m"],
    counts: Float64[np.ndarray, " m"],
    start: Prior,
    *,
    iterations: int,
    tie: float = TIE,
) -> Prior:
    """Maximise the posterior density of the logarithms of all parameters by L-BFGS.

    Args:
        signs: float64 (m, n), distinct coalitions.
        values: float64 (m,), standardised; the mean of each coalition's evaluations.
        counts: float64 (m,), number of evaluations of each coalition; the noise is divided by it.
        start: where to begin.
        iterations: most iterations of L-BFGS.
        tie: how strongly the relevances are drawn towards each other.
    """
    from scipy.optimize import minimize

    n = signs.shape[1]
    bounds = [_LOG_THETA_RANGE] * n + [(_MIN_LOG_NOISE, 3.0)] + [(-12.0, 8.0)] * 3
    solution = minimize(
        lambda logs: objective(logs, signs, values, counts, tie=tie),
        start.pack(),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": iterations, "maxcor": 20, "ftol": 1e-7, "gtol": 1e-3},
    )
    return Prior.unpack(solution.x)


def objective(
    logs: Float64[np.ndarray, " p"],
    signs: Float64[np.ndarray, "m n"],
    values: Float64[np.ndarray, " m"],
    counts: Float64[np.ndarray, " m"],
    *,
    tie: float = TIE,
) -> tuple[float, Float64[np.ndarray, " p"]]:
    """Minus the log posterior (up to a constant) at `Prior.pack`, and its gradient.

    -log p(y) = 1/2 y' C^-1 y + 1/2 log det C with C = K + noise / counts, plus the penalties
    tie min(1, 16 / n) sum (log theta - their mean)^2, 2 (log noise + 2)^2 and 0.05 (log a - log 0.3)^2 for
    each a. Without the factor min(1, 16 / n), the first penalty would tie many players too closely.
    """
    from scipy.linalg import get_lapack_funcs

    prior = Prior.unpack(logs)
    kernel = prior.kernel
    noise = prior.noise / counts
    cov, inner, product = _upper(kernel, signs)
    np.einsum("ii->i", cov)[:] += noise
    factor = factorise(cov).lower
    solve, invert = get_lapack_funcs(("potrs", "potri"), (factor,))
    alpha = solve(factor, values, lower=1)[0]
    loss = 0.5 * float(values @ alpha) + float(np.log(np.diagonal(factor)).sum())
    # With G = (C^-1 - alpha alpha') / 2 the derivative by any parameter is sum(G * dC). All are symmetric, so
    # the sum over the upper triangle of 2 G, with half of its diagonal, is that over the whole.
    inverse = invert(factor, lower=1)[0].T  # its rows are contiguous; zero below the diagonal
    slope = np.zeros_like(logs)
    slope[-4] = 0.5 * float(noise @ (np.diagonal(inverse) - alpha**2))
    np.einsum("ii->i", inverse)[:] *= 0.5
    for rows, columns in _blocks(len(values)):
        part = np.outer(-alpha[rows], alpha[columns])
        square = part[:, : len(part)]
        square[np.tri(len(part), k=-1, dtype=bool)] = 0.0
        np.einsum("ii->i", square)[:] *= 0.5
        part += inverse[rows, columns]
        above = product[rows, columns]
        slope[-3] += kernel.constant * part.sum()
        slope[-2] += kernel.linear * float(np.einsum("ij,ij->", part, inner[rows, columns]))
        slope[-1] += float(np.einsum("ij,ij->", part, above))
        part *= above + kernel.linear
        slope[:-4] += np.einsum("mn,mn->n", part @ signs[columns], signs[rows])
    slope[:-4] = kernel.theta * (slope[:-4] - slope[-1])
    return _add_penalties(loss, slope, logs, tie)


def _upper(
    kernel: WalshKernel, signs: Float64[np.ndarray, "m n"]
) -> tuple[Float64[np.ndarray, "m m"], ...]:
    """Covariances among coalitions and `WalshKernel.parts` of them; zero below the diagonal blocks."""
    cov, inner, product = np.zeros((3, len(signs), len(signs)))
    for rows, columns in _blocks(len(signs)):
        linear, rest = kernel.parts(signs[rows], signs[columns])
        inner[rows, columns], product[rows, columns] = linear, rest
        linear *= kernel.linear
        linear += rest
        np.add(linear, kernel.constant, out=cov[rows, columns])
    return cov, inner, product


def _blocks(m: int) -> Iterator[tuple[slice, slice]]:
    """Rows of a symmetric matrix, and their columns from the diagonal on."""
    for start in range(0, m, _BLOCK):
        yield slice(start, start + _BLOCK), slice(start, None)


def _add_penalties(
    loss: float, slope: Float64[np.ndarray, " p"], logs: Float64[np.ndarray, " p"], tie: float
) -> tuple[float, Float64[np.ndarray, " p"]]:
    spread = logs[:-4] - logs[:-4].mean()
    noise = logs[-4] - _LOG_NOISE
    amplitudes = logs[-3:] - _LOG_AMPLITUDE
    tie *= min(1.0, _TIED_PLAYERS / len(spread))
    loss += tie * float(spread @ spread) + _NOISE_WEIGHT * float(noise**2)
    loss += _AMPLITUDE_WEIGHT * float(amplitudes @ amplitudes)
    slope[:-4] += 2.0 * tie * spread
    slope[-4] += 2.0 * _NOISE_WEIGHT * noise
    slope[-3:] += 2.0 * _AMPLITUDE_WEIGHT * amplitudes
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
