"""Which CIFAR-10 training images act together. See the README beside this file.

    python analyses/data_attribution/cifar10/run.py train noise decode pairs selection figures
    python analyses/data_attribution/cifar10/run.py peers table     # needs the extra peers (dattri)

Every part keeps what it has done under ``--out`` and in ``--results``, and goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]
import choices
import images
import pairs
import scoring
from job import Job
from paper import parse
from peers import influence_scores, trak_scores
from table_rows import append, read

import spex_mech as sm
from spex_mech import training_data as td

METHODS = {"lasso": {"order": 1}, "proxyspex": {}, "auto": {}}
OURS = ("proxyspex", "auto")  # methods with pairs
KEPT_PAIRS = 1000
NOISE = 100  # held-out masks that are trained with a second seed
DRAWS, FINAL_SEEDS = 5, (50, 51)
SHOWN = 6


def main() -> None:
    """Run the parts that are asked for, in that order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--data", type=Path, default=Path("../shared/cifar10/cifar10-3000.npz"))
    parser.add_argument("--out", type=Path, default=Path("runs/cifar10"))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--smallest", action="store_true", help="seconds: to see that it runs")
    parser.add_argument(
        "--masks", type=int, nargs=2, metavar=("FIT", "HELD"),
        help="other numbers of masks to decode and to hold out; give other --results, too",
    )  # fmt: skip
    given = parse(
        parser,
        "all 50,000 images from the Hugging Face hub as players, ResNet-9 of full width; needs a GPU",
        out=Path("runs/cifar10-paper"),
        results=HERE / "paper",
    )
    if given.paper and given.smallest:
        parser.error("--paper and --smallest are two sizes: give one of them")
    torch.set_num_threads(1)
    setting = images.SMALLEST if given.smallest else images.Setting()
    setting = images.PAPER if given.paper else setting
    if given.masks:
        setting = replace(setting, fit=given.masks[0], held=given.masks[1])
    job = Job(setting, None if given.paper else given.data, given.out, given.results)
    job.results.mkdir(parents=True, exist_ok=True)
    for part in given.parts:
        began = time.process_time()
        PARTS[part](job)
        print(f"{part}: {time.process_time() - began:.0f} CPU seconds", flush=True)


def train(job: Job) -> None:
    """The retrainings, and how good the networks are."""
    game, run = job.played
    assert run.scores is not None
    accuracy = game.per_point(run.scores, value="accuracy").mean(axis=1)
    parameters = sum(p.numel() for p in game.trainer.initial(0).parameters())
    write(job, "networks.json", {
        "players": job.setting.players, "retrainings": len(run.masks), "parameters": parameters,
        "test accuracy, mean over retrainings": round(float(accuracy.mean()), 4),
        "lowest and highest": [round(float(x), 4) for x in (accuracy.min(), accuracy.max())],
        "test accuracy of their mean scores": round(
            float((run.scores.mean(axis=0).argmax(axis=1) == game.test.labels).mean()), 4
        ),
    })  # fmt: skip


def noise(job: Job) -> None:
    """How much of the values a second training seed changes, on some of the held-out masks."""
    held = job.setting.held_out
    part = slice(held.start, min(held.start + NOISE, held.stop))
    game, run = images.retrain(job.setting, *job.examples, 1, job.out, part=part)
    both = np.stack([job.trainings.margins[part], game.trainings(run).margins], axis=2)
    variance = td.seed_noise(both).variance
    share = 1 - variance / job.trainings.margins.var(axis=0, ddof=1)
    write(job, "noise.json", {
        "masks with two seeds": len(run.masks),
        "share of the variance that is not the seed's, all test images": round(float(share.mean()), 4),
        "hard test images": round(float(share[job.hard].mean()), 4),
        "lowest and highest of these": [
            round(float(x), 4) for x in (share[job.hard].min(), share[job.hard].max())
        ],
    })  # fmt: skip


def decode(job: Job) -> None:
    """Every method on every hard test image, from the same retrainings."""
    path, fit = job.results / "decode.csv", job.setting.fit
    done = {(r["method"], int(r["masks"]), int(r["point"])) for r in read(path)}
    data = job.trainings
    some = data.take(np.arange(fit))
    for method, options in METHODS.items():
        for point in job.hard:
            if (method, fit, point) in done and job.spectrum_path(method, point).exists():
                continue
            began = time.process_time()
            spectrum = sm.decode(some.design, some.values(point), method=method, seed=0, **options)
            seconds = time.process_time() - began
            keep_pairs(job, spectrum, method, point)
            if (method, fit, point) not in done:
                found = scoring.held_out(spectrum, data.masks[fit:], data.values(point)[fit:])
                append(path, scoring.row_of(method, fit, point, found, seconds))
                print(
                    method,
                    point,
                    f"R² {found[0]:.3f} LDS {found[1]:.3f} ({seconds:.0f} s)",
                    flush=True,
                )


