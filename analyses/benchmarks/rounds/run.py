"""Do aimed masks help, and does stopping at a target keep its word? See the README beside this file.

python analyses/benchmarks/rounds/run.py --games ../shared/games
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

from spex_mech.core.estimates import paired_difference
from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.interactions import interactions
from spex_mech.core.masks import all_masks, pack
from spex_mech.core.transform import exact_spectrum
from spex_mech.decoders.decode import decode
from spex_mech.decoders.explain import explain
from spex_mech.designs import MaskDesign, biased, stratified
from spex_mech.pruning.prune import prune

HERE = Path(__file__).parent
BUDGETS = (200, 500, 1000)
TARGETS = (0.6, 0.7, 0.8, 0.9)
SHARES = {"values": 0.0, "aimed": 0.25}  # share of the budget that prune spends near the best sets
PANELS = (
    ("shapley", "shapley", "Relative error of Shapley values"),
    ("pruning", "aimed", "Regret of the kept set, in standard deviations of sets of its size"),
)
Row = tuple[str, str, float, float]  # question, how, at, answer


def main() -> None:
    """Measure every game, write results.md and rounds.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True, help="folder of <game>.npz files")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--method", default="walsh_gp")
    args = parser.parse_args()
    paths = sorted(args.games.glob("*.npz"))
    if not paths:
        sys.exit(f"no .npz games in {args.games}; give the folder of the value tables")
    cells: dict[tuple[str, str, float], list[list[float]]] = defaultdict(list)
    for path in paths:
        with np.load(path) as file:
            game = Game(file["values"].astype(float), int(file["n"]))
        of_game = defaultdict(list)
        for seed in range(args.seeds):
            for question, how, at, answer in [
                *game.shapley(seed, args.method),
                *game.pruning(seed, args.method),
                *game.stopping(seed, args.method),
            ]:
                of_game[question, how, at].append(answer)
        for key, answers in of_game.items():
            cells[key].append(answers)
        print(f"{path.stem}: done", flush=True)
    text = f"{len(paths)} games, {args.seeds} seeds, method {args.method}.\n\n" + tables(cells)
    (HERE / "results.md").write_text(text, encoding="utf-8")
    figure(cells, HERE / "rounds.png")
    print(text)


class Game:
    """A complete game and the questions asked of it."""

    def __init__(self, table: np.ndarray, n: int) -> None:
        self.table, self.n, self.masks = table, n, all_masks(n)

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Values of masks (m, n)."""
        return self.table[pack(np.asarray(masks))[:, 0].astype(np.int64)]

    def shapley(self, seed: int, method: str) -> Iterator[Row]:
        """Relative error of the Shapley values."""
        true = self._vector(interactions(exact_spectrum(self.table), "Shapley").values)
        for budget in BUDGETS:
            for aim, design in (
                ("values", biased(self.n, budget, keep_rate=0.5, seed=seed)),
                ("shapley", stratified(self.n, budget, seed=seed)),
            ):
                # What explain(aim=...) decodes in its last round, without the rounds before it.
                found = decode(design, self(design.masks), method=method, seed=seed)
                error = self._vector(interactions(found, "Shapley").values) - true
                relative = np.linalg.norm(error) / np.linalg.norm(true)
                yield "shapley", aim, budget, float(relative)

    def pruning(self, seed: int, method: str) -> Iterator[Row]:
        """How far the set of n / 2 players found is below the best, in standard deviations of such sets."""
        keep = self.n // 2
        sized = self.table[self.masks.sum(axis=1) == keep]
        for budget, (how, share) in product(BUDGETS, SHARES.items()):
            check = int(share * budget)
            design = biased(self.n, budget - check, keep_rate=0.5, seed=seed)
            found = decode(design, self(design.masks), method=method, seed=seed)
            kept = prune(self, found, keep=keep, validate=check, seed=seed)
            regret = (sized.max() - self(kept.mask[None])[0]) / sized.std()
            yield "pruning", how, budget, float(regret)

    def stopping(self, seed: int, method: str) -> Iterator[Row]:
        """R² on masks not sampled, and masks spent, where a target was reached within 2000 masks."""
        whole = explain(self, budget=2000, method=method, n=self.n, seed=seed)
        for target in TARGETS:
            stops = [r for r in whole.rounds if r.r2 >= target]
            yield "stopping", "reached", target, float(bool(stops))
            if stops:  # masks do not depend on the target: a run with it would have ended here
                design = MaskDesign(whole.run.masks[: stops[0].masks], seed)
                found = decode(design, self(design.masks), method=method, seed=seed)
                unseen = np.ones(len(self.table), dtype=bool)
                unseen[pack(design.masks)[:, 0].astype(np.int64)] = False
                r2 = faithfulness(found, self.masks[unseen], self.table[unseen])
                yield "stopping", "masks", target, stops[0].masks
                yield "stopping", "expected", target, stops[0].r2
                yield "stopping", "true", target, r2

    def _vector(self, values: object) -> np.ndarray:
        return np.array([values.get((i,), 0.0) for i in range(self.n)])  # type: ignore[attr-defined]


def tables(cells: dict) -> str:
    """Aimed against independent masks with paired intervals over games, and the stops."""
    text = ""
    for question, aim, what in PANELS:
        text += f"## {what}\n\n| masks | independent, mean (median) | aimed, mean (median) | "
        text += "aimed minus independent, 95 % interval over games |\n|---|---|---|---|\n"
        for budget in BUDGETS:
            base, aimed = (
                np.array([np.mean(a) for a in cells[question, how, budget]])
                for how in ("values", aim)
            )
            d = paired_difference(aimed, base, seed=0)
            text += f"| {budget} | {base.mean():.3f} ({np.median(base):.3f}) | "
            text += f"{aimed.mean():.3f} ({np.median(aimed):.3f}) | "
            text += f"{d.mean:.3f} ({d.low:.3f} to {d.high:.3f}) |\n"
        text += "\n"
    text += "## Stopping at a target, at most 2000 masks\n\n| target | reached | masks, median | "
    text += "R² expected | R² on masks not sampled | worst tenth |\n|---|---|---|---|---|---|\n"
    for target in TARGETS:
        flat = {
            how: np.array([v for a in cells["stopping", how, target] for v in a])
            for how in ("reached", "masks", "expected", "true")
        }
        if len(flat["true"]):
            text += f"| {target} | {int(flat['reached'].sum())} of {len(flat['reached'])} | "
            text += f"{np.median(flat['masks']):.0f} | {flat['expected'].mean():.3f} | "
            text += f"{flat['true'].mean():.3f} | {np.quantile(flat['true'], 0.1):.3f} |\n"
    return text


def figure(cells: dict, path: Path) -> None:
    """Error or regret against masks, mean over games with its standard error."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    for axis, (question, aim, label) in zip(axes, PANELS, strict=True):
        for how, name in (("values", "independent masks"), (aim, "aimed masks")):
            each = [np.array([np.mean(a) for a in cells[question, how, b]]) for b in BUDGETS]
            error = [e.std(ddof=1) / np.sqrt(len(e)) for e in each]
            axis.errorbar(
                BUDGETS, [np.mean(e) for e in each], error, marker="o", capsize=3, label=name
            )
        axis.set(xscale="log", xlabel="masks in all", title=label)
        axis.title.set_fontsize(9)
        axis.set_xticks(BUDGETS, [str(b) for b in BUDGETS])
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
        axis.legend()
    figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
