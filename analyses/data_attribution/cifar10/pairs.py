"""Pairs of training images that act together: do they cross classes, and do they look alike?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.distance import cdist

from spex_mech import training_data as td
from spex_mech.core.estimates import bootstrap_mean
from spex_mech.training_data.torch.training import score_alone

TOP = 10
OVERALL = 40
KINDS = ("synergy", "redundancy")
EVERYWHERE = "redundant over all points"
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


def all_joint(
    masks: npt.NDArray[np.bool_], residuals: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Joint values of all pairs on retrainings, (n, n): 4 E[r s_i s_j], with s = ±1.

    Args:
        masks: bool (m, n).
        residuals: float (m,), what single effects leave of the values.
    """
    signs = np.where(masks, 1.0, -1.0)
    return 4.0 / len(masks) * (signs.T * residuals) @ signs


def means_by_class(joint: npt.NDArray[np.float64], label: int, pairs: Pairs) -> dict[str, float]:
    """Means of the joint values of all pairs at a test point of class ``label``, by the pairs' classes."""
    own = pairs.labels == label
    upper = np.triu(np.ones_like(pairs.cross), 1)
    both, one = own[:, None] & own & upper, (own[:, None] ^ own) & upper
    neither = upper & ~both & ~one
    near, far = np.quantile(pairs.features[both], [0.25, 0.75])
    kinds = {
        "both of the point's class": both,
        "the quarter of these that look most alike": both & (pairs.features <= near),
        "the quarter of these that look least alike": both & (pairs.features >= far),
        "one of the point's class, one of another": one,
        "both of one other class": neither & ~pairs.cross,
        "of two other classes": neither & pairs.cross,
    }
    return {name: float(joint[chosen].mean()) for name, chosen in kinds.items()}


def class_table(means: Sequence[dict[str, float]]) -> list[str]:
    """Means over test points of `means_by_class`, with intervals."""
    lines = ["| all pairs | mean joint value on held-out subsets |", "|---|---|"]
    for name in means[0]:
        x = bootstrap_mean(np.array([found[name] for found in means]), seed=0)
        lines.append(f"| {name} | {x.mean:+.4f} [{x.low:+.4f}, {x.high:+.4f}] |")
    return lines


def rows_of_point(
    found: td.Attributions,
    point: int,
    label: int,
    pairs: Pairs,
    retrained: npt.NDArray[np.float64],
) -> list[dict[str, object]]:
    """The strongest synergies and redundancies of a test point, with all that is measured of each.

    Args:
        found: attributions of the point.
        point: the test point.
        label: its class.
        pairs: distances.
        retrained: joint values on held-out masks, from `all_joint`.
    """
    sides = dict(
        zip(KINDS, (found.synergies(point, 10**6), found.redundancies(point, 10**6)), strict=True)
    )
    rows: list[dict[str, object]] = []
    for kind, sets in sides.items():
        for joint in [x for x in sets if len(x.players) == 2][:TOP]:
            i, j = joint.players
            row = _row(point, kind, joint, pairs)
            row["of_class"] = int(label in pairs.labels[[i, j]])
            row["retrained"] = f"{retrained[i, j]:.5f}"
            rows.append(row)
    return rows


def rows_of_all_points(found: td.Attributions, pairs: Pairs) -> list[dict[str, object]]:
    """The pairs that are most redundant over all test points together, each with a row of its own."""
    best = found.redundant(OVERALL)
    return [_row(f"pair {k}", EVERYWHERE, joint, pairs) for k, joint in enumerate(best)]


def _row(point: int | str, kind: str, joint: td.Joint, pairs: Pairs) -> dict[str, object]:
    i, j = joint.players
    return {
        "point": point, "kind": kind, "i": i, "j": j, "joint": f"{joint.value:.5f}",
        "cross": int(pairs.cross[i, j]), "of_class": "",
        "pixels": f"{pairs.pixels[i, j]:.4f}",
        "pixels_beyond": f"{pairs.beyond('pixels', i, j):.4f}",
        "features": f"{pairs.features[i, j]:.4f}",
        "features_beyond": f"{pairs.beyond('features', i, j):.4f}",
        "retrained": "",
    }  # fmt: skip


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
        for kind in dict.fromkeys(row["kind"] for row in mine):
            some = [row for row in mine if row["kind"] == kind]
            cells = [_cell(some, m) for m in (*MEASURES[:-1], "joint", "retrained")]
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


def _cell(rows: Sequence[dict[str, str]], measure: str) -> str:
    """Mean of a measure over each point's pairs, then over points; nothing where it was not measured."""
    by_point: dict[str, list[float]] = {}
    for row in rows:
        if row[measure]:
            by_point.setdefault(row["point"], []).append(float(row[measure]))
    if not by_point:
        return ""
    x = bootstrap_mean(np.array([np.mean(v) for v in by_point.values()]), seed=0)
    digits = 3 if max(abs(x.low), abs(x.high)) < 0.1 else 2
    return f"{x.mean:.{digits}f} [{x.low:.{digits}f}, {x.high:.{digits}f}]"
