"""The exact best set of players under linear limits: pruning as a mixed-integer program.

In its Moebius form a sparse spectrum is f(x) = sum_T a(T) prod_{i in T} x_i. With a variable z_T for each
product of two or more players, bound by z_T <= x_i (where a(T) > 0) or z_T >= sum_{i in T} x_i - |T| + 1
(where a(T) < 0), maximising f is a linear program in integers x (the standard linearisation: Glover and
Woolsey 1974), which HiGHS solves through `scipy.optimize.milp`. A group that is used while any of its
players is kept has a variable y_g, with y_g >= x_i for each of them. It need not be an integer variable,
because it only adds cost.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.interactions import moebius
from spex_mech.core.limits import Limit, check_limits
from spex_mech.core.spectrum import Spectrum
from spex_mech.pruning.moves import AllowedSets

MAX_PRODUCTS = 5000
_LEAST_SECONDS = 5.0


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best set found, and a bound on how much better another could be.

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
        spectrum: the sum of its terms is maximised, not its predictor.
        keep: how many players to keep; None leaves the number to the limits.
        limits: upper bounds on what the kept players use.
        seconds: wall-clock time after which the best set so far is returned with its gap.

    Raises:
        InputError: limits that no set satisfies, or that are not of these players; more than 5,000
            products of players; no set found in time.
    """
    n = spectrum.n
    if keep is not None and not 0 <= keep <= n:
        raise InputError(f"keep is {keep}, expected a number of players from 0 to {n}")
    check_limits(limits, n)
    allowed = AllowedSets(n, keep, limits)
    costs = _costs(spectrum)
    began = time.monotonic()
    solution = _solve(allowed, costs, seconds)
    took = time.monotonic() - began
    if solution.x is None:
        if solution.status == 2:
            raise InputError(_infeasible(allowed))
        raise InputError(
            f"no set was found in {seconds} s ({solution.message}); give more seconds, or keep fewer "
            "terms with spectrum.truncate(k)"
        )
    mask = solution.x[:n] > 0.5
    sparse = Spectrum(spectrum.words, spectrum.coefficients, n)
    value = float(sparse(mask[None])[0])
    constant = float(spectrum.coefficients.sum())  # f of no players
    bound = max(value, constant - float(solution.mip_dual_bound))
    gap = (bound - value) / max(abs(value), 1e-12)
    return Optimum(mask, value, bound, gap if gap > 1e-6 else 0.0, took)


def least_used(limit: Limit, allowed: AllowedSets) -> float | None:
    """The least total of a limit's players and groups over all allowed sets; None if there are none."""
    n = allowed.n
    # Without a bound, the limit only adds the variables of its groups, whose cost is minimised.
    unbounded = Limit(limit.weights, np.inf, limit.name, limit.groups)
    costs = _Costs(
        np.asarray(limit.weights, dtype=np.float64),
        first_groups=np.array([weight for _, weight in limit.groups]),
    )
    solution = _solve(
        AllowedSets(n, allowed.keep, (unbounded, *allowed.limits)), costs, _LEAST_SECONDS
    )
    return None if solution.x is None else float(limit.used(solution.x[None, :n] > 0.5)[0])


@dataclass(frozen=True, eq=False)
class _Costs:
    """What is minimised: the sum of the costs of all variables that are 1.

    Attributes:
        players: float64 (n,).
        sets: the products' players, two or more each.
        products: float64 (p,), the cost of each product.
        first_groups: float64 (g,), of the groups of the first limit; the other groups cost nothing.
    """

    players: Float64[np.ndarray, " n"]
    sets: Sequence[tuple[int, ...]] = ()
    products: Float64[np.ndarray, " p"] = field(default_factory=lambda: np.zeros(0))
    first_groups: Float64[np.ndarray, " g"] = field(default_factory=lambda: np.zeros(0))


