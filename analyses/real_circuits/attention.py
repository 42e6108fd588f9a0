"""What do the strongest heads of one split attend to, and which of them act together? See the README.

    python analyses/real_circuits/attention.py --task agreement

It decodes the masks that run.py has evaluated, and evaluates them where it has not.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import torch

sys.path.insert(0, str(Path(__file__).parent))
import circuit_questions
import circuit_rankings
import circuit_summary

import spex_mech as sm
from spex_mech.report import plots

HERE = Path(__file__).parent
HEADS, PANELS, SETS = 16, 8, 14


def main() -> None:
    """Write attention-TASK.png, attention-TASK-last.png and attention-TASK.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--task", default="ioi", choices=circuit_questions.NAMES)
    parser.add_argument("--split", type=int, default=0)
    parser.add_argument("--rows", type=int, default=1080)
    parser.add_argument("--runs", type=Path, default=Path("runs/real_circuits"), help="the stores")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = sm.load_model(args.model)
    players = sm.select_players(model, "heads")
    task = sm.resplit(circuit_questions.load(args.task), seed=args.split)

    def game_of(count: int) -> sm.TaskGame:
        return sm.TaskGame(model, task.first(count), players, ablation="counterfactual")

    store, keeps = (
        args.runs / f"{args.task}-{args.split}" / "search",
        circuit_summary.keeps(players.n),
    )
    run, spectrum = circuit_rankings.surrogate(game_of, keeps, args.rows // 2, args.split, store)
    heads, found = strongest(spectrum)
    names = [players.names[i] for i in heads]
    test = sm.TaskGame(model, task.first(2, "test"), players, split="test")
    patterns = sm.attention_patterns(test, names, questions=2)
    stem = f"attention-{args.task}"
    plots.attention_map(patterns[0].of(names[:PANELS])).savefig(args.out / f"{stem}.png", dpi=110)
    plots.attention_rows(patterns).savefig(args.out / f"{stem}-last.png", dpi=110)
    text = f"{len(run.design)} masks, {run.rows} rows: {spectrum.info['message']}\n\n"
    text += interaction_table(found, players) + "\n" + head_table(spectrum, heads, patterns)
    (args.out / f"{stem}.md").write_text(text, encoding="utf-8")
    print(text)


def strongest(spectrum: sm.Spectrum) -> tuple[list[int], sm.Interactions]:
    """Heads with the largest Banzhaf values and those of the strongest sets, and the interactions (FBII)."""
    values = sm.interactions(spectrum, "Banzhaf", 1).values
    single = [s[0] for s in sorted(values, key=lambda s: -abs(values[s])) if len(s) == 1]
    found = sm.interactions(spectrum, "FBII", 3)
    joined = [i for s, _ in found.joint(SETS) for i in s]
    return list(dict.fromkeys([*single[:PANELS], *joined]))[:HEADS], found


def interaction_table(found: sm.Interactions, players: sm.PlayerSet) -> str:
    """The strongest pairs and triples, and what their signs mean."""
    text = "| heads | FBII ± standard deviation | |\n|---|---|---|\n"
    for s, value in found.joint(SETS):
        std = 0.0 if found.std is None else found.std[s]
        meaning = "need each other (synergy)" if value > 0 else "back each other up (redundancy)"
        meaning = meaning if abs(value) >= 2 * std else "may be chance"
        text += f"| {players.label(s)} | {value:+.3f} ± {std:.3f} | {meaning} |\n"
    return text


def head_table(
    spectrum: sm.Spectrum, heads: list[int], patterns: tuple[sm.AttentionPattern, ...]
) -> str:
    """What each head is worth, and what it attends to from the last position."""
    values = sm.interactions(spectrum, "Banzhaf", 1).values
    text = (
        "| head | Banzhaf value | from the end of question 1 | of question 2 |\n|---|---|---|---|\n"
    )
    for head, name in zip(heads, patterns[0].heads, strict=True):
        cells = [
            ", ".join(f"`{token.strip()}` {weight:.2f}" for token, weight in p.strongest(name, 3))
            for p in patterns
        ]
        text += f"| {name} | {values[(head,)]:+.3f} | " + " | ".join(cells) + " |\n"
    return text


if __name__ == "__main__":
    main()
