"""The best set of players under linear limits, exactly: pruning as a mixed-integer programme.

In its Moebius form a sparse spectrum is f(x) = sum_T a(T) prod_{i in T} x_i. With a variable z_T for each
product of two or more players, bound by z_T <= x_i (where a(T) > 0) or z_T >= sum_{i in T} x_i - |T| + 1
(where a(T) < 0), maximising f is a linear programme in integers x (the standard linearisation: Glover and
Woolsey 1974), which HiGHS solves through `scipy.optimize.milp`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.errors import InputError
from spex_mech.indices import moebius
from spex_mech.players import PlayerSet
from spex_mech.spectrum import Spectrum

MAX_PRODUCTS = 5000


@dataclass(frozen=True, eq=False)
class Limit:
    """At most ``most`` of something: sum_i weights_i x_i <= most, x_i = 1 for a kept player.

    Attributes:
        weights: float64 (n,), what each kept player takes.
        most: what there is.
        name: what it is, for messages.
    """

    weights: Float64[np.ndarray, " n"]
    most: float
    name: str = "limit"


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best set found, and how much better another could be.

    Attributes:
        mask: bool (n,), True = kept.
        value: the sparse spectrum's value of the set.
        bound: no allowed set has a higher value.
        gap: (bound - value) / |value|, 0 where the set is proven the best.
        seconds: wall-clock time it took.
    """

    mask: Bool[np.ndarray, " n"]
    value: float
    bound: float
    gap: float
    seconds: float


def per_layer(players: PlayerSet, most: int) -> list[Limit]:
    """At most ``most`` kept players in each layer.

    Raises:
        InputError: players that have no layers.
    """
    layers = [player.layer for player in players]
    if None in layers:
        raise InputError("per_layer needs players of a model's layers, such as heads or KV groups")
    owner = np.array(layers)
    return [
        Limit((owner == layer).astype(np.float64), most, f"players of layer {layer}")
        for layer in np.unique(owner).tolist()
    ]


def best_set(
    spectrum: Spectrum,
    *,
    keep: int | None = None,
    limits: Sequence[Limit] = (),
    seconds: float = 10.0,
) -> Optimum:
    """The set of players with the highest value of the sparse terms, under a size and linear limits.

    Args:
        spectrum: its terms are maximised, not its predictor.
        keep: how many players to keep; None leaves the number to the limits.
        limits: further limits.
        seconds: wall-clock time after which the best set so far is returned with its gap.

    Raises:
        InputError: limits that no set satisfies, or that are not of these players; more than 5,000
            products of players; no set found in time.
    """
    from scipy.optimize import Bounds, milp

    n = spectrum.n
    rows = _limit_rows(n, keep, limits)
    alone, products, weights = _terms(spectrum)
    cost = -np.concatenate([alone, weights])
    integral = np.concatenate([np.ones(n), np.zeros(len(products))])
    began = time.monotonic()
    found = milp(
        cost, constraints=_constraints(n, products, weights, rows), integrality=integral,
        bounds=Bounds(0.0, 1.0), options={"time_limit": seconds},
    )  # fmt: skip
    took = time.monotonic() - began
    if found.x is None:
        if found.status == 2:
            names = ", ".join(limit.name for limit in limits)
            raise InputError(
                f"no set of {'any size' if keep is None else keep} of {n} players satisfies the "
                f"limits ({names}); loosen one"
            )
        raise InputError(
            f"no set was found in {seconds} s ({found.message}); give more seconds, or keep fewer "
            "terms with spectrum.truncate(k)"
        )
    mask = found.x[:n] > 0.5
    sparse = Spectrum(spectrum.words, spectrum.coefficients, n)
    value = float(sparse(mask[None])[0])
    constant = float(spectrum.coefficients.sum())  # f of no players
    bound = max(value, constant - float(found.mip_dual_bound))
    gap = (bound - value) / max(abs(value), 1e-12)
    return Optimum(mask, value, bound, gap if gap > 1e-6 else 0.0, took)


def _terms(
    spectrum: Spectrum,
) -> tuple[Float64[np.ndarray, " n"], list[tuple[int, ...]], Float64[np.ndarray, " p"]]:
    """Moebius coefficients of single players, and the larger sets with theirs."""
    table = moebius(Spectrum(spectrum.words, spectrum.coefficients, spectrum.n)).values
    alone = np.zeros(spectrum.n)
    for players, value in table.items():
        if len(players) == 1:
            alone[players[0]] = value
    products = [players for players in table if len(players) > 1]
    if len(products) > MAX_PRODUCTS:
        raise InputError(
            f"the spectrum has {len(products)} products of players, at most {MAX_PRODUCTS} are "
            "programmed; keep fewer terms with spectrum.truncate(k)"
        )
    return alone, products, np.array([table[players] for players in products])


def _limit_rows(n: int, keep: int | None, limits: Sequence[Limit]) -> list[tuple]:
    rows: list[tuple[npt.NDArray, float, float]] = []
    if keep is not None:
        if not 0 <= keep <= n:
            raise InputError(f"keep is {keep}, expected a number of players from 0 to {n}")
        rows.append((np.ones(n), keep, keep))
    for limit in limits:
        weights = np.asarray(limit.weights, dtype=np.float64)
        if weights.shape != (n,) or not np.isfinite(weights).all():
            raise InputError(
                f"{limit.name} has weights of shape {weights.shape}, expected a finite number for "
                f"each of {n} players"
            )
        rows.append((weights, -np.inf, limit.most))
    return rows


def _constraints(
    n: int, products: list[tuple[int, ...]], weights: Float64[np.ndarray, " p"], limits: list[tuple]
):
    """One sparse matrix of all constraints, and its bounds."""
    from scipy.optimize import LinearConstraint
    from scipy.sparse import coo_array

    row: list[int] = []
    column: list[int] = []
    entry: list[float] = []
    low: list[float] = []
    high: list[float] = []

    def add(columns: Sequence[int], entries: Sequence[float], least: float, most: float) -> None:
        row.extend([len(low)] * len(columns))
        column.extend(columns)
        entry.extend(entries)
        low.append(least)
        high.append(most)

    for k, (players, weight) in enumerate(zip(products, weights, strict=True)):
        if weight > 0:
            for i in players:
                add((n + k, i), (1.0, -1.0), -np.inf, 0.0)
        else:
            add((n + k, *players), (1.0, *[-1.0] * len(players)), 1.0 - len(players), np.inf)
    for entries, least, most in limits:
        add(range(n), entries.tolist(), least, most)
    if not low:  # nothing binds
        add((0,), (1.0,), 0.0, 1.0)
    matrix = coo_array((entry, (row, column)), shape=(len(low), n + len(products))).tocsr()
    return LinearConstraint(matrix, np.array(low), np.array(high))  # pyright: ignore[reportArgumentType]
