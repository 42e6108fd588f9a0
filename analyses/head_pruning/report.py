"""Tables and figures of what has been chosen and scored."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import figures
import numpy as np
from comparisons import FULL, Study
from study import CONFIG, METRICS, Rows, Scores, chosen_sizes

SUBJECTS, KEEPS = CONFIG["subjects"], CONFIG["keeps"]


def write_report(rows: Rows, scores: Scores, folder: Path) -> None:
    """Write tables.md and the figures."""
    study = Study(rows, scores)
    if len(study.seeds) < 2:
        print(f"splits {study.seeds} are complete; the report needs two or more")
        return
    parts = [
        f"Splits {', '.join(map(str, study.seeds))}; {CONFIG['budget']} ablations a method; "
        f"{CONFIG['search']} search and {CONFIG['test']} test questions a split. Written by run.py.",
        spent(study, rows),
        *(averages(study, metric) for metric in METRICS),
        *(verdicts(study, metric) for metric in METRICS),
        *(means(study, metric) for metric in METRICS),
        *(_gains(study, metric) for metric in METRICS),
        _raised(study),
        _raised_margin(study),
        _sizes(study, folder),
    ]
    (folder / "tables.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    for metric in METRICS:
        figures.curves(study, metric, folder / f"{metric}.png")
    figures.gains(study, folder / "gains.png")
    strongest = max(
        study.methods[1:],
        key=lambda m: np.mean([study.mean("margin", s, m, k) for s in SUBJECTS for k in KEEPS]),
    )
    figures.cells(study, strongest, folder / "strongest.png")
    figures.transfer(study, CONFIG["transfer"][-1], folder / "transfer.png")


def spent(study: Study, rows: Iterable[dict]) -> str:
    """What each method spent, in ablations and seconds."""
    table = []
    for method in study.methods:
        mine = [r for r in rows if r["method"] == method and r["seed"] in study.seeds]
        spent = sorted({r["spent"] for r in mine})
        count = f"{spent[0]}" if len(spent) == 1 else f"{spent[0]} to {spent[-1]}"
        table.append([method, count, f"{np.mean([r['cpu_seconds'] for r in mine]):.1f}"])
    note = (
        "Methods share evaluations of equal masks within a subject and split (each is charged for all "
        "its own), so the seconds are not those of a method alone."
    )
    title = "## What each method spent"
    return "\n\n".join([title, _markdown(["method", "ablations", "CPU s"], table), note])


def averages(study: Study, metric: str) -> str:
    """Ours minus each method at each size and at all, mean over the subjects."""
    spans = [*([k] for k in KEEPS), KEEPS]
    table = [
        [method, *(str(study.average_gain(metric, method, span)) for span in spans)]
        for method in study.methods[1:]
    ]
    head = ["ours minus", *(f"{k} heads" for k in KEEPS), "all sizes"]
    return f"## Test {metric}: ours minus each, mean over the subjects\n\n" + _markdown(head, table)


def verdicts(study: Study, metric: str) -> str:
    """How many intervals lie above, about and below zero."""
    table, totals = [], np.zeros(3, dtype=int)
    for method in study.methods[1:]:
        counts = np.zeros(3, dtype=int)
        for subject in SUBJECTS:
            for keep in KEEPS:
                gain = study.gain(metric, subject, method, keep)
                counts[0 if gain.low > 0 else 2 if gain.high < 0 else 1] += 1
        totals += counts
        table.append([method, *map(str, counts)])
    table.append(["all", *map(str, totals)])
    count = totals.sum()
    best = _against_best(study, metric)
    text = (
        f"Single 95 % intervals of ours minus each method, {len(SUBJECTS)} subjects x {len(KEEPS)} sizes. "
        f"Were all methods equal, {0.025 * count:.0f} of the {count} would be expected below zero by "
        f"chance. {best}"
    )
    head = ["against", "above 0", "contains 0", "below 0"]
    return f"## Test {metric}: best or tied?\n\n{_markdown(head, table)}\n\n{text}"


def _against_best(study: Study, metric: str) -> str:
    """Where some method beats ours by its single interval."""
    beaten = [
        f"{subject} at {keep} ({method}: {gain})"
        for subject in SUBJECTS
        for keep in KEEPS
        for method in study.methods[1:]
        if (gain := study.gain(metric, subject, method, keep)).high < 0
    ]
    return f"Below zero: {'; '.join(beaten)}." if beaten else "None is below zero."


def means(study: Study, metric: str) -> str:
    """The metric of every method at each size, subject by subject."""
    table = []
    for subject in SUBJECTS:
        full = study.mean(metric, subject, FULL, KEEPS[0])
        for method in study.methods:
            cells = [f"{study.mean(metric, subject, method, k):.3f}" for k in KEEPS]
            table.append([subject, method, f"{full:.3f}", *cells])
    head = ["subject", "method", "all 32", *map(str, KEEPS)]
    return f"## Test {metric}\n\n" + _markdown(head, table)


def _gains(study: Study, metric: str) -> str:
    table = [
        [subject, method, *(str(study.gain(metric, subject, method, k)) for k in KEEPS)]
        for subject in SUBJECTS
        for method in study.methods[1:]
    ]
    head = ["subject", "ours minus", *map(str, KEEPS)]
    return f"## Test {metric}: every difference with its interval\n\n" + _markdown(head, table)


def _raised(study: Study) -> str:
    """Where the pruned model answers more questions right than the full one."""
    table, tests = [], len(SUBJECTS) * len(KEEPS)
    for subject in SUBJECTS:
        for keep in KEEPS:
            gain = study.gain("accuracy", subject, FULL, keep)
            if gain.mean > 0:
                test = study.mcnemar(subject, FULL, keep)
                counts = f"{test.only_a} : {test.only_b}"
                corrected = min(1.0, tests * test.p)
                cells = [str(gain), counts, f"{test.p:.3g}", f"{corrected:.3g}"]
                table.append([subject, str(keep), *cells])
    head = ["subject", "heads", "accuracy, ours minus full", "right: only ours : only full"]
    head += ["p", f"p x {tests}"]
    text = (
        "The interval is over splits and questions; the counts and McNemar's exact p take each "
        "question once, in the first split that asks it. The last column is Bonferroni's over all "
        "subjects and sizes."
    )
    body = _markdown(head, table) if table else "Nowhere."
    return f"## Where pruning raises accuracy\n\n{body}\n\n{text}"


def _raised_margin(study: Study) -> str:
    gains = {(s, k): study.gain("margin", s, FULL, k) for s in SUBJECTS for k in KEEPS}
    table = [[s, str(k), str(gain)] for (s, k), gain in gains.items() if gain.low > 0]
    head = ["subject", "heads", "margin, ours minus full"]
    text = (
        f"Those of the {len(gains)} subjects and sizes whose single 95 % interval lies above zero; "
        f"{0.025 * len(gains):.1f} would by chance."
    )
    body = _markdown(head, table) if table else "Nowhere."
    return f"## Where pruning raises the margin\n\n{body}\n\n{text}"


def _sizes(study: Study, folder: Path) -> str:
    """The sizes chosen on validation questions, and what they are worth on the test."""
    table = []
    sizes = {(r["subject"], r["seed"]): r["keep"] for r in chosen_sizes(folder)}
    for subject in SUBJECTS:
        mine = [sizes.get((subject, seed)) for seed in study.seeds]
        if None in mine:
            return "## The size, chosen on validation\n\nNot yet chosen."
        ours, full = [], []
        for r, keep in enumerate(mine):
            method = FULL if keep == 32 else study.methods[0]
            ours.append(study.values("accuracy", subject, method, keep)[r])
            full.append(study.values("accuracy", subject, FULL, keep)[r])
        loss = study.difference(full, ours, subject)
        table.append([subject, " ".join(map(str, mine)), f"{np.mean(ours):.3f}", str(loss)])
    head = ["subject", "heads in each split", "test accuracy", "full minus pruned"]
    rule = (
        f"The smallest size whose loss of accuracy on {CONFIG['validation']} validation questions is at most "
        f"{CONFIG['tolerance']} plus one standard error, as that of every larger size; all 32 where none is."
    )
    return f"## The size, chosen on validation\n\n{_markdown(head, table)}\n\n{rule}"


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
