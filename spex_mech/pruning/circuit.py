"""`circuit`: a kept set as a graph, tested by ablations.

F(K) is the game's value with the players K kept and all others ablated. M is the set of all players, and
C is the kept set.

- Faithfulness is measured by (F(C) - F(∅)) / (F(M) - F(∅)) (Marks et al. 2024, arXiv 2403.19647, section
  4.1), and by the loss F(M) - F(C) (Wang et al. 2023, arXiv 2211.00593, section 4).
- Completeness is measured by the same ratio for the model without the circuit, F(M ∖ C), which is near 0 if
  no players outside it have the same function (Marks et al.). It is also measured by |F(C ∖ K) - F(M ∖ K)|
  for knocked-out parts K of the circuit, which is near 0 if circuit and model depend on the same parts
  (Wang et al., section 4.1).
- Minimality means that for every v in C there is a K ⊆ C ∖ {v} with F(C ∖ (K ∪ {v})) far from F(C ∖ K)
  (Wang et al., section 4.2). K = ∅ is tested first. Where that shows no effect, the K at which the effect
  on the spectrum is largest is tested, so that the test questions did not choose it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate, means_of, means_of_rows, ratio_of_means
from spex_mech.core.games import QuestionGame, ValueFunction
from spex_mech.core.interactions import interactions
from spex_mech.core.masks import check_masks
from spex_mech.core.players import Player, PlayerSet
from spex_mech.core.seeds import check_seed
from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.evaluation.executors import Executor
from spex_mech.evaluation.questions import ALL
from spex_mech.pruning.asked_values import asked_values
from spex_mech.pruning.circuit_knock_outs import knocked_out, raced_knock_outs
from spex_mech.pruning.circuit_parts import Edge, KnockOut, Node, names_in
from spex_mech.pruning.circuit_tests import (
    LEVEL,
    MinimalityTests,
    QuestionValues,
    minimality_tests,
    random_parts,
)
from spex_mech.pruning.prune import Pruned, check_spectrum
from spex_mech.pruning.under import UnderAblation


@short_repr
@dataclass(frozen=True, eq=False)
class Circuit:
    """A kept set, tested; every number is measured by ablations, with an interval over questions.

    Attributes:
        players: all players.
        mask: bool (n,), True = in the circuit.
        nodes: its players, in order.
        edges: their pairwise interactions, strongest first; empty without a spectrum.
        index: the index of the edges' values.
        metric: the metric that F is measured in.
        full: F(M).
        empty: F(∅).
        alone: F(C).
        rest: F(M ∖ C).
        loss: F(M) - F(C).
        faithfulness: (F(C) - F(∅)) / (F(M) - F(∅)); None where F(M) - F(∅) could be 0.
        complement: (F(M ∖ C) - F(∅)) / (F(M) - F(∅)); None in the same case.
        knock_outs: random parts removed from circuit and model.
        incompleteness: mean of |F(C ∖ K) - F(M ∖ K)| over the knock-outs; its interval takes the signs of
            the differences as they were measured. None without knock-outs.
        ablations: number of masks evaluated; of those that were asked some questions each, as many as have so
            many answers, rounded up.
        under: the same set under several kinds of ablation, see `under_ablations`; empty if not asked for.
    """

    players: PlayerSet
    mask: Bool[np.ndarray, " n"]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    index: str
    metric: str
    full: Estimate
    empty: Estimate
    alone: Estimate
    rest: Estimate
    loss: Estimate
    faithfulness: Estimate | None
    complement: Estimate | None
    knock_outs: tuple[KnockOut, ...]
    incompleteness: Estimate | None
    ablations: int
    under: tuple[UnderAblation, ...] = ()

    @property
    def members(self) -> list[Player]:
        """The players of the circuit, in order."""
        return [p for p, kept in zip(self.players, self.mask, strict=True) if kept]

    def __str__(self) -> str:
        needed = sum(node.needed for node in self.nodes)
        lines = [
            f"circuit of {len(self.nodes)} of {self.players.n} players; {self.metric} on "
            f"{self.full.n} questions (95 % intervals)",
            f"  the whole model      {self.full}",
            f"  the circuit alone    {self.alone}",
            f"  all but the circuit  {self.rest}",
            f"  nothing              {self.empty}",
            f"  faithfulness {_ratio(self.faithfulness)}, of all but the circuit "
            f"{_ratio(self.complement)}",
        ]
        if self.incompleteness is not None:
            lines.append(
                f"  with parts knocked out of both, circuit and model differ by "
                f"{self.incompleteness} on average of {len(self.knock_outs)} knock-outs"
            )
        lines.append(f"  {needed} of {len(self.nodes)} parts are shown to be needed (p < {LEVEL})")
        if self.under:
            lines.append(
                f"  the same parts kept under several ablations, {self.under[0].full.n} questions:"
            )
        width = max((len(row.ablation) for row in self.under), default=0)
        lines += [
            f"    {row.ablation:<{width}}  faithfulness {_ratio(row.faithfulness)}, alone {row.alone}, "
            f"nothing {row.empty}"
            for row in self.under
        ]
        return "\n".join(lines)


def circuit(
    game: ValueFunction | QuestionGame,
    kept: npt.ArrayLike | Pruned,
    spectrum: Spectrum | None = None,
    *,
    index: str = "FBII",
    subsets: int = 20,
    questions: str = ALL,
    seed: int = 0,
    store: str | Path | None = None,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> Circuit:
    """Test a kept set as a circuit, by ablations; ten parameters, because three of them are `evaluate`'s.

    The test takes 4 + 2 ``subsets`` + |C| ablations, and two more for each player whose removal alone shows
    no effect.

    Args:
        game: the game on questions that did not choose the kept set (``game.with_split("test")``). A
            game without questions gives exact values, whose intervals are points; a `StoredRun`
            needs no model, for the masks that it holds.
        kept: bool (n,), True = in the circuit, or the result of `prune`.
        spectrum: surrogate of the same players. Its pairwise interactions become edges, and it chooses
            the K of the minimality tests. Without one there are no edges, and K is empty.
        index: index of the edges, see `interactions`.
        subsets: number of random parts K of the circuit that completeness is measured on. Each player of
            the circuit is in K with probability one half. Of a small circuit, all parts are taken.
        questions: ``all``, or ``auto``: the circuit without each of its players answers a few questions
            first, and is asked more until the player is shown to be needed (see `circuit_race`); whoever is
            not has answered all. Circuit and model without a random part K are asked until they are shown to
            differ (see `circuit_knock_outs`). The circuit itself is always asked all.
        seed: seed of the parts, the order of questions and the bootstrap.
        store: folder to keep the evaluations in, see `evaluate`.
        executor: see `evaluate`.
        progress: see `evaluate`.

    Raises:
        InputError: a kept set that is empty, not bool or of other players, a spectrum of other
            players, or a number of subsets below 0.
    """
    players = game.players
    mask = _kept_mask(kept, players)
    if spectrum is not None:
        check_spectrum(players, spectrum)
    if subsets < 0:
        raise InputError(f"subsets is {subsets}, expected 0 or more")
    check_seed(seed)
    rng = np.random.default_rng(seed)
    table = QuestionValues(game, store, executor, progress)
    parts = random_parts(mask, subsets, rng)
    inside = np.flatnonzero(mask)
    without = np.repeat(mask[None], len(inside), axis=0)
    without[np.arange(len(inside)), inside] = False
    ends = np.stack([np.ones_like(mask), np.zeros_like(mask), mask, ~mask])
    asked = asked_values(
        game, questions, store=store, executor=executor, progress=progress, label="circuit"
    )
    whole_masks = [ends] if asked is not None else [ends, mask & ~parts, ~parts, without]
    table.evaluate(np.concatenate(whole_masks))
    full, empty, alone, rest = table.of(ends)
    whole = means_of(np.stack([full, empty, alone, rest, full - alone], 1), seed=seed)
    if asked is None:
        both = [*table.of(mask & ~parts)], [*table.of(~parts)]
        knock_outs, incompleteness = knocked_out(*both, parts, players, seed=seed)
    else:
        knock_outs, incompleteness = raced_knock_outs(asked, mask, parts, players, seed=seed)
    tests = minimality_tests(table, mask, without, spectrum, seed, rng, asked)
    rows = 0 if asked is None else -(-asked.memory.rows // asked.questions)
    return Circuit(
        players=players,
        mask=mask,
        nodes=_nodes(tests, inside, players, seed),
        edges=() if spectrum is None else _edges(spectrum, mask, players, index),
        index=index,
        metric=_metric(game),
        full=whole[0],
        empty=whole[1],
        alone=whole[2],
        rest=whole[3],
        loss=whole[4],
        faithfulness=ratio_of_means(alone - empty, full - empty, seed=seed),
        complement=ratio_of_means(rest - empty, full - empty, seed=seed),
        knock_outs=knock_outs,
        incompleteness=incompleteness,
        ablations=table.count + rows,
    )


def _nodes(
    tests: MinimalityTests, inside: np.ndarray, players: PlayerSet, seed: int
) -> tuple[Node, ...]:
    estimates = means_of_rows([*tests.effects, *tests.scores], seed=seed)
    return tuple(
        Node(
            player=int(player),
            name=players.names[player],
            effect=estimates[i],
            knocked=names_in(tests.knocked[i], players),
            score=estimates[len(inside) + i],
            p=float(tests.p[i]),
        )
        for i, player in enumerate(inside)
    )


def _edges(
    spectrum: Spectrum, mask: Bool[np.ndarray, " n"], players: PlayerSet, index: str
) -> tuple[Edge, ...]:
    values = interactions(spectrum, index, 2, terms="readout")
    std = values.std
    pairs = [
        (s, v) for s, v in values.joint(len(values.values)) if len(s) == 2 and mask[list(s)].all()
    ]
    return tuple(
        Edge(
            players.names[s[0]],
            players.names[s[1]],
            float(v),
            None if std is None else float(std[s]),
        )
        for s, v in pairs
    )


def _kept_mask(kept: Any, players: PlayerSet) -> Bool[np.ndarray, " n"]:
    masks = check_masks(kept.mask if isinstance(kept, Pruned) else kept, players.n)
    if len(masks) != 1:
        raise InputError(f"a circuit is one kept set (n,), got {len(masks)}; call it for each")
    if not masks[0].any():
        raise InputError("the kept set is empty; a circuit needs at least one player")
    return masks[0].copy()


def _metric(game: ValueFunction | QuestionGame) -> str:
    return (game.metric_name if isinstance(game, QuestionGame) else None) or "value"


def _ratio(estimate: Estimate | None) -> str:
    if estimate is None:
        return "unknown (the model is not surely better than nothing)"
    return f"{estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
