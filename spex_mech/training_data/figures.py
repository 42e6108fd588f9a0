"""Figures of examples that act together. Every function returns a `matplotlib.figure.Figure`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError
from spex_mech.core.palette import GREY, HELPS, HURTS, INK, LINES
from spex_mech.training_data.attributions import Attributions, Joint
from spex_mech.training_data.examples import Examples
from spex_mech.training_data.players import Coalitions, by_example

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WRAP, _LONG = 22, 20
_ROW, _HEAD, _GAP, _MANY = 1.62, 0.62, 0.3, 10**6


def joint_figure(
    attributions: Attributions,
    train: Examples,
    test: Examples,
    *,
    points: tuple[int, ...] | None = None,
    pairs: int = 2,
    coalitions: Coalitions | None = None,
) -> Figure:
    """Test points, each with the training examples that act together there, shown as images or texts.

    A row is a test point: first the point itself, then its strongest synergies (blue frames) and
    redundancies (red frames), a pair of examples each with the joint value above and every example's
    label and own effect below.

    Args:
        attributions: of the test points.
        train: the training examples.
        test: the test points.
        points: which of the decoded points; None for all.
        pairs: how many synergies and how many redundancies per row.
        coalitions: the players; by default every training example is one. A player of several
            examples is shown by its first.

    Raises:
        InputError: points that were not decoded, or coalitions of other players.
    """
    from matplotlib.figure import Figure

    owned = by_example(train) if coalitions is None else coalitions
    if owned.players.names != attributions.players.names:
        raise InputError("these attributions are of other players; give the game's coalitions")
    chosen = attributions.points if points is None else points
    height = _ROW * len(chosen) + _HEAD
    widths = [1.0, _GAP, *[1.0, 1.0, _GAP / 2] * pairs, _GAP / 2, *[1.0, 1.0, _GAP / 2] * pairs]
    figure = Figure(figsize=(1.08 * sum(widths), height))
    grid = figure.add_gridspec(
        len(chosen), len(widths), width_ratios=widths, left=0.02, right=0.99, wspace=0.1, hspace=0.6,
        top=1.0 - _HEAD / height, bottom=0.4 / height,
    )  # fmt: skip
    first = {HELPS: 2, HURTS: 3 + 3 * pairs}
    for row, point in enumerate(chosen):
        axes = figure.add_subplot(grid[row, 0])
        _show(axes, test, point)
        axes.set_title(f"test point {point}", size=8, color=INK)
        axes.set_xlabel(f"label {test.classes[test.labels[point]]}", size=8, color=INK)
        sides = {
            HELPS: [x for x in attributions.synergies(point, _MANY) if len(x.players) == 2],
            HURTS: [x for x in attributions.redundancies(point, _MANY) if len(x.players) == 2],
        }
        for color, joint in sides.items():
            for k, x in enumerate(joint[:pairs]):
                _pair(figure, grid, row, first[color] + 3 * k, x, train, owned, color)
    titles = {
        HELPS: "synergies: more together than alone",
        HURTS: "redundancies: less together than alone",
    }
    for color, text in titles.items():
        left = grid[0, first[color]].get_position(figure).x0
        figure.text(left, 1.0 - 0.3 / height, text, size=9, color=color, weight="bold")
    return figure


def selection_figure(curves: dict[str, Any], *, ylabel: str = "test accuracy") -> Figure:
    """Accuracy against the number of kept examples, one line per method with its interval.

    Args:
        curves: method name to (sizes (k,), means (k,), lows (k,), highs (k,)).
        ylabel: what is measured.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for k, (name, (sizes, means, lows, highs)) in enumerate(curves.items()):
        color = LINES[k % len(LINES)]
        axes.plot(sizes, means, color=color, marker="o", ms=3, lw=1.6, label=name)
        axes.fill_between(sizes, lows, highs, color=color, alpha=0.12, lw=0)
    axes.set_xlabel("training examples kept")
    axes.set_ylabel(ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _pair(
    figure: Figure, grid: Any, row: int, column: int, x: Joint, train: Examples,
    owned: Coalitions, color: str,
) -> None:  # fmt: skip
    for k, (player, effect) in enumerate(zip(x.players, x.effects, strict=True)):
        axes = figure.add_subplot(grid[row, column + k])
        rows = owned.members[player]
        _show(axes, train, int(rows[0]))
        for spine in axes.spines.values():
            spine.set(visible=True, color=color, linewidth=1.6)
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        label = train.classes[train.labels[rows[0]]]
        name = f"#{rows[0]}{more}, label {label}"
        size = 7 if len(name) < _LONG else 6  # a long name would run into the next one
        axes.set_xlabel(f"{name}\nalone {effect:+.2f}", size=size, color=INK)
        if k == 0:
            axes.set_title(f"together {x.value:+.2f}", size=8, color=color, loc="left")


def _show(axes: Any, examples: Examples, i: int) -> None:
    """An example in a frame: its image, its text, or its features as a strip."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=GREY, linewidth=0.8)
    if examples.texts is not None:
        axes.set(xlim=(0, 1), ylim=(0, 1))
        text = "\n".join(_wrap(examples.texts[i]))
        axes.text(0.5, 0.5, text, size=6, ha="center", va="center", color=INK)
        return
    axes.imshow(_picture(examples.inputs[i]), cmap="gray_r", vmin=0.0, vmax=1.0, aspect="auto"
                if examples.inputs.ndim == 2 else "equal")  # fmt: skip


def _picture(image: npt.NDArray) -> npt.NDArray:
    if image.ndim == 1:
        spread = np.ptp(image) or 1.0
        return ((image - image.min()) / spread)[None]
    if image.ndim == 3 and len(image) in (1, 3):
        return image[0] if len(image) == 1 else image.transpose(1, 2, 0).clip(0.0, 1.0)
    raise InputError(
        f"inputs of shape {image.shape} are no images; expected (channels, height, width), or texts"
    )


def _wrap(text: str, lines: int = 6) -> list[str]:
    import textwrap

    wrapped = textwrap.wrap(text, _WRAP)
    if len(wrapped) <= lines:
        return wrapped
    return [*wrapped[: lines - 1], wrapped[lines - 1][:-3] + "..."]
