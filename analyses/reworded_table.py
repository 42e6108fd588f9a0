"""Table and figure of statements whose words were replaced, see reworded.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from table_rows import mean_text

Rows = Sequence[dict[str, str]]
REPLACED = {
    "one": "one word of the interaction",
    "all": "all words of the interaction",
    "others": "as many other words",
}
ORDERS = ("order 1", "order 2", "order 3+")


def write(rows: Rows, folder: Path) -> str:
    """Write ``results.md`` and ``synonyms.png``, and give the tables."""
    text = _decoded(rows) + "\n" + _replaced(rows)
    (folder / "results.md").write_text(text, encoding="utf-8")
    figure(rows).savefig(folder / "synonyms.png", dpi=130)
    return text


def kinds(rows: Rows) -> list[str]:
    """Kinds of statements, in order."""
    return list(dict.fromkeys(r["kind"] for r in rows))


def _decoded(rows: Rows) -> str:
    text = "| statements | count | answered True | right | log-odds of True | of true minus of false ones | "
    text += "energy of single words | of pairs | of more | median R² | named words are in the strongest "
    text += "interaction | by chance |\n" + "|---" * 12 + "|\n"
    for kind in kinds(rows):
        some = [r for r in rows if r["kind"] == kind]
        whole = np.array([float(r["whole"]) for r in some])
        true = np.array([r["right"] == "True" for r in some])
        means = [whole > 0, (whole > 0) == true, whole]
        cells = [str(len(some)), *(mean_text(facts(some, values)) for values in means)]
        cells.append(_difference(whole, true))
        cells += [mean_text(facts(some, [float(r[order]) for r in some])) for order in ORDERS]
        cells.append(f"{np.median([float(r['R2']) for r in some]):.2f}")
        cells.append(mean_text(facts(some, [float(r["named"]) for r in some])))
        cells.append(f"{np.mean([float(r['named by chance']) for r in some]):.2f}")
        text += f"| {kind} | " + " | ".join(cells) + " |\n"
    return text


def facts(rows: Rows, values: Sequence[float]) -> np.ndarray:
    """Values of the statements of a kind, as means over the two statements of a fact, where it has two.

    A true and a false statement that stand one after the other share all words but one. Resampling one
    without the other would make intervals too short.
    """
    found = np.asarray(values, dtype=np.float64)
    true = np.array([r["right"] == "True" for r in rows])
    paired = len(true) % 2 == 0 and (true[::2] != true[1::2]).all()
    return found.reshape(-1, 2).mean(axis=1) if paired else found


def _difference(whole: np.ndarray, true: np.ndarray) -> str:
    """How much higher true statements score than the false ones they are paired with, in order."""
    if true.sum() != (~true).sum():
        return ""
    return mean_text(whole[true] - whole[~true])


def _replaced(rows: Rows) -> str:
    text = "| statements | replaced | answer changed | changed side of the median | "
    text += "size of the change of log-odds |\n"
    text += "|---" * 5 + "|\n"
    for kind in kinds(rows):
        for which, words in REPLACED.items():
            some = [r for r in rows if r["kind"] == kind]
            cells = [mean_text(facts(some, effect)) for effect in effects(rows, kind, which)]
            text += f"| {kind} | {words} | " + " | ".join(cells) + " |\n"
    return text


def effects(rows: Rows, kind: str, which: str) -> tuple[list[float], list[float], list[float]]:
    """What replacements do to every statement of a kind.

    Returns:
        The share of them that change the answer, the share that change the side of the median of the kind,
        and the mean size of the change.
    """
    some = [r for r in rows if r["kind"] == kind]
    middle = float(np.median([float(r["whole"]) for r in some]))
    changed, sides, sizes = [], [], []
    for row in some:
        whole, after = float(row["whole"]), np.array(row[which].split(), dtype=float)
        changed.append(float(((after > 0) != (whole > 0)).mean()))
        sides.append(float(((after > middle) != (whole > middle)).mean()))
        sizes.append(float(np.abs(after - whole).mean()))
    return changed, sides, sizes


def figure(rows: Rows) -> Figure:
    """Energy by number of words, and the change of the log-odds by what was replaced."""
    drawn = Figure(figsize=(8.6, 0.36 * len(kinds(rows)) + 2.1), layout="constrained")
    left, right = drawn.subplots(1, 2)
    places = np.arange(len(kinds(rows)))[::-1]
    start = np.zeros(len(places))
    for order, colour, label in zip(
        ORDERS, ("#4c78a8", "#f58518", "#b279a2"), ("single words", "pairs", "more"), strict=True
    ):
        shares = [
            np.mean([float(r[order]) for r in rows if r["kind"] == kind]) for kind in kinds(rows)
        ]
        left.barh(places, shares, 0.6, left=start, color=colour, label=label)
        start = start + shares
    left.set_yticks(places, kinds(rows))
    left.set_xlabel("share of the energy")
    for shift, (which, label) in zip((0.22, 0.0, -0.22), REPLACED.items(), strict=True):
        sizes = [
            facts([r for r in rows if r["kind"] == kind], effects(rows, kind, which)[2])
            for kind in kinds(rows)
        ]
        right.errorbar(
            [s.mean() for s in sizes],
            places + shift,
            xerr=[1.96 * s.std(ddof=1) / np.sqrt(len(s)) if len(s) > 1 else 0.0 for s in sizes],
            fmt="o",
            ms=4,
            label=label,
        )
    right.set_yticks(places, [""] * len(places))
    right.set_xlim(left=0)
    right.set_xlabel("size of the change of log-odds by synonyms")
    for axes in (left, right):
        axes.set_ylim(-0.6, len(places) - 0.4)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            fontsize=8,
            frameon=False,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=3 if axes is left else 1,
        )
    return drawn
