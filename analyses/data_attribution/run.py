"""Which training examples act together: digits, 200 players. See the README beside this file.

    python analyses/data_attribution/run.py train decode planted selection speed figures
    python analyses/data_attribution/run.py peers          # needs the extra peers (dattri)

Every part keeps what it has done under ``--out`` and goes on from there; tables and figures are written
beside this file.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from peers import influence_scores, trak_scores
from problem import AND, AND_POINTS, ORDINARY_POINTS, PLAYERS, TWIN_POINTS, TWINS, game
from scoring import held_out, measure_peers, row_of, summary
from selection_curves import selection
from speed import speed
from table_rows import append, read

import spex_mech as sm
from spex_mech import training_data as td

HERE = Path(__file__).parent
FIT, HELD = 2000, 400
BUDGETS = {
    "lasso": (1000, 2000),
    "proxyspex": (1000,),
    "auto": (1000,),
}
OPTIONS = {"lasso": {"order": 1}}


def main() -> None:
    """Run the parts that are asked for, in that order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("runs/data_attribution"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    for part in given.parts:
        began = time.process_time()
        PARTS[part](given.out)
        print(f"{part}: {time.process_time() - began:.0f} CPU seconds", flush=True)


def trainings(out: Path) -> td.Trainings:
    """Retrain on 2,400 uniform subsets with two seeds, or read them from the store."""
    design = sm.designs.uniform(PLAYERS, FIT + HELD, seed=0)
    played = game()
    run = sm.evaluate(played, design, store=out / "store", batch=256)
    return played.trainings(run)


def train(out: Path) -> None:
    """The retrainings."""
    found = trainings(out)
    assert found.noise is not None
    ceiling = found.noise.ceiling[:ORDINARY_POINTS]
    print(
        f"R² that seeds leave, ordinary points: {ceiling.mean():.3f} ({ceiling.min():.3f} at least)"
    )


def decode(out: Path) -> None:
    """Every method on every test point, from the same retrainings."""
    data = trainings(out)
    table = HERE / "decode.csv"
    done = {(r["method"], int(r["masks"]), int(r["point"])) for r in read(table)}
    for method, budgets in BUDGETS.items():
        for masks in budgets:
            for point in [*AND_POINTS, *TWIN_POINTS, *range(ORDINARY_POINTS)]:
                if (method, masks, point) in done:
                    continue
                began = time.process_time()
                spectrum = fit(data, method, masks, point)
                seconds = time.process_time() - began
                path = spectrum_path(out, method, masks, point)
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, words=spectrum.words, coefficients=spectrum.coefficients)
                r2, lds = held_out(spectrum, data.masks[FIT:], data.values(point)[FIT:])
                append(table, row_of(method, masks, point, (r2, lds), seconds))
                print(
                    method, masks, point, f"R² {r2:.3f} LDS {lds:.3f} ({seconds:.0f} s)", flush=True
                )


def peers(out: Path) -> None:
    """TRAK and influence functions by dattri, and leave-one-out."""
    data, played = trainings(out), game()
    trainer = played.trainer
    assert isinstance(trainer, td.TorchTrainer)
    calls = {
        "leave one out": lambda: td.leave_one_out(played),
        "TRAK (dattri), 10 models": lambda: trak_scores(
            trainer, played.train, played.test, models=10, seed=100
        ),
        "influence (dattri), 2 models": lambda: influence_scores(
            trainer, played.train, played.test, models=2, seed=100
        ),
    }
    measure_peers(HERE / "decode.csv", calls, data, range(data.points), FIT)


