"""What the JSON files of a run's folder say, as the library's own types, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate
from spex_mech.core.interactions import Interactions
from spex_mech.core.players import PlayerSet
from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.per_question import QuestionEffects
from spex_mech.pruning.prune import Pruned

_CONVENTION = "f(x) = sum_S F(S) (-1)^|S & x|, x = 1 present"
_MOST_PARTS = 40  # whose effects on single questions are kept
_TOLD = ("method", "message", "r2_cv", "readout_loss")


@short_repr
@dataclass(frozen=True, eq=False)
class HeldOut:
    """How well the surrogate explains masks that it was not fitted to.

    Attributes:
        predicted: float64 (m,), the surrogate's values.
        measured: float64 (m,), the game's.
        r2: R² with an interval over masks.
        answers: how many questions each mask was asked, where not all: ``measured`` then has the noise of
            that, which ``r2`` is free of.
    """

    predicted: Float64[np.ndarray, " m"]
    measured: Float64[np.ndarray, " m"]
    r2: Estimate
    answers: int | None = None


@short_repr
@dataclass(frozen=True, eq=False)
class ScoredSet:
    """A kept set on test questions.

    Attributes:
        kept: the set.
        metrics: metric name to its mean.
        change: metric name to the paired difference this minus the full model.
        gains: metric name to the paired difference ours minus this; empty for ours.
        p: p-value of McNemar's exact test of ours against this; None for ours, and without accuracy.
    """

    kept: Pruned
    metrics: dict[str, Estimate]
    change: dict[str, Estimate]
    gains: dict[str, Estimate]
    p: float | None


@short_repr
@dataclass(frozen=True, eq=False)
class ScoreTable:
    """All kept sets on test questions.

    Attributes:
        full: metric name to the full model's mean.
        points: every method at every size.
        chance: accuracy of guessing; None where that is not known.
        looks: how many different choices of kept sets the test questions have seen by now.
    """

    full: dict[str, Estimate]
    points: list[ScoredSet]
    chance: float | None
    looks: int


def spectrum_to_json(
    spectrum: Spectrum, players: PlayerSet, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """A spectrum's terms, largest first, and what its decoder has to say."""
    info = {k: _plain(spectrum.info[k]) for k in _TOLD if k in spectrum.info}
    return {
        "convention": _CONVENTION,
        "players": players.names,
        "readout_loss": float(spectrum.info.get("readout_loss", 0.0)),
        "settings": dict(settings),
        "info": info,
        "terms": [
            [_names(s, players), c] for s, c in spectrum.top(len(spectrum), include_empty=True)
        ],
    }


def spectrum_from_json(content: Any, players: PlayerSet) -> Spectrum:
    """The terms that were read out; the decoder's full model is not kept.

    Raises:
        InputError: another run's players, or a damaged file.
    """
    if content.get("players") != players.names:
        raise InputError("spectrum.json is of other players than the store; decode this run again")
    supports, values = _sets(content["terms"], players)
    return Spectrum.from_supports(supports, values, players.n, content.get("info", {}))


def interactions_to_json(values: Interactions, players: PlayerSet) -> dict[str, Any]:
    """Values of an index, largest first, with standard deviations where they are known."""
    ordered = sorted(values.values.items(), key=lambda item: -abs(item[1]))
    std = values.std
    return {
        "index": values.index,
        "order": values.order,
        "baseline": values.baseline,
        "values": [[_names(s, players), v] for s, v in ordered],
        "std": None if std is None else [std[s] for s, _ in ordered],
    }


def interactions_from_json(content: Any, players: PlayerSet) -> Interactions:
    """The values of an index; standard deviations are those that were written."""
    sets, values = _sets(content["values"], players)
    std = content["std"]
    return Interactions(
        content["index"],
        content["order"],
        players.n,
        dict(zip(sets, values, strict=True)),
        content.get("baseline", 0.0),
        None if std is None else lambda: np.array(std, dtype=np.float64),
    )


def held_out_to_json(held: HeldOut) -> dict[str, Any]:
    """Held-out masks in the design's order."""
    asked = {} if held.answers is None else {"questions asked": held.answers}
    return {
        "r2": vars(held.r2),
        "predicted": held.predicted.tolist(),
        "measured": held.measured.tolist(),
        **asked,
    }


def held_out_from_json(content: Any) -> HeldOut:
    """Undo `held_out_to_json`."""
    asked = content.get("questions asked")
    return HeldOut(
        np.array(content["predicted"]),
        np.array(content["measured"]),
        Estimate(**content["r2"]),
        None if asked is None else int(asked),
    )


def question_effects_to_json(
    found: QuestionEffects, players: PlayerSet, ids: Sequence[str]
) -> dict[str, Any]:
    """What parts are worth to single questions: of the parts for which questions differ most."""
    spread = found.effects.std(axis=1)
    parts = np.sort(np.argsort(-spread, kind="stable")[:_MOST_PARTS])
    return {
        "parts": _names(parts, players),
        "questions": list(ids),
        "order": found.order.tolist(),
        "groups": found.groups.tolist(),
        "effects": [[float(f"{x:.5g}") for x in row] for row in found.effects[parts]],
    }


