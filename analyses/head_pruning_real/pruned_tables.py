"""Tables of pruned heads on real questions, as Markdown and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pruned_figures import curves, heads_map
from pruned_study import FULL, METRICS, Study, studies

from spex_mech.core.significance import holm
from spex_mech.pruning.prune import OURS

Table = tuple[list[str], list[list[str]]]  # names of the columns, and rows


def write(kept: Path, results: Path) -> str:
    """Write ``results.csv``, ``results.md``, ``heads.csv`` and both figures, and give the tables."""
    found, folder = studies(kept), results.parent
    if not found:
        return f"{kept} has no draw yet"
    methods, heads = methods_table(found), heads_table(found)
    for path, (columns, rows) in (
        (results, methods),
        (results.with_stem(results.stem.replace("results", "heads")), heads),
    ):
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])
    raising = [row for row in heads[1] if float(row[5]) > 0]
    parts = [against_full(found), verdicts(found), (heads[0], raising), cost_table(found)]
    text = "\n".join(_markdown(*part) for part in parts)
    (folder / "results.md").write_text(text, encoding="utf-8")
    curves(found).savefig(folder / "pruned.png", dpi=130)
    single = [study for study in found if study.single]
    if single:
        heads_map(single).savefig(folder / "heads.png", dpi=130)
    return text


def methods_table(found: Sequence[Study]) -> Table:
    """Accuracy and margin of every method at every size, and ours minus it."""
    columns = ["group", "task", "draws", "heads", "method"]
    for metric in METRICS:
        columns += [metric, f"{metric}: ours minus it"]
    rows = []
    for study in found:
        one = study.draws[0]
        for keep in one.keeps:
            for method in (*one.methods, FULL):
                cells = [one.group, one.task, str(len(study.draws)), str(keep), method]
                for metric in METRICS:
                    cells.append(f"{study.mean(metric, method, keep):.3f}")
                    own = method == OURS
                    cells.append("" if own else str(study.gain(metric, OURS, method, keep)))
                rows.append(cells)
    return columns, rows


def verdicts(found: Sequence[Study]) -> Table:
    """Over all sets and sizes of a group: ours minus each method on average, and how its intervals lie."""
    columns = ["group", "ours against"]
    for metric in METRICS:
        columns += [f"{metric}: mean difference", "above 0", "contains 0", "below 0"]
    rows = []
    for group in dict.fromkeys(s.draws[0].group for s in found):
        some = [(s, k) for s in found if s.draws[0].group == group for k in s.draws[0].keeps]
        for method in some[0][0].draws[0].methods[1:]:
            cells = [group, method]
            for metric in METRICS:
                gains = [study.gain(metric, OURS, method, keep) for study, keep in some]
                above, below = (sum(g.low > 0 for g in gains), sum(g.high < 0 for g in gains))
                cells.append(f"{np.mean([g.mean for g in gains]):+.3f}")
                cells += map(str, (above, len(gains) - above - below, below))
            rows.append(cells)
    return columns, rows


def against_full(found: Sequence[Study]) -> Table:
    """Ours against the full model, with McNemar's test and Holm's correction over all rows."""
    columns = ["group", "task", "heads", "full: accuracy", "margin", "ours minus full: accuracy"]
    columns += ["margin", "right: only ours : only full", "of", "p", "Holm"]
    rows: list[list[str]] = []
    every = [(study, keep) for study in found for keep in study.draws[0].keeps]
    tests = [study.mcnemar(OURS, keep) for study, keep in every]
    corrected = holm(np.array([test.p for test in tests]))
    for (study, keep), test, p in zip(every, tests, corrected, strict=True):
        cells = [study.draws[0].group, study.draws[0].task, str(keep)]
        cells += [f"{study.mean(metric, FULL, keep):.3f}" for metric in METRICS]
        cells += [str(test.difference), str(study.gain("margin", OURS, FULL, keep))]
        cells += [f"{test.only_a} : {test.only_b}", str(test.n), f"{test.p:.2g}", f"{p:.2g}"]
        rows.append(cells)
    return columns, rows


def heads_table(found: Sequence[Study]) -> Table:
    """What each head's removal alone changes; the intervals of all heads of a set hold together."""
    columns = ["group", "task", "head", "margin without it, minus full", "accuracy"]
    columns += ["low", "draws in which ours removed it", "of", "largest size"]
    rows = []
    for study in (study for study in found if study.single):
        one = study.draws[0]
        level, keep = 1 - 0.05 / len(one.heads), max(one.keeps)
        for number, head in enumerate(one.heads):
            changes = [study.without(m, number, level) for m in ("margin", "accuracy")]
            cells = [one.group, one.task, head, *map(str, changes), f"{changes[0].low:.3f}"]
            cells += [str(study.removed(number, keep)), str(len(study.draws)), str(keep)]
            rows.append(cells)
    return columns, rows


def cost_table(found: Sequence[Study]) -> Table:
    """Ablations and seconds of processor time, means over the draws."""
    methods = found[0].draws[0].methods
    columns = ["group", "task", *(f"{m}: ablations, s" for m in methods), "test, s"]
    rows = []
    for study in found:
        spent = np.mean([draw.spent for draw in study.draws], axis=0)
        seconds = np.mean([draw.seconds for draw in study.draws], axis=0)
        cells = [study.draws[0].group, study.draws[0].task]
        cells += [f"{a:.0f}, {s:.0f}" for a, s in zip(spent, seconds, strict=False)]
        rows.append([*cells, f"{seconds[-1]:.0f}"])
    return columns, rows


def _markdown(columns: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (columns, *rows)]
    return "\n".join([lines[0], "|---" * len(columns) + "|", *lines[1:]]) + "\n"
