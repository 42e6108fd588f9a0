"""The best set of players under linear limits, exactly: pruning as a mixed-integer programme.

In its Moebius form a sparse spectrum is f(x) = sum_T a(T) prod_{i in T} x_i. With a variable z_T for each
product of two or more players, bound by z_T <= x_i (where a(T) > 0) or z_T >= sum_{i in T} x_i - |T| + 1
(where a(T) < 0), maximising f is a linear programme in integers x (the standard linearisation: Glover and
Woolsey 1974), which HiGHS solves through `scipy.optimize.milp`. A group that lives while any of its players
is kept has a variable y_g >= x_i for each of them; because it only ever costs, it needs no integrality.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.interactions import moebius
from spex_mech.core.limits import Limit, check_limits, per_layer
from spex_mech.core.spectrum import Spectrum

__all__ = ["Limit", "Optimum", "best_set", "least_used", "per_layer"]

MAX_PRODUCTS = 5000
_LEAST_SECONDS = 5.0


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
    n = spectrum.n
    _check(n, keep, limits)
    alone, products, weights = _terms(spectrum)
    began = time.monotonic()
    found = _solve(n, -alone, products, -weights, keep, limits, seconds)
    took = time.monotonic() - began
    if found.x is None:
        if found.status == 2:
            raise InputError(_infeasible(n, keep, limits))
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


def least_used(n: int, keep: int | None, limits: Sequence[Limit], which: int) -> float | None:
    """The least that one of the limits can come to, for sets within all the others.

    Args:
        n: number of players.
        keep: how many of them to keep; None for any number.
        limits: the limits.
        which: position of the one.

    Returns:
        Its least use; None if no set satisfies the others.
    """
    limit = limits[which]
    others = [other for k, other in enumerate(limits) if k != which]
    # The limit itself without a bound makes its groups' variables, whose sum is then minimised.
    free = Limit(limit.weights, np.inf, limit.name, limit.groups)
    cost = np.asarray(limit.weights, dtype=np.float64)
    prices = np.array([weight for _, weight in limit.groups])
    found = _solve(n, cost, [], np.zeros(0), keep, [free, *others], _LEAST_SECONDS, prices)
    return None if found.x is None else float(limit.used(found.x[None, :n] > 0.5)[0])


def _check(n: int, keep: int | None, limits: Sequence[Limit]) -> None:
    if keep is not None and not 0 <= keep <= n:
        raise InputError(f"keep is {keep}, expected a number of players from 0 to {n}")
    check_limits(limits, n)


def _solve(
    n: int,
    cost: Float64[np.ndarray, " n"],
    products: list[tuple[int, ...]],
    prices: Float64[np.ndarray, " p"],
    keep: int | None,
    limits: Sequence[Limit],
    seconds: float,
    first_groups: Float64[np.ndarray, " g"] | None = None,
) -> Any:
    """Minimise cost of players + prices of products (+ those of the first limit's groups)."""
    from scipy.optimize import Bounds, milp

    groups = sum(len(limit.groups) for limit in limits)
    of_groups = np.zeros(groups)
    if first_groups is not None:
        of_groups[: len(first_groups)] = first_groups
    whole = np.concatenate([cost, prices, of_groups])
    integral = np.concatenate([np.ones(n), np.zeros(len(products) + groups)])
    return milp(
        whole, constraints=_constraints(n, products, prices, keep, limits), integrality=integral,
        bounds=Bounds(0.0, 1.0), options={"time_limit": seconds},
    )  # fmt: skip


def _infeasible(n: int, keep: int | None, limits: Sequence[Limit]) -> str:
    """Which limit cannot be kept, and the least it would have to be."""
    size = "any size" if keep is None else keep
    names = ", ".join(limit.name for limit in limits)
    start = f"no set of {size} of {n} players satisfies the limits ({names}): "
    for together in (False, True):
        for k, limit in enumerate(limits):
            least = least_used(n, keep, limits, k) if together else least_used(n, keep, [limit], 0)
            if least is not None and not least <= limit.most:
                with_others = " beside the others" if together else ""
                return (
                    f"{start}{limit.name} takes at least {least:g}{with_others} and may take "
                    f"{limit.most:g}; raise it"
                    + ("" if keep is None else ", or keep fewer players")
                )
    return f"{start}they exclude each other; loosen one"


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


def _constraints(
    n: int,
    products: list[tuple[int, ...]],
    prices: Float64[np.ndarray, " p"],
    keep: int | None,
    limits: Sequence[Limit],
):
    """One sparse matrix of all constraints, and its bounds.

    Columns: the players, the products, then the groups of all limits.
    """
    from scipy.optimize import LinearConstraint
    from scipy.sparse import coo_array

    row: list[int] = []
    column: list[int] = []
    entry: list[float] = []
    low: list[float] = []
    high: list[float] = []

    def add(columns: Iterable[int], entries: Iterable[float], least: float, most: float) -> None:
        for where, what in zip(columns, entries, strict=True):
            row.append(len(low))
            column.append(where)
            entry.append(what)
        low.append(least)
        high.append(most)

    for k, (players, price) in enumerate(zip(products, prices, strict=True)):
        if price < 0:
            for i in players:
                add((n + k, i), (1.0, -1.0), -np.inf, 0.0)
        else:
            add((n + k, *players), (1.0, *[-1.0] * len(players)), 1.0 - len(players), np.inf)
    if keep is not None:
        add(range(n), [1.0] * n, keep, keep)
    group = n + len(products)
    for limit in limits:
        shared = range(group, group + len(limit.groups))
        for y, (members, _) in zip(shared, limit.groups, strict=True):
            for i in members:
                add((y, i), (1.0, -1.0), 0.0, np.inf)
        own = np.asarray(limit.weights, dtype=np.float64).tolist()
        add((*range(n), *shared), (*own, *(float(w) for _, w in limit.groups)), -np.inf, limit.most)
        group += len(limit.groups)
    if not low:  # nothing binds
        add((0,), (1.0,), 0.0, 1.0)
    matrix = coo_array((entry, (row, column)), shape=(len(low), group)).tocsr()
    return LinearConstraint(matrix, np.array(low), np.array(high))  # pyright: ignore[reportArgumentType]
