"""Faithfulness curves as JSON, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from spex_mech.core.estimates import Estimate
from spex_mech.core.players import PlayerSet
from spex_mech.pruning.circuit_curve import CircuitCurve

_SINGLE = ("full", "empty", "cpr", "cmd")
_ROWS = ("values", "faithfulness")


def curve_to_json(curve: CircuitCurve) -> dict[str, Any]:
    """A curve without the metrics beside its own; an estimate is a mapping as in a circuit's file."""
    return {
        "metric": curve.metric,
        "sizes": list(curve.sizes),
        "kept": [np.flatnonzero(mask).tolist() for mask in curve.masks],
        "auroc": curve.auroc,
        "ablations": curve.ablations,
        **{name: _written(getattr(curve, name)) for name in _SINGLE},
        **{name: _rows_written(getattr(curve, name)) for name in _ROWS},
    }


def curve_from_json(content: Any, players: PlayerSet) -> CircuitCurve:
    """The curve that `curve_to_json` wrote.

    Raises:
        KeyError, TypeError, IndexError or ValueError: it is none, or has other players or sizes.
    """
    sizes = tuple(float(size) for size in content["sizes"])
    masks = np.zeros((len(sizes), players.n), dtype=bool)
    for row, kept in zip(masks, content["kept"], strict=True):
        row[np.asarray(kept, dtype=np.int64)] = True
    single: dict[str, Any] = {name: _read(content[name]) for name in _SINGLE}
    rows: dict[str, Any] = {name: _rows_read(content[name], len(sizes)) for name in _ROWS}
    auroc = None if content["auroc"] is None else float(content["auroc"])
    return CircuitCurve(
        players=players,
        sizes=sizes,
        masks=masks,
        metric=str(content["metric"]),
        auroc=auroc,
        ablations=int(content["ablations"]),
        **single,
        **rows,
    )


def _written(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else vars(estimate)


def _rows_written(estimates: tuple[Estimate, ...] | None) -> list[Any] | None:
    return None if estimates is None else [vars(e) for e in estimates]


def _read(content: Any) -> Estimate | None:
    return None if content is None else Estimate(**content)


def _rows_read(content: Any, count: int) -> tuple[Estimate, ...] | None:
    if content is None:
        return None
    if len(content) != count:
        raise ValueError(f"{len(content)} estimates for {count} sizes")
    return tuple(Estimate(**row) for row in content)