def question_effects_from_json(
    content: Any, players: PlayerSet
) -> tuple[list[int], list[str], QuestionEffects]:
    """Undo `question_effects_to_json`: the parts, the questions' ids, and the effects of those parts.

    Raises:
        ValueError: numbers of parts and questions that do not fit together.
        InputError: a part that is not among ``players``.
    """
    parts = [players.index(name) for name in content["parts"]]
    ids = [str(name) for name in content["questions"]]
    table = np.array(content["effects"], dtype=np.float64).reshape(len(parts), len(ids))
    order, groups = (np.array(content[k], dtype=np.int64) for k in ("order", "groups"))
    if sorted(order.tolist()) != list(range(len(ids))) or groups.shape != order.shape:
        raise ValueError("order and groups are not of the questions")
    return parts, ids, QuestionEffects(table, order, groups)


def kept_to_json(kept: Pruned, players: PlayerSet) -> dict[str, Any]:
    """A kept set by the names of its players."""
    return {
        "method": kept.method,
        "keep": kept.keep,
        "kept": _names(np.flatnonzero(kept.mask), players),
        "predicted": kept.predicted,
        "measured on search questions": kept.measured,
        "ablations of all sizes, design included": kept.ablations,
        **({} if kept.cost is None else {"cost of the form": kept.cost}),
    }


def kept_sets_from_json(content: Any, players: PlayerSet) -> list[Pruned]:
    """Kept sets, one or more.

    Raises:
        InputError: not a list of kept sets, or a player that is not among ``players``.
    """
    if not isinstance(content, list) or not content:
        raise InputError("expected a list of kept sets")
    return [kept_from_json(row, players) for row in content]


def size_from_json(content: Any) -> dict[str, Any]:
    """How the exported size was chosen, checked; see `size_to_json`."""
    return {
        "keep": int(content["keep"]),
        "metric": str(content["metric"]),
        "full": _estimate(content["full"]),
        "sizes": [
            {
                "keep": int(row["keep"]),
                "full minus this": _estimate(row["full minus this"]),
                "standard error": float(row["standard error"]),
                "passed": bool(row["passed"]),
            }
            for row in content["sizes"]
        ],
    }


def _estimate(content: Any) -> dict[str, float]:
    """The fields of an estimate, all of them numbers."""
    fields = vars(Estimate(**content))
    return {name: type(number)(float(number)) for name, number in fields.items()}


def kept_from_json(content: Any, players: PlayerSet) -> Pruned:
    """Undo `kept_to_json`.

    Raises:
        InputError: a player that is not among ``players``.
    """
    mask = np.zeros(players.n, dtype=bool)
    mask[[players.index(name) for name in content["kept"]]] = True
    return Pruned(
        mask,
        content["predicted"],
        content["measured on search questions"],
        content["ablations of all sizes, design included"],
        method=content["method"],
        cost=content.get("cost of the form"),
    )


def scores_to_json(scores: ScoreTable, players: PlayerSet) -> dict[str, Any]:
    """Test scores, a row for every method and size."""
    return {
        "full": {k: vars(v) for k, v in scores.full.items()},
        "chance": scores.chance,
        "looks at the test questions": scores.looks,
        "curve": [
            {
                **kept_to_json(p.kept, players),
                **{k: vars(v) for k, v in p.metrics.items()},
                "this minus the full model": {k: vars(v) for k, v in p.change.items()},
                "ours minus this": {k: vars(v) for k, v in p.gains.items()},
                "p of ours against this (McNemar)": p.p,
            }
            for p in scores.points
        ],
    }


def scores_from_json(content: Any, players: PlayerSet) -> ScoreTable:
    """Undo `scores_to_json`."""
    metrics = list(content["full"])
    return ScoreTable(
        {k: Estimate(**v) for k, v in content["full"].items()},
        [
            ScoredSet(
                kept_from_json(row, players),
                {k: Estimate(**row[k]) for k in metrics},
                {k: Estimate(**v) for k, v in row["this minus the full model"].items()},
                {k: Estimate(**v) for k, v in row["ours minus this"].items()},
                row["p of ours against this (McNemar)"],
            )
            for row in content["curve"]
        ],
        content["chance"],
        content["looks at the test questions"],
    )


def _names(members: Iterable[int], players: PlayerSet) -> list[str]:
    return [players.names[i] for i in members]


def _sets(
    rows: Iterable[tuple[list[str], float]], players: PlayerSet
) -> tuple[list[tuple[int, ...]], list[float]]:
    pairs = [(tuple(sorted(players.index(p) for p in names)), float(v)) for names, v in rows]
    return [s for s, _ in pairs], [v for _, v in pairs]


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else float(value)
