r"""Best-first search for the largest orthogonal terms of a Walsh-kernel function.

In the basis of `gp.readout` the product part of the kernel gives

    G(S) = sum_j beta_j prod_{i in S} r_ij,   r_ij = sigma_i t_i s_ij / (1 + mu_i t_i s_ij),  t = tanh(theta),

and |r_ij| <= rho_i. Sets are visited in the order of decreasing w_S = prod_{i in S} min(rho_i, 1). Every
set T that is not visited yet obeys, for each exponent q,

    |G(T)| <= w_T B,         B = |beta|_1 prod_i max(rho_i, 1),
    G(T)^2 <= w_T^q (Q_q - sum_{visited S} w_S^-q G(S)^2),

because Q_q = sum_S w_S^-q G(S)^2 over all 2^n sets is known in closed form: it is the quadratic form
in beta of prod_i (1 + r_ij r_ik / min(rho_i, 1)^q). (q = 0 is the function's mean square, q = 1 its norm
in the space of the kernel.) Once a bound falls below the smallest of the terms kept, these are proven
to be the largest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.decoders.gp.kernel import WalshKernel

_EXPONENTS = np.array([0.0, 0.5, 1.0, 1.5])
_BLOCK = 1 << 22  # entries of a block of rows
_FIRST = 8  # the first look visits a part of the limit


class _SetsOfSize(NamedTuple):
    """Sets of one size: their cost -log w_S and their members, cheapest player first."""

    costs: Float64[np.ndarray, " k"]
    members: Int64[np.ndarray, "k d"]


class _Visited(NamedTuple):
    """Visited sets: the largest terms (the constant first), and sum w^-q G^2 for each q."""

    members: list[Int64[np.ndarray, " d"]]
    values: Float64[np.ndarray, " k"]
    energy: Float64[np.ndarray, " q"]


def search(
    kernel: WalshKernel,
    signs: Float64[np.ndarray, "m n"],
    alpha: Float64[np.ndarray, " m"],
    mean: Float64[np.ndarray, " n"],
    *,
    terms: int,
    limit: int,
) -> tuple[Bool[np.ndarray, "k n"], Float64[np.ndarray, " k"], bool]:
    """The constant and the ``terms`` largest other terms G(S) of sum_j alpha_j K(x, x_j).

    Args:
        kernel: K.
        signs: float64 (m, n), the coalitions x_j.
        alpha: float64 (m,).
        mean: float64 (n,), mu, each within (-1, 1).
        terms: how many to keep.
        limit: most sets to visit; all sets of at most one player are visited anyway.

    Returns:
        The sets as masks (k, n), G(S), and whether they are proven to be the largest.
    """
    space = _Terms.build(kernel, signs, alpha, mean)
    budget = space.affordable(max(limit // _FIRST, 1))
    visited = space.visit(budget, terms)
    needed = space.needed(visited, terms)
    if needed > budget:
        budget = min(needed, space.affordable(limit))
        visited = space.visit(budget, terms)
        needed = space.needed(visited, terms)
    masks = np.zeros((len(visited.members), signs.shape[1]), dtype=bool)
    for row, members in enumerate(visited.members):
        masks[row, space.order[members]] = True
    return masks, visited.values, needed <= budget


@dataclass(frozen=True)
class _Terms:
    """The terms of a function, by sets of players in the order of increasing cost -log min(rho, 1)."""

    order: Int64[np.ndarray, " n"]
    costs: Float64[np.ndarray, " n"]
    ratios: Float64[np.ndarray, "n m"]
    beta: Float64[np.ndarray, " m"]
    constant: float  # what the other parts of the kernel add to the empty set
    singles: Float64[np.ndarray, " n"]  # ... and to the single players
    ceiling: float  # B
    energy: Float64[np.ndarray, " q"]  # Q_q

    @classmethod
    def build(
        cls,
        kernel: WalshKernel,
        signs: Float64[np.ndarray, "m n"],
        alpha: Float64[np.ndarray, " m"],
        mean: Float64[np.ndarray, " n"],
    ) -> _Terms:
        t, sigma = np.tanh(kernel.theta), np.sqrt(1.0 - mean**2)
        up, down = sigma * t / (1.0 + mean * t), -sigma * t / (1.0 - mean * t)
        rho = np.maximum(up, -down)
        order = np.argsort(-rho, kind="stable")
        signs, mean, t, sigma, up, down, rho = (
            x[..., order] for x in (signs, mean, t, sigma, up, down, rho)
        )
        costs = np.maximum(-np.log(rho), 0.0)
        # log prod_i (1 + mu_i t_i s_ij), linear in s
        plus, minus = np.log1p(mean * t), np.log1p(-mean * t)
        weight = np.exp(signs @ (0.5 * (plus - minus)) + 0.5 * (plus + minus).sum())
        beta = kernel.product_scale * weight * alpha
        first = kernel.linear * kernel.theta[order] * (alpha @ signs)
        return cls(
            order=order,
            costs=costs,
            ratios=np.where(signs > 0, up, down).T.copy(),
            beta=beta,
            constant=kernel.constant * float(alpha.sum()) + float(first @ mean),
            singles=first * sigma,
            ceiling=float(np.abs(beta).sum() * np.prod(np.maximum(rho, 1.0))),
            energy=np.array([_energy(signs, beta, up, down, costs, q) for q in _EXPONENTS]),
        )

    def levels(self, budget: float) -> Iterator[_SetsOfSize]:
        """All sets of at least two players and cost <= budget, by size."""
        level = self._singles()
        while (count := self._children(level, budget)).any():
            yield (level := self._extend(level, count))

    def affordable(self, limit: int) -> float:
        """The largest budget (nearly) that at most ``limit`` sets fit into."""
        if self._fits(np.inf, limit):
            return np.inf
        low, high = 0.0, float(self.costs.sum())
        for _ in range(30):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self._fits(middle, limit) else (low, middle)
        return low

    def _fits(self, budget: float, limit: int) -> bool:
        level = self._singles()
        while (count := self._children(level, budget)).any():
            limit -= int(count.sum())
            if limit < 0:
                return False
            level = self._extend(level, count)
        return True

    def _singles(self) -> _SetsOfSize:
        return _SetsOfSize(self.costs, np.arange(len(self.costs))[:, None])

    def _children(self, level: _SetsOfSize, budget: float) -> Int64[np.ndarray, " k"]:
        """How many costlier players could be added to each set, one of them at a time."""
        stop = np.searchsorted(self.costs, budget - level.costs, side="right")
        return np.maximum(stop - level.members[:, -1] - 1, 0)

    def _extend(self, level: _SetsOfSize, count: Int64[np.ndarray, " k"]) -> _SetsOfSize:
        parent = np.repeat(np.arange(len(count)), count)
        child = np.arange(len(parent)) - np.repeat(np.cumsum(count) - count, count)
        child += level.members[parent, -1] + 1
        members = np.column_stack([level.members[parent], child])
        return _SetsOfSize(level.costs[parent] + self.costs[child], members)

    def visit(self, budget: float, terms: int) -> _Visited:
        """Evaluate all sets of cost <= budget, and those of at most one player."""
        product = self.ratios @ self.beta
        rate = np.exp(np.outer(_EXPONENTS, self.costs))
        energy = self.beta.sum() ** 2 + rate @ product**2
        members = [np.array([i]) for i in range(len(self.costs))]
        values = product + self.singles
        for level in self.levels(budget):
            level_values = self._evaluate(level.members)
            energy += np.exp(np.outer(_EXPONENTS, level.costs)) @ level_values**2
            best = np.argsort(-np.abs(level_values), kind="stable")[:terms]
            members += list(level.members[best])
            values = np.append(values, level_values[best])
            best = np.argsort(-np.abs(values), kind="stable")[:terms]
            members, values = [members[k] for k in best], values[best]
        nobody = np.empty(0, dtype=np.int64)
        constant = self.beta.sum() + self.constant
        return _Visited([nobody, *members], np.append(constant, values), energy)

    def _evaluate(self, members: Int64[np.ndarray, "k d"]) -> Float64[np.ndarray, " k"]:
        """G of sets that share all but their last player with their neighbours, by matrix products."""
        out = np.empty(len(members))
        start = np.flatnonzero(np.any(np.diff(members[:, :-1], axis=0, prepend=-1), axis=1))
        parents = members[start, :-1]
        family = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(members))))
        step = max(1, _BLOCK // len(self.beta))
        for first in range(0, len(parents), step):
            part = parents[first : first + step]
            product = np.broadcast_to(self.beta, (len(part), len(self.beta)))
            for k in range(part.shape[1]):
                product = product * self.ratios[part[:, k]]
            rows = slice(*np.searchsorted(family, [first, first + len(part)]))
            last = members[rows, -1]
            low, high = last.min(), last.max() + 1
            table = product @ self.ratios[low:high].T
            out[rows] = table[family[rows] - first, last - low]
        return out

    def needed(self, visited: _Visited, terms: int) -> float:
        """The budget at which every set that is not visited is proven to be smaller than those kept."""
        if len(visited.values) <= terms:
            return np.inf
        smallest = float(np.abs(visited.values[1:]).min())
        if smallest == 0.0:
            return np.inf
        left = np.maximum(self.energy - visited.energy, 0.0) + 1e-9 * np.abs(self.energy)
        with np.errstate(divide="ignore", invalid="ignore"):
            by_energy = np.log(left / smallest**2) / _EXPONENTS
        if left[0] < smallest**2:
            return 0.0
        return float(min(np.log(self.ceiling / smallest), by_energy[1:].min()))


def _energy(
    signs: Float64[np.ndarray, "m n"],
    beta: Float64[np.ndarray, " m"],
    up: Float64[np.ndarray, " n"],
    down: Float64[np.ndarray, " n"],
    costs: Float64[np.ndarray, " n"],
    exponent: float,
) -> float:
    """Q_q: sum_jk beta_j beta_k prod_i (1 + r_ij r_ik e^{q cost_i}), the product in log form."""
    scale = np.exp(exponent * costs)
    both, mixed, none = (np.log1p(scale * x) for x in (up * up, up * down, down * down))
    fixed, tilt, bend = both + 2 * mixed + none, both - none, both - 2 * mixed + none
    linear = signs @ (0.25 * tilt) + 0.125 * fixed.sum()
    total, step = 0.0, max(1, _BLOCK // len(beta))
    for start in range(0, len(beta), step):
        rows = slice(start, start + step)
        power = (signs[rows] * (0.25 * bend)) @ signs.T + linear[rows, None] + linear
        total += float(beta[rows] @ (np.exp(power, out=power) @ beta))
    return total
