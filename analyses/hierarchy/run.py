"""Are the subsets of large interactions large, too? See the README beside this file.

    python analyses/hierarchy/run.py --games ../shared/games
    python analyses/hierarchy/run.py            # the embedded model's heads and planted games alone

The value tables of the embedded model's games are kept under ``--out``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path += [str(HERE), str(HERE.parent)]

from figures import write
from paper import parse
from table_rows import append, read

import spex_mech as sm
from spex_mech.core.hierarchy import Hierarchy, hierarchy, hierarchy_of
from spex_mech.core.masks import all_masks, pack
from spex_mech.tasks.synthetic import plant

SUBJECTS = ("boxes", "capitals", "kinds", "moves", "order", "people", "travel")
TERMS = (10, 20, 50, 100, 200)
METHODS = ("auto", "proxyspex", "lasso")


def main() -> None:
    """Measure the games that are not in the results yet, and write the table and the figure."""
    args = arguments()
    torch.set_num_threads(1)
    done = {r["game"] for r in read(args.results)}
    for kind, name, spectrum, table in games(args):
        if name in done:
            continue
        for row in rows(kind, name, spectrum, table, args):
            append(args.results, row)
        print(kind, name, flush=True)
    print(write(read(args.results), args.results.parent))


def rows(
    kind: str, name: str, spectrum: sm.Spectrum, table: np.ndarray, args: argparse.Namespace
) -> Iterator[dict]:
    """Of the exact spectrum and of those that decoders find, the hierarchy of the largest terms."""
    shown = {"kind": kind, "game": name, "n": spectrum.n}
    for terms in TERMS:
        if found := hierarchy(spectrum, terms):
            popular = by_popularity(spectrum, terms)
            yield shown | _row("exact", terms, found) | {"popular": round(popular, 4)}
    for masks in (min(m, 2 ** (spectrum.n - 1)) for m in args.masks):
        design = sm.designs.uniform(spectrum.n, masks, seed=0)
        values = table[pack(design.masks)[:, 0].astype(np.int64)]
        for method in METHODS:
            options = {"order": 2} if method == "lasso" else {}
            decoded = sm.decode(design, values, method=method, seed=0, **options)
            for terms in TERMS:
                if found := hierarchy(decoded, terms):
                    yield shown | _row(f"{method}, {masks} masks", terms, found) | {"popular": ""}


def _row(source: str, terms: int, found: Hierarchy) -> dict[str, object]:
    return {
        "source": source,
        "terms": terms,
        "interactions": found.interactions,
        "direct": round(found.direct, 4),
        "staircase": round(found.staircase, 4),
        "chance": round(found.chance, 4),
    }


def by_popularity(spectrum: sm.Spectrum, terms: int, draws: int = 20) -> float:
    """The share of direct subsets where interactions are drawn from the players that are popular in them.

    The single players among the terms stay. Each interaction is redrawn with as many players, each chosen in
    proportion to how many interactions hold it. What is left is only that some players matter more.
    """
    sets = [s for s, c in spectrum.top(terms) if c]
    joint = [s for s in sets if len(s) > 1]
    weight = np.bincount([i for s in joint for i in s], minlength=spectrum.n).astype(float)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        drawn = {frozenset(s) for s in sets if len(s) == 1}
        for s in joint:
            for _ in range(50):  # until it is a new one
                p = weight / weight.sum()
                new = frozenset(rng.choice(spectrum.n, len(s), replace=False, p=p).tolist())
                if new not in drawn:
                    break
            drawn.add(new)
        random = hierarchy_of(list(drawn), spectrum.n)
        found.append(0.0 if random is None else random.direct)
    return float(np.mean(found))


def games(args: argparse.Namespace) -> Iterator[tuple[str, str, sm.Spectrum, np.ndarray]]:
    """Kind, name, exact spectrum and value table of each game."""
    if args.games:
        for path in sorted(args.games.glob("*.npz")):
            table = np.load(path)["values"]
            yield (
                path.stem.split("-n")[0].split("-")[-1],
                path.stem,
                sm.exact_spectrum(table),
                table,
            )
    if args.subjects:
        model = sm.load_model("embedded")
        for subject in args.subjects:
            for layers in args.layers:
                table = of_heads(model, subject, layers, args)
                yield "heads", f"{subject}, heads:{layers}", sm.exact_spectrum(table), table
    for name, degrees, with_subsets in (("subsets", (2, 3, 4), True), ("peak", (5,), False)):
        spectrum = plant(
            players=args.planted, sets=10, degrees=degrees, hierarchy=with_subsets, seed=0
        )
        yield "planted", f"planted, {name}", spectrum, spectrum(all_masks(spectrum.n))


def of_heads(model: sm.Model, subject: str, layers: str, args: argparse.Namespace) -> np.ndarray:
    """All values of the heads of some layers, in table order, kept in a file."""
    path = args.out / f"{subject}-{layers}-{args.questions}.npy"
    if path.exists():
        return np.load(path)
    players = sm.select_players(model, f"heads:{layers}")
    task = sm.load_task(f"embedded/{subject}").first(args.questions)
    table = sm.TaskGame(model, task, players, metric="margin")(all_masks(players.n))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, table)
    return table


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--games", type=Path, help="folder of complete games (.npz)")
    parser.add_argument("--subjects", nargs="*", default=list(SUBJECTS), choices=SUBJECTS)
    parser.add_argument("--layers", nargs="+", default=["0"], help="heads of these")
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument(
        "--masks", type=int, nargs="*", default=[500], help="of the decoded spectra"
    )
    parser.add_argument("--planted", type=int, default=14, help="players of the planted games")
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/hierarchy"))
    return parse(
        parser,
        "as the paper does, of spectra that are decoded (5,000 masks); needs --games of its models",
        masks=[5000],
        subjects=[],
        results=HERE / "paper" / "results.csv",
    )


if __name__ == "__main__":
    main()