def planted(out: Path) -> None:
    """Where the planted pairs stand among all pairs."""
    data = trainings(out)
    lines = [
        "| method, retrainings | AND pair at its point | twins at their point | twins over all points |"
    ]
    lines += ["|---|---|---|---|"]
    for method, masks in (("auto", 1000), ("proxyspex", 1000)):
        if not complete(out, data, method, masks):
            continue
        found = attributions(out, data, method, masks)
        synergy = rank([(x.players, x.value) for x in found.synergies(AND_POINTS[0], 10**6)], AND)
        twins = rank(
            [(x.players, -x.value) for x in found.redundancies(TWIN_POINTS[0], 10**6)], TWINS
        )
        overall = rank([(x.players, x.value) for x in found.redundant(10**6)], TWINS)
        lines.append(f"| {method}, {masks} | {synergy} | {twins} | {overall} |")
    lines += ["", "Mean margin on 24 fresh random subsets of the others:", ""]
    lines += ["| pair | with neither | the first | the second | both |", "|---|---|---|---|---|"]
    for name, pair, point in (("AND", AND, AND_POINTS[0]), ("twins", TWINS, TWIN_POINTS[0])):
        masks = np.tile(np.random.default_rng(1).random((24, PLAYERS)) < 0.5, (4, 1))
        masks[:, pair[0]] = np.repeat([False, True, False, True], 24)
        masks[:, pair[1]] = np.repeat([False, False, True, True], 24)
        played = game()
        means = played.per_point(played.scores(masks))[:, point].reshape(4, 24).mean(axis=1)
        lines.append(f"| {name} | {' | '.join(f'{x:+.2f}' for x in means)} |")
    (HERE / "planted.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def figures(out: Path) -> None:
    """Synergies and redundancies with the examples shown."""
    data, played = trainings(out), game()
    method = "auto" if complete(out, data, "auto", 1000) else "proxyspex"
    found = attributions(out, data, method, 1000)
    strong = sorted(
        range(ORDINARY_POINTS), key=lambda p: -sum(abs(x.value) for x in found.joint(p)[:4])
    )
    points = (*AND_POINTS, *TWIN_POINTS, *strong[:4])
    figure = td.joint_figure(found, played.train, played.test, points=points, pairs=2)
    figure.savefig(HERE / "joint.png", dpi=130)
    for point in points:
        print(found.text(point))


def table(out: Path) -> None:
    """Means over the ordinary test points with intervals, and paired differences from auto."""
    rows = [r for r in read(HERE / "decode.csv") if int(r["point"]) < ORDINARY_POINTS]
    lines = summary(rows, own=("auto", "1000"), spent={"leave one out": "201"})
    (HERE / "decode.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def fit(data: td.Trainings, method: str, masks: int, point: int) -> sm.Spectrum:
    """A method's spectrum of one point from the first retrainings."""
    some = data.take(np.arange(masks))
    name = method.split()[0]
    return sm.decode(
        some.design, some.values(point), method=name, seed=0, **OPTIONS.get(method, {})
    )


def attributions(out: Path, data: td.Trainings, method: str, masks: int) -> td.Attributions:
    """The attributions of spectra that `decode` has written."""
    spectra = []
    for point in range(data.points):
        with np.load(spectrum_path(out, method, masks, point)) as file:
            spectra.append(sm.Spectrum(file["words"], file["coefficients"], PLAYERS))
    return td.Attributions.of(data, range(data.points), spectra)


def complete(out: Path, data: td.Trainings, method: str, masks: int) -> bool:
    """Whether `decode` has done all points."""
    return all(spectrum_path(out, method, masks, point).exists() for point in range(data.points))


def rank(pairs: list[tuple[tuple[int, ...], float]], wanted: tuple[int, ...]) -> str:
    """Rank and value of a set, and the next best value of another."""
    order = [players for players, _ in pairs]
    if wanted not in order:
        return f"not among {len(pairs)}"
    place = order.index(wanted)
    other = max((v for players, v in pairs if players != wanted), default=0.0)
    return f"rank {place + 1} ({pairs[place][1]:.2f}; best other {other:.2f})"


def spectrum_path(out: Path, method: str, masks: int, point: int) -> Path:
    """Where a spectrum is kept."""
    return out / "spectra" / f"{method.replace(' ', '_')}-{masks}-{point}.npz"


PARTS = {
    "train": train, "decode": decode, "peers": peers, "planted": planted, "table": table,
    "selection": lambda out: selection(out, HERE), "speed": lambda out: speed(HERE),
    "figures": figures,
}  # fmt: skip

if __name__ == "__main__":
    main()
