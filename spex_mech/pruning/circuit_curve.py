"""`circuit_curve`: how faithful circuits of growing size are, and the areas that sum it up.

With C_k the circuit that keeps at most a share k of the parts, N the whole model and ∅ the model without any
part, f(k) = (m(C_k) - m(∅)) / (m(N) - m(∅)) in a metric m, a mean over questions. The Mechanistic
Interpretability Benchmark (Mueller et al. 2025, arXiv 2504.13151, section 3) sums the curve up in two
numbers:

- CPR, the integrated circuit performance ratio, is the area under f: higher is better, and above 1 where
  circuits are better than the model.
- CMD, the integrated circuit-model distance, is the area of |1 - f|: 0 is best.

Both are integrals over k by the trapezoid rule at ten sizes from .1 % to 100 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate, means_of, resampled_means
from spex_mech.core.games import ExampleGame, QuestionGame, ValueFunction
from spex_mech.core.masks import check_masks, unique
from spex_mech.core.players import PlayerSet
from spex_mech.core.seeds import check_seed
from spex_mech.core.short_repr import short_repr
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.executors import Executor
from spex_mech.pruning.curve import PruningCurve
from spex_mech.pruning.prune import ranked

SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of the parts that MIB keeps."""

_BESIDE = ("margin", "kl")
_LEVEL, _DRAWS = 0.95, 10_000


@short_repr
@dataclass(frozen=True, eq=False)
class CircuitCurve:
    """The faithfulness of circuits of growing size, measured by ablations.

    Attributes:
        players: all players.
        sizes: shares of the players, s of them, rising.
        masks: bool (s, n), the circuit of each size, True = kept.
        metric: the metric m.
        full: m(N).
        empty: m(∅).
        values: m(C) of each size.
        faithfulness: f of each size; None where m(N) - m(∅) could be 0, which no ratio is sure of.
        cpr: area under f; None in the same case.
        cmd: area of |1 - f|; None in the same case.
        auroc: chance that a part of the known circuit is ranked above another part, ties counted half; None
            where no circuit is known.
        beside: other metrics of each size by name, such as ``margin`` (the logit difference of two answers)
            and ``kl`` (minus the divergence from the whole model, in nats).
        ablations: number of different masks that were evaluated.
    """

    players: PlayerSet
    sizes: tuple[float, ...]
    masks: Bool[np.ndarray, "s n"]
    metric: str
    full: Estimate
    empty: Estimate
    values: tuple[Estimate, ...]
    faithfulness: tuple[Estimate, ...] | None
    cpr: Estimate | None
    cmd: Estimate | None
    auroc: float | None
    beside: Mapping[str, tuple[Estimate, ...]] = field(default_factory=dict)
    ablations: int = 0

    def __str__(self) -> str:
        lines = [
            f"faithfulness by {self.metric} of {len(self.sizes)} circuits of {self.players.n} players on "
            f"{self.full.n} questions (95 % intervals)",
            f"  CPR {_text(self.cpr)}, CMD {_text(self.cmd)}"
            + ("" if self.auroc is None else f", AUROC {self.auroc:.3f}"),
        ]
        for i, (size, mask) in enumerate(zip(self.sizes, self.masks, strict=True)):
            f = None if self.faithfulness is None else self.faithfulness[i]
            others = "".join(f", {name} {e[i]}" for name, e in self.beside.items())
            lines.append(
                f"  {100 * size:g} %, {int(mask.sum())} players: f {_text(f)}, {self.metric} {self.values[i]}"
                f"{others}"
            )
        return "\n".join(lines)