def keep_pairs(job: Job, spectrum: sm.Spectrum, method: str, point: int) -> None:
    """Keep what a decoder says of single images and pairs, as a spectrum of these alone.

    Effects are Banzhaf values and pairs FBII, both of the decoder's full model, and the spectrum has the
    same. The mean over all masks comes along.
    """
    supports, values = [()], [spectrum[()]]
    for (i,), effect in sm.interactions(spectrum, "Banzhaf", 1).values.items():
        supports.append((i,))
        values.append(-effect / 2)
    if method in OURS:
        for pair, joint in sm.interactions(spectrum, "FBII", 2).joint(KEPT_PAIRS):
            supports.append(pair)
            values.append(joint / 4)
    kept = sm.Spectrum.from_supports(supports, values, job.setting.players)
    path = job.spectrum_path(method, point)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, words=kept.words, coefficients=kept.coefficients)


def peers(job: Job) -> None:
    """TRAK and influence functions by dattri."""
    train, test = job.examples
    hard, fit = test.take(job.hard), job.setting.fit
    trainer = images.trainer(job.setting, len(train.classes))
    calls = {
        "TRAK (dattri), 10 models": lambda: trak_scores(trainer, train, hard, models=10, seed=100),
        "influence (dattri), 1 model": lambda: influence_scores(
            trainer, train, hard, iterations=10, seed=100
        ),
    }
    scoring.measure_peers(job.results / "decode.csv", calls, job.trainings, job.hard, fit)


def of_pairs(job: Job) -> None:
    """The strongest pairs of every hard test image: classes, distances, and worth on held-out subsets."""
    train, test = job.examples
    every = pairs.all_pairs(images.trainer(job.setting, len(train.classes)), train)
    held, data = job.setting.held_out, job.trainings
    masks = data.masks[held]
    retrained = {}
    for point, single in zip(job.hard, job.attributions("lasso")(masks).T, strict=True):
        rest = data.values(point)[held] - single
        retrained[point] = pairs.all_joint(masks, rest - rest.mean())
    rows: list[dict[str, str]] = []
    for method in OURS:
        found = job.attributions(method)
        measured: list[dict[str, object]] = []
        for point in job.hard:
            label = int(test.labels[point])
            measured += pairs.rows_of_point(found, point, label, every, retrained[point])
        measured += pairs.rows_of_all_points(found, every)
        rows += [{"method": method, **{k: str(v) for k, v in row.items()}} for row in measured]
    path = job.results / "pairs.csv"
    path.unlink(missing_ok=True)
    for row in rows:
        append(path, row)
    of_all = [pairs.means_by_class(retrained[p], int(test.labels[p]), every) for p in job.hard]
    lines = [*pairs.table(rows, every), "", *pairs.class_table(of_all)]
    (job.results / "pairs.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def selection(job: Job) -> None:
    """Keep some of the images: choose by half of the test images, train anew, ask the other half."""
    path, setting = job.results / "selection.csv", job.setting
    train, test = job.examples
    game, run = job.played
    assert run.scores is not None
    losses = td.own_losses(game)
    values = game.per_point(run.scores, value="loss")
    chosen: list[list[choices.Choice]] = []
    halves = []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(test))
        seen, unseen = np.array_split(order, 2)
        halves.append(unseen)
        worth = values[:, seen].mean(axis=1)
        ours = sm.decode(run.design, worth, method="proxyspex", seed=0)
        linear = sm.decode(run.design, worth, method="lasso", seed=0, order=1)
        searched = td.TrainingGame(game.trainer, train, test.take(seen), value="loss")
        chosen.append([])
        for keep in setting.keeps:
            chosen[-1] += choices.of_the_game(searched, ours, linear, keep, seed=draw)
            chosen[-1] += choices.of_the_examples(train, losses, keep, seed=0)
    final = td.TrainingGame(game.trainer, train, test, value="accuracy", seeds=FINAL_SEEDS)
    masks = np.stack([mask for draw in chosen for _, _, mask in draw])
    trained = sm.evaluate(
        final, sm.designs.MaskDesign(masks, seed=0), store=job.out / "selected", batch=1
    )
    assert trained.scores is not None
    right = final.per_point(trained.scores).reshape(DRAWS, -1, len(test))
    path.unlink(missing_ok=True)
    for draw, unseen in enumerate(halves):
        accuracy = right[draw][:, unseen].mean(axis=1)
        choices.add_rows(path, choices.rows_of(draw, chosen[draw], accuracy))
    choices.summary(path, job.results)


def figures(job: Job) -> None:
    """Synergies and redundancies with the images shown as they came, without averaging."""
    found = job.attributions("auto")
    strong = sorted(found.points, key=lambda p: -sum(abs(x.value) for x in found.joint(p)[:4]))
    train, test = images.choose(job.arrays, job.setting, side=32)
    figure = td.joint_figure(found, train, test, points=tuple(strong[:SHOWN]), pairs=2)
    figure.savefig(job.results / "joint.png", dpi=130)
    for point in strong[:SHOWN]:
        print(found.text(point))


def table(job: Job) -> None:
    """Means over the hard test images with intervals, and paired differences from auto."""
    own = ("auto", str(job.setting.fit))
    lines = scoring.summary(read(job.results / "decode.csv"), own=own, spent={})
    (job.results / "decode.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def write(job: Job, name: str, found: dict[str, object]) -> None:
    """Keep numbers beside the tables, and print them."""
    (job.results / name).write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


PARTS = {
    "train": train, "noise": noise, "decode": decode, "peers": peers, "pairs": of_pairs,
    "selection": selection, "table": table, "figures": figures,
}  # fmt: skip

if __name__ == "__main__":
    main()