def _solve(allowed: AllowedSets, costs: _Costs, seconds: float) -> Any:
    """SciPy's result of minimising the costs over allowed sets."""
    from scipy.optimize import Bounds, milp

    groups = np.zeros(sum(len(limit.groups) for limit in allowed.limits))
    groups[: len(costs.first_groups)] = costs.first_groups
    objective = np.concatenate([costs.players, costs.products, groups])
    integral = np.concatenate([np.ones(allowed.n), np.zeros(len(costs.sets) + len(groups))])
    return milp(
        objective,
        constraints=_constraints(allowed, costs),
        integrality=integral,
        bounds=Bounds(0.0, 1.0),
        options={"time_limit": seconds},
    )


def _infeasible(allowed: AllowedSets) -> str:
    """Message for limits that no set satisfies: which limit, and the least that it would have to be."""
    n, keep, limits = allowed.n, allowed.keep, allowed.limits
    size = "any size" if keep is None else keep
    names = ", ".join(limit.name for limit in limits)
    start = f"no set of {size} of {n} players satisfies the limits ({names}): "
    for together in (False, True):
        for k, limit in enumerate(limits):
            others = [*limits[:k], *limits[k + 1 :]] if together else []
            least = least_used(limit, AllowedSets(n, keep, others))
            if least is not None and not least <= limit.most:
                with_others = " beside the others" if together else ""
                return (
                    f"{start}{limit.name} takes at least {least:g}{with_others} and may take "
                    f"{limit.most:g}; raise it"
                    + ("" if keep is None else ", or keep fewer players")
                )
    return f"{start}they exclude each other; loosen one"


def _costs(spectrum: Spectrum) -> _Costs:
    """Minus the Moebius coefficients of the sparse terms, so that the least cost is the highest value."""
    coefficients = moebius(Spectrum(spectrum.words, spectrum.coefficients, spectrum.n)).values
    singles = np.zeros(spectrum.n)
    for players, value in coefficients.items():
        if len(players) == 1:
            singles[players[0]] = value
    sets = [players for players in coefficients if len(players) > 1]
    if len(sets) > MAX_PRODUCTS:
        raise InputError(
            f"the spectrum has {len(sets)} products of players, an integer program takes at most "
            f"{MAX_PRODUCTS}; keep fewer terms with spectrum.truncate(k)"
        )
    return _Costs(-singles, sets, -np.array([coefficients[players] for players in sets]))


def _constraints(allowed: AllowedSets, costs: _Costs):
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
        for j, a in zip(columns, entries, strict=True):
            row.append(len(low))
            column.append(j)
            entry.append(a)
        low.append(least)
        high.append(most)

    n, keep = allowed.n, allowed.keep
    for k, (players, cost) in enumerate(zip(costs.sets, costs.products, strict=True)):
        if cost < 0:
            for i in players:
                add((n + k, i), (1.0, -1.0), -np.inf, 0.0)
        else:
            add((n + k, *players), (1.0, *[-1.0] * len(players)), 1.0 - len(players), np.inf)
    if keep is not None:
        add(range(n), [1.0] * n, keep, keep)
    group = n + len(costs.sets)
    for limit in allowed.limits:
        shared = range(group, group + len(limit.groups))
        for y, (members, _) in zip(shared, limit.groups, strict=True):
            for i in members:
                add((y, i), (1.0, -1.0), 0.0, np.inf)
        weights = np.asarray(limit.weights, dtype=np.float64).tolist()
        weights += [float(weight) for _, weight in limit.groups]
        add((*range(n), *shared), weights, -np.inf, limit.most)
        group += len(limit.groups)
    if not low:  # SciPy needs one constraint
        add((0,), (1.0,), 0.0, 1.0)
    matrix = coo_array((entry, (row, column)), shape=(len(low), group)).tocsr()
    return LinearConstraint(matrix, np.array(low), np.array(high))  # pyright: ignore[reportArgumentType]