def circuit_curve(
    game: ValueFunction | QuestionGame,
    kept: npt.ArrayLike | PruningCurve,
    *,
    sizes: Sequence[float] = SIZES,
    truth: npt.ArrayLike | None = None,
    beside: Sequence[str] | None = None,
    seed: int = 0,
    store: str | Path | None = None,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> CircuitCurve:
    """Measure MIB's faithfulness curve, CPR and CMD; nine parameters, three of them are `evaluate`'s.

    It takes one ablation for each different circuit, and two for the whole and the empty model. A size below
    one player is the empty circuit, for which f is 0.

    Args:
        game: the game on questions that did not choose the circuits (``game.with_split("test")``). A game
            without questions gives exact values, whose intervals are points; a `StoredRun` needs no model,
            for the masks that it holds.
        kept: float (n,), scores of the players, of which the highest are kept at every size (ties go to the
            first player); or bool (s, n), a circuit for each size with at most that share of the players; or
            a `PruningCurve`, whose largest set that a size allows is kept (all players at size 1).
        sizes: shares of the players, above 0 and at most 1, rising; MIB's by default.
        truth: bool (n,), True = in the known circuit, for ``auroc``. Circuits given as sets rank a player by
            the number of sets that keep it.
        beside: other metrics to measure, see `metric_for`; by default ``margin`` and ``kl``, of those that
            the game's questions have.
        seed: seed of the bootstrap over questions, with which numerator and denominator of f are resampled
            together.
        store: folder to keep the evaluations in, see `evaluate`.
        executor: see `evaluate`.
        progress: see `evaluate`.

    Raises:
        InputError: sizes that do not rise or are out of range, scores or sets of other players or sizes, a
            known circuit that has no player or all, or a metric that the game does not have.
    """
    players, shares = game.players, _checked_sizes(sizes)
    check_seed(seed)
    masks, scores = _circuits(kept, shares, players.n)
    auroc = None if truth is None else _auroc(scores, truth)
    ends = np.stack([np.ones(players.n, dtype=bool), np.zeros(players.n, dtype=bool)])
    every = np.concatenate([ends, masks])
    first, place = unique(every)
    options = {"store": store, "executor": executor, "progress": progress, "label": "circuits"}
    tables = _measured(game, every[first], beside, options)
    own = tables.pop(None)[place]
    estimates = means_of(own.T, seed=seed, level=_LEVEL, draws=_DRAWS)
    f, cpr, cmd = _ratios(own, np.array(shares), seed)
    return CircuitCurve(
        players=players,
        sizes=shares,
        masks=masks,
        metric=(game.metric_name if isinstance(game, QuestionGame) else None) or "value",
        full=estimates[0],
        empty=estimates[1],
        values=tuple(estimates[2:]),
        faithfulness=f,
        cpr=cpr,
        cmd=cmd,
        auroc=auroc,
        beside={
            str(name): tuple(means_of(table[place][2:].T, seed=seed, level=_LEVEL, draws=_DRAWS))
            for name, table in tables.items()
        },
        ablations=len(first),
    )


def areas(
    faithfulness: Float64[np.ndarray, "... s"], sizes: Float64[np.ndarray, " s"]
) -> tuple[np.ndarray, np.ndarray]:
    """CPR and CMD, float64 (...), of faithfulness curves (..., s): areas under f and |1 - f|."""
    cpr = np.trapezoid(faithfulness, sizes, axis=-1)
    return cpr, np.trapezoid(np.abs(1.0 - faithfulness), sizes, axis=-1)


def _ratios(
    table: Float64[np.ndarray, "t e"], sizes: Float64[np.ndarray, " s"], seed: int
) -> tuple[tuple[Estimate, ...] | None, Estimate | None, Estimate | None]:
    """Faithfulness, CPR and CMD of a table whose first rows are the whole and the empty model."""
    whole = means_of((table[0] - table[1])[:, None], seed=seed, level=_LEVEL, draws=_DRAWS)[0]
    if whole.low <= 0 <= whole.high:
        return None, None, None
    e = table.shape[1]
    means = table.mean(axis=1)[None]
    if e > 1:
        means = np.concatenate([means, resampled_means(table.T, seed, _DRAWS)])
    f = (means[:, 2:] - means[:, 1:2]) / (means[:, :1] - means[:, 1:2])
    columns = np.column_stack([f, *areas(f, sizes)])
    drawn = columns[1:] if e > 1 else columns
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    every = [
        Estimate(float(mean), float(a), float(b), e, _LEVEL)
        for mean, a, b in zip(columns[0], low, high, strict=True)
    ]
    return tuple(every[:-2]), every[-2], every[-1]


def _measured(
    game: Any, masks: Bool[np.ndarray, "m n"], beside: Sequence[str] | None, options: dict[str, Any]
) -> dict[str | None, Float64[np.ndarray, "m e"]]:
    """The game's metric (under None) and those beside it, of every mask and question."""
    if not isinstance(game, (QuestionGame, ExampleGame)):
        if beside:
            raise InputError(
                f"metrics {list(beside)} need the scores of single questions; leave beside out"
            )
        return {None: evaluate(game, MaskDesign(masks, seed=0), **options).values[:, None]}
    measured: Any = game
    if isinstance(game, ExampleGame):
        scores = evaluate(game, MaskDesign(masks, seed=0), **options).scores

        def of(metric: str | None) -> Float64[np.ndarray, "m e"]:
            chosen = {} if metric is None else {"metric": metric}
            return np.asarray(measured.per_example(scores, **chosen), dtype=np.float64)
    else:

        def of(metric: str | None) -> Float64[np.ndarray, "m e"]:
            return np.asarray(measured.per_question(masks, metric=metric), dtype=np.float64)

    tables: dict[str | None, Float64[np.ndarray, "m e"]] = {None: of(None)}
    if not isinstance(game, QuestionGame):
        beside = beside or ()
    for name in _BESIDE if beside is None else beside:
        try:
            tables[name] = of(name)
        except InputError:
            if beside is not None:
                raise
    return tables


def _circuits(
    kept: Any, sizes: tuple[float, ...], n: int
) -> tuple[Bool[np.ndarray, "s n"], Float64[np.ndarray, " n"]]:
    """The circuit of each size, and a score of each player that ranks it by them."""
    counts = [int(size * n + 1e-9) for size in sizes]
    if isinstance(kept, PruningCurve):
        masks = _of_curve(kept, counts, n)
        return masks, masks.sum(axis=0).astype(np.float64)
    array = np.asarray(kept)
    if array.dtype == bool and array.ndim == 2:
        masks = check_masks(array, n)
        if len(masks) != len(sizes):
            raise InputError(
                f"{len(masks)} circuits were given for {len(sizes)} sizes; give one for each"
            )
        for size, count, mask in zip(sizes, counts, masks, strict=True):
            if mask.sum() > count:
                raise InputError(
                    f"the circuit of size {size:g} keeps {int(mask.sum())} of {n} players, "
                    f"expected at most {count}"
                )
        return masks.copy(), masks.sum(axis=0).astype(np.float64)
    if array.shape != (n,) or array.dtype == bool or not np.issubdtype(array.dtype, np.number):
        raise InputError(
            f"kept has shape {array.shape} and dtype {array.dtype}, expected scores of the {n} players, a "
            f"bool array ({len(sizes)}, {n}) of circuits, or a PruningCurve"
        )
    scores = array.astype(np.float64)
    if np.isnan(scores).any():
        raise InputError("kept has a score that is not a number; give every player a score")
    return np.stack([ranked(scores, count) for count in counts]), scores


def _of_curve(curve: PruningCurve, counts: Sequence[int], n: int) -> Bool[np.ndarray, "s n"]:
    if curve.masks.shape[1] != n:
        raise InputError(
            f"the curve has {curve.masks.shape[1]} players, the game {n}; prune this game"
        )
    masks = np.zeros((len(counts), n), dtype=bool)
    for row, count in zip(masks, counts, strict=True):
        within = [mask for mask in curve.masks if mask.sum() <= count]
        row[:] = True if count == n else within[0] if within else False
    return masks


def _auroc(scores: Float64[np.ndarray, " n"], truth: npt.ArrayLike) -> float:
    from sklearn.metrics import roc_auc_score

    known = np.asarray(truth)
    if known.shape != scores.shape or known.dtype != bool or known.all() or not known.any():
        raise InputError(
            f"truth has shape {known.shape} and dtype {known.dtype}, expected bool ({len(scores)},) with "
            "some players in the known circuit and some outside it"
        )
    return float(roc_auc_score(known, scores))


def _checked_sizes(sizes: Sequence[float]) -> tuple[float, ...]:
    shares = tuple(float(size) for size in sizes)
    if (
        len(shares) < 2
        or not all(0 < size <= 1 for size in shares)
        or list(shares) != sorted(set(shares))
    ):
        raise InputError(
            f"sizes is {list(shares)}, expected two or more shares of the players, above 0 and at "
            "most 1, rising"
        )
    return shares


def _text(estimate: Estimate | None) -> str:
    return "unknown" if estimate is None else str(estimate)
