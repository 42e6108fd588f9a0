"""Pairs of training images that act together: do they cross classes, and do they look alike?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.distance import cdist

from spex_mech import training_data as td
from spex_mech.core.estimates import Estimate, bootstrap_mean
from spex_mech.training_data.torch.training import score_alone

TOP = 10
KINDS = ("synergy", "redundancy")
MEASURES = (
    "cross",
    "of_class",
    "pixels",
    "pixels_beyond",
    "features",
    "features_beyond",
    "retrained",
)


@dataclass(frozen=True)
class Pairs:
    """Every pair of players, as matrices (n, n).

    Attributes:
        cross: whether the two are of different classes.
        labels: (n,) class of each player.
        pixels: Euclidean distance of the images.
        features: that of the last layer's inputs, in a network trained on all players.
    """

    cross: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.float64]
    features: npt.NDArray[np.float64]

    def of_random(self, what: str, *, cross: bool | None = None) -> float:
        """Mean of a matrix over all pairs, or over those that cross classes, or over those that do not."""
        chosen = np.triu(np.ones_like(self.cross), 1)
        if cross is not None:
            chosen &= self.cross == cross
        return float(getattr(self, what)[chosen].mean())

    def beyond(self, what: str, i: int, j: int) -> float:
        """A pair's distance, divided by the mean distance of pairs of its kind: same class, or not."""
        matrix = getattr(self, what)
        return float(matrix[i, j] / self.of_random(what, cross=bool(self.cross[i, j])))


def all_pairs(trainer: td.TorchTrainer, train: td.Examples) -> Pairs:
    """Distances of all pairs, the features from one network that was trained on all images."""
    everything = np.ones((1, len(train)), dtype=bool)
    network = trainer.initial(0)
    network.load_state_dict({k: v[0] for k, v in trainer.weights(train, everything, 0).items()})
    inputs = torch.from_numpy(train.inputs).to(trainer.device)
    features = score_alone(network[:-1].eval(), inputs).double().cpu().numpy()
    flat = train.inputs.reshape(len(train), -1).astype(np.float64)
    cross = train.labels[:, None] != train.labels[None]
    return Pairs(cross, train.labels, cdist(flat, flat), cdist(features, features))


def retrained(
    masks: npt.NDArray[np.bool_], residuals: npt.NDArray[np.float64], i: int, j: int
) -> float:
    """Joint value of a pair on retrainings: 4 E[r s_i s_j], with s = ±1 and r what single effects leave."""
    signs = np.where(masks[:, [i, j]], 1.0, -1.0).prod(axis=1)
    return float(4.0 * (residuals * signs).mean())


def rows_of_point(
    found: td.Attributions, point: int, label: int, pairs: Pairs, masks: npt.NDArray[np.bool_],
    residuals: npt.NDArray[np.float64],
) -> list[dict[str, object]]:  # fmt: skip
    """The strongest synergies and redundancies of a test point, with all that is measured of each.

    Args:
        found: attributions of the point.
        point: the test point.
        label: its class.
        pairs: distances.
        masks: bool (m, n), held-out masks.
        residuals: float (m,), their values less what single effects predict.
    """
    sides = dict(
        zip(KINDS, (found.synergies(point, 10**6), found.redundancies(point, 10**6)), strict=True)
    )
    rows: list[dict[str, object]] = []
    for kind, sets in sides.items():
        for joint in [x for x in sets if len(x.players) == 2][:TOP]:
            i, j = joint.players
            rows.append(
                {
                    "point": point, "kind": kind, "i": i, "j": j, "joint": f"{joint.value:.5f}",
                    "cross": int(pairs.cross[i, j]),
                    "of_class": int(label in pairs.labels[[i, j]]),
                    "pixels": f"{pairs.pixels[i, j]:.4f}",
                    "pixels_beyond": f"{pairs.beyond('pixels', i, j):.4f}",
                    "features": f"{pairs.features[i, j]:.4f}",
                    "features_beyond": f"{pairs.beyond('features', i, j):.4f}",
                    "retrained": f"{retrained(masks, residuals, i, j):.5f}",
                }
            )  # fmt: skip
    return rows


def of_kind(rows: Sequence[dict[str, str]], kind: str, measure: str) -> Estimate:
    """Mean of a measure over a kind of pair: over each point's pairs first, then over points."""
    by_point: dict[str, list[float]] = {}
    for row in rows:
        if row["kind"] == kind:
            by_point.setdefault(row["point"], []).append(float(row[measure]))
    return bootstrap_mean(np.array([np.mean(v) for v in by_point.values()]), seed=0)


def table(rows: Sequence[dict[str, str]], pairs: Pairs) -> list[str]:
    """Every method's synergies and redundancies beside random pairs.

    Args:
        rows: rows of `rows_of_point`, each with its ``method``.
        pairs: all pairs.
    """
    lines = [
        "| pairs | of different classes | with an image of the point's class | pixel distance "
        "| ÷ that of its kind | feature distance | ÷ that of its kind | joint value | on held-out subsets |"
    ]
    lines += ["|---" * 9 + "|"]
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        for kind in KINDS:
            cells = [_cell(of_kind(mine, kind, m)) for m in (*MEASURES[:-1], "joint", "retrained")]
            lines.append(f"| {kind}, {method} | {' | '.join(cells)} |")
    counts = np.bincount(pairs.labels)
    n, each = len(pairs.labels), counts[counts > 0].mean()
    with_class = 1 - (n - each) * (n - each - 1) / (n * (n - 1))
    for name, cross in (("all pairs", None), ("all pairs of one class", False)):
        pixels, features = (pairs.of_random(w, cross=cross) for w in ("pixels", "features"))
        share = pairs.of_random("cross", cross=cross)
        held = f"{with_class:.2f}" if cross is None else f"{each / n:.2f}"
        lines.append(
            f"| {name} | {share:.2f} | {held} | {pixels:.2f} | 1 | {features:.2f} | 1 | | |"
        )
    return lines


def _cell(x: Estimate) -> str:
    digits = 3 if max(abs(x.low), abs(x.high)) < 0.1 else 2
    return f"{x.mean:.{digits}f} [{x.low:.{digits}f}, {x.high:.{digits}f}]"
