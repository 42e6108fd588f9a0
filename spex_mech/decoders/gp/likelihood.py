"""Learning the Walsh kernel: the marginal likelihood times a prior is maximised (type II MAP)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from spex_mech.core.errors import InputError
from spex_mech.decoders.gp.kernel import WalshKernel

_MIN_LOG_NOISE = -6.0
_LOG_NOISE, _NOISE_WEIGHT = -2.0, 2.0
_LOG_AMPLITUDE, _AMPLITUDE_WEIGHT = np.log(0.3), 0.05
TIE = 2.0
_TIED_PLAYERS = 16
_LOG_THETA_RANGE = (-16.0, 1.0)
_BLOCK = 256  # rows of a symmetric matrix that are computed together
_SINGLE_ROWS = 1000
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
    def start(
        cls, n: int, *, asked: bool = False, centre: Float64[np.ndarray, " n"] | None = None
    ) -> Prior:
        """Players of relevance 1/n, times exp ``centre``; ``asked`` where answers are of single questions."""
        theta = np.full(n, 1.0 / n) if centre is None else np.exp(centre - centre.mean()) / n
        kernel = WalshKernel(theta, 0.3, 0.3, 0.3)
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
    centre: Float64[np.ndarray, " n"] | None = None,
) -> Prior:
    """Maximise the posterior density of the logarithms of all parameters by L-BFGS.

    With 1000 values or more, matrices are of single precision: the noise on their diagonal is far larger than
    their rounding, and each step takes half of the time.

    Args:
        signs: float64 (m, n), distinct coalitions.
        values: float64 (m,), standardised; the mean of each coalition's evaluations.
        counts: float64 (m,), number of evaluations of each coalition; the noise is divided by it.
        start: where to begin.
        iterations: most iterations of L-BFGS.
        tie: how strongly the relevances are drawn towards each other.
        overlap: float64 (m, m), the chance that a question of one value is that of the other, where values
            are means over some questions: sum_j w_ij w_kj with w_ij the weight of question j in value i.
        centre: float64 (n,), what the relevances' logarithms are drawn to, up to a constant; None for zeros.
    """
    from scipy.optimize import minimize

    n = signs.shape[1]
    rows = signs.astype(np.float32) if len(signs) >= _SINGLE_ROWS else signs
    amplitudes = 3 if start.question is None else 6
    bounds = [_LOG_THETA_RANGE] * n + [(_MIN_LOG_NOISE, 3.0)] + [(-12.0, 8.0)] * amplitudes
    solution = minimize(
        lambda logs: objective(logs, rows, values, counts, tie=tie, overlap=overlap, centre=centre),
        start.pack(),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": iterations, "maxcor": 20, "ftol": 1e-7, "gtol": 1e-3},
    )
    return Prior.unpack(solution.x, n)


def objective(
    logs: Float64[np.ndarray, " p"],
    signs: Float[np.ndarray, "m n"],
    values: Float64[np.ndarray, " m"],
    counts: Float64[np.ndarray, " m"],
    *,
    tie: float = TIE,
    overlap: Float64[np.ndarray, "m m"] | None = None,
    centre: Float64[np.ndarray, " n"] | None = None,
) -> tuple[float, Float64[np.ndarray, " p"]]:
    """Minus the log posterior (up to a constant) at `Prior.pack`, and its gradient.

    -log p(y) = 1/2 y' C^-1 y + 1/2 log det C with C = K + noise / counts, plus the penalties
    tie min(1, 16 / n) sum (log theta - their mean)^2, 2 (log noise + 2)^2 and 0.05 (log a - log 0.3)^2 for
    each amplitude a. Without the factor min(1, 16 / n), the first penalty would tie many players too closely.
    A ``centre`` is subtracted from log theta in the first penalty.
    With ``overlap`` O, K has the amplitudes a + O b, entry by entry (see `Prior.question`). Matrices
    have the precision of ``signs``.
    """
    from scipy.linalg import get_lapack_funcs

    n = signs.shape[1]
    prior = Prior.unpack(logs, n)
    kernel, own = prior.kernel, prior.question or (0.0, 0.0, 0.0)
    noise = prior.noise / counts
    cov, inner, product = _upper(kernel, own, signs, overlap)
    np.einsum("ii->i", cov)[:] += noise
    factor = factorise(cov).lower
    solve, invert = get_lapack_funcs(("potrs", "potri"), (factor,))
    alpha = solve(factor, values, lower=1)[0]
    loss = 0.5 * float(values @ alpha) + float(np.log(np.diagonal(factor), dtype=np.float64).sum())
    # With G = (C^-1 - alpha alpha') / 2 the derivative by any parameter is sum(G * dC). All are symmetric, so
    # the sum over the upper triangle of 2 G, with half of its diagonal, is that over the whole.
    inverse = invert(factor, lower=1)[0].T  # its rows are contiguous; zero below the diagonal
    slope = np.zeros_like(logs)
    slope[n] = 0.5 * float(noise @ (np.diagonal(inverse) - alpha**2))
    np.einsum("ii->i", inverse)[:] *= 0.5
    for rows, columns in _blocks(len(values)):
        part = np.outer(-alpha[rows], alpha[columns])
        square = part[:, : len(part)]
        square[np.tri(len(part), k=-1, dtype=bool)] = 0.0
        np.einsum("ii->i", square)[:] *= 0.5
        part += inverse[rows, columns]
        linear, above = inner[rows, columns], product[rows, columns]
        amplitudes = (kernel.constant, kernel.linear, 1.0)
        slope[n + 1 : n + 4] += _by_amplitudes(amplitudes, part, linear, above)
        if overlap is None:
            part *= above + kernel.linear
        else:
            same = overlap[rows, columns]
            amplitudes = (own[0], own[1], own[2] / kernel.product)
            slope[n + 4 :] += _by_amplitudes(amplitudes, part * same, linear, above)
            part *= above * (1.0 + amplitudes[2] * same) + (kernel.linear + own[1] * same)
        slope[:n] += np.einsum("mn,mn->n", part @ signs[columns], signs[rows])
    of_product = slope[n + 3] + (0.0 if overlap is None else slope[n + 6])
    slope[:n] = kernel.theta * (slope[:n] - of_product)
    apart = logs[:n] if centre is None else logs[:n] - centre
    return _add_penalties(loss, slope, apart, logs[n:], tie)


def _by_amplitudes(
    amplitudes: tuple[float, float, float],
    part: Float[np.ndarray, "m k"],
    inner: Float[np.ndarray, "m k"],
    product: Float[np.ndarray, "m k"],
) -> tuple[float, float, float]:
    """Derivatives by the logarithms of the amplitudes of the constant, the linear and the product part."""
    constant, linear, rest = amplitudes
    return (
        constant * float(part.sum()),
        linear * float(np.einsum("ij,ij->", part, inner)),
        rest * float(np.einsum("ij,ij->", part, product)),
    )


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
    cov = product + prior.kernel.linear * inner
    cov += prior.kernel.constant
    cov += overlap * _own(prior.kernel, prior.question, inner, product)
    return cov


def _own(
    kernel: WalshKernel,
    own: tuple[float, float, float],
    inner: Float[np.ndarray, "m k"],
    product: Float[np.ndarray, "m k"],
) -> Float[np.ndarray, "m k"]:
    """The kernel of how questions differ, from the parts u and a2 exp(u - sum theta)."""
    return own[0] + own[1] * inner + (own[2] / kernel.product) * product


def _upper(
    kernel: WalshKernel,
    own: tuple[float, float, float],
    signs: Float[np.ndarray, "m n"],
    overlap: Float64[np.ndarray, "m m"] | None,
) -> tuple[Float[np.ndarray, "m m"], ...]:
    """Covariances among coalitions and `WalshKernel.parts` of them; zero below the diagonal blocks."""
    cov, inner, product = np.zeros((3, len(signs), len(signs)), dtype=signs.dtype)
    for rows, columns in _blocks(len(signs)):
        linear, rest = kernel.parts(signs[rows], signs[columns])
        inner[rows, columns], product[rows, columns] = linear, rest
        if overlap is not None:
            cov[rows, columns] = overlap[rows, columns] * _own(kernel, own, linear, rest)
        linear *= kernel.linear
        linear += rest
        linear += kernel.constant
        cov[rows, columns] += linear
    return cov, inner, product


def _blocks(m: int) -> Iterator[tuple[slice, slice]]:
    """Rows of a symmetric matrix, and their columns from the diagonal on."""
    for start in range(0, m, _BLOCK):
        yield slice(start, start + _BLOCK), slice(start, None)


def _add_penalties(
    loss: float,
    slope: Float64[np.ndarray, " p"],
    relevances: Float64[np.ndarray, " n"],
    others: Float64[np.ndarray, " q"],
    tie: float,
) -> tuple[float, Float64[np.ndarray, " p"]]:
    n = len(relevances)
    spread = relevances - relevances.mean()
    noise = others[0] - _LOG_NOISE
    amplitudes = others[1:] - _LOG_AMPLITUDE
    tie *= min(1.0, _TIED_PLAYERS / n)
    loss += tie * float(spread @ spread) + _NOISE_WEIGHT * float(noise**2)
    loss += _AMPLITUDE_WEIGHT * float(amplitudes @ amplitudes)
    slope[:n] += 2.0 * tie * spread
    slope[n] += 2.0 * _NOISE_WEIGHT * noise
    slope[n + 1 :] += 2.0 * _AMPLITUDE_WEIGHT * amplitudes
    return loss, slope


@dataclass(frozen=True)
class Factor:
    """A Cholesky factor, C + jitter mean(diag C) I = L L'; ``lower`` is L."""

    lower: Float[np.ndarray, "m m"]
    jitter: float


def factorise(cov: Float[np.ndarray, "m m"]) -> Factor:
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
