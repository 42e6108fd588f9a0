"""The 32 attention heads of the embedded model as a game, and its interaction indices by a large sample.

python analyses/benchmarks/indices/heads.py evaluate
python analyses/benchmarks/indices/heads.py reference
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2]))

from scores import TASKS

from spex_mech.core.interactions import interactions
from spex_mech.core.spectrum import Spectrum

EVALUATED = HERE / "results" / "heads_masks.npz"
REFERENCE = HERE / "results" / "heads_reference.json"
FITTED, EACH = 1000, 222  # masks of the model, and of each size from 2 to n - 2
Function = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Write the evaluated masks or the reference, or answer a process that lacks PyTorch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("step", choices=["evaluate", "reference", "serve"])
    args = parser.parse_args()
    if args.step == "serve":
        serve()
    elif args.step == "evaluate":
        game = heads()
        evaluate(game, game.players.n, EVALUATED, FITTED, EACH)
    else:
        with np.load(EVALUATED) as file:
            found = reference(Sample(file["fitted"], file["drawn"], file["values"]))
        REFERENCE.write_text(json.dumps(found, indent=1) + "\n")
        for name, each in found.items():
            print(name, each["floor"] if isinstance(each, dict) else each)


def heads():
    """The game: mean log-probability of the right answers to the first 24 search questions of "people"."""
    import spex_mech as sm

    model = sm.load_model("embedded")
    task = sm.load_task("embedded/people").first(24)
    players = sm.select_players(model, "heads")
    return sm.TaskGame(model, task, players, split="search", metric="logprob")


@dataclass(frozen=True)
class Sample:
    """Masks to fit a model to, masks drawn evenly by size, and the values of all or of the first.

    ``values`` are of the fitted masks, of the empty and of the full mask, of the n masks of one player,
    of their n complements, and of those drawn, in this order.
    """

    fitted: np.ndarray
    drawn: np.ndarray
    values: np.ndarray

    @property
    def masks(self) -> np.ndarray:
        """All masks, in the order of the values."""
        alone = np.eye(self.drawn.shape[1], dtype=bool)
        nobody = np.zeros((1, len(alone)), dtype=bool)
        return np.concatenate([self.fitted, nobody, ~nobody, alone, ~alone, self.drawn])


def draw(n: int, fitted: int, each: int) -> Sample:
    """The masks of a sample, without values: drawn of all sizes in turn, so that a start is even, too."""
    from spex_mech.designs import leverage

    sizes = np.tile(np.arange(2, n - 1), each)[:, None]
    drawn = np.random.default_rng(778).permuted(np.arange(n) < sizes, axis=1)
    return Sample(leverage(n, fitted, seed=777).masks, drawn, np.zeros(0))


def evaluate(game: Function, n: int, path: Path, fitted: int, each: int, step: int = 100) -> None:
    """Evaluate a sample's masks into a file, 100 at a time; goes on where it was stopped."""
    sample = draw(n, fitted, each)
    values = np.zeros(0)
    if path.exists():
        with np.load(path) as file:
            values = file["values"]
    while len(values) < len(sample.masks):
        values = np.append(values, game(sample.masks[len(values) : len(values) + step]))
        np.savez_compressed(path, fitted=sample.fitted, drawn=sample.drawn, values=values)
        print(len(values), "of", len(sample.masks), flush=True)


def reference(sample: Sample) -> dict:
    """All `TASKS` of models of the game, corrected without bias by masks not fitted.

    The masks drawn are halved; each half corrects a model of the other half and of the fitted masks.
    What a model misses is estimated from its errors, by the `shares` that the index gives to masks of each
    size. Sizes 0, 1, n - 1 and n are there whole, the others by the same number of masks each, from which
    the standard errors come. The mean of the correction does not depend on the model.
    """
    n, m = sample.drawn.shape[1], len(sample.fitted)
    start = m + 2 + 2 * n
    rounds = (len(sample.values) - start) // (n - 3) // 2 * 2  # each has one mask of every size
    stop = start + rounds * (n - 3)
    masks, values = sample.masks[:stop], sample.values[:stop]
    half = np.repeat(np.arange(rounds) % 2, n - 3)
    rows = [np.append(np.arange(m), start + np.flatnonzero(half != k)) for k in (0, 1)]
    fits = [model(masks, values, fitted) for fitted in rows]
    errors = np.array(
        [values[m:] - fit(masks[m:]) for fit in fits]
    )  # of all masks but those fitted by both
    drawn = np.where(half == 0, *errors[:, 2 + 2 * n :])
    found = {"masks": stop, "r2_of_the_models": float(1 - drawn.var() / values[start:].var())}
    for name in TASKS:
        of_models = np.mean([of_model(fit, name) for fit in fits], axis=0)
        found[name] = corrected(of_models, name, masks[m:], errors, drawn, rounds)
    return found


def corrected(
    of_models: np.ndarray,
    name: str,
    masks: np.ndarray,
    errors: np.ndarray,
    drawn: np.ndarray,
    rounds: int,
) -> dict:
    """The values of all sets of a size, their standard errors, and the floor under every error."""
    n = masks.shape[1]
    ends, rest = 2 + 2 * n, (rounds, n - 3, -1)
    exact = weighted(masks[:ends], errors[:, :ends].mean(axis=0), name)
    whole = exact[:2].sum(axis=0) + exact[2:].sum(axis=0) / n
    draws = weighted(masks[ends:], drawn, name).reshape(rest)
    values = of_models + whole + draws.mean(axis=0).sum(axis=0)
    variance = draws.var(axis=0, ddof=1).sum(axis=0) / rounds
    return {
        "floor": float(variance.mean() / (values.var() - variance.mean())),
        "values": values.tolist(),
        "standard_error": np.sqrt(variance).tolist(),
    }


def model(masks: np.ndarray, values: np.ndarray, rows: np.ndarray) -> Spectrum:
    """A Gaussian process fitted to some rows, without the evidence of the masks that were evaluated.

    With it, index values would not belong to the function whose errors are taken, and the correction would
    be biased.
    """
    from spex_mech.decoders.decode import decode
    from spex_mech.designs import MaskDesign

    spectrum = decode(MaskDesign(masks[rows], 0), values[rows], method="walsh_gp", seed=0)
    return replace(spectrum, evidence=None)


def of_model(spectrum: Spectrum, name: str) -> np.ndarray:
    """An index of all sets of its size, in lexicographic order."""
    index, order, size = TASKS[name]
    values = interactions(spectrum, index, order).values
    sets = combinations(range(spectrum.n), size)
    return np.array([float(values.get(players, 0.0)) for players in sets])


def of_sizes(n: int, name: str) -> np.ndarray:
    """What an index gives to all coalitions of 0, 1, ... players outside a set together, (n - size + 1,).

    Each is a mean of the set's joint difference, over coalitions of one size with equal weights. For FSII
    (Tsai et al. 2023, theorem 19) and STII (Dhamdhere et al. 2020) this holds for sets as large as the order.
    """
    size = TASKS[name][2]
    others = np.arange(n - size + 1)
    if name == "FSII":
        return 6.0 * (others + 1) * (n - 1 - others) / ((n + 1) * n * (n - 1))
    if name == "STII":
        return 2.0 * (n - 1 - others) / (n * (n - 1))
    if name == "BII":
        return np.array([comb(n - size, int(k)) for k in others]) / 2.0 ** (n - size)
    return np.full(n - size + 1, 1 / (n - size + 1))


def shares(n: int, name: str) -> np.ndarray:
    """The factor of a mask in an index of a set, by the mask's players and those of the set that it has.

    Ordered by masks, the index is the sum over all numbers of players of the mean over the masks of that
    many players, each with this factor. (n + 1, size + 1)
    """
    size, even = TASKS[name][2], of_sizes(n, name)
    found = np.zeros((n + 1, size + 1))
    for present in range(n + 1):
        for inside in range(size + 1):
            others = present - inside
            if 0 <= others <= n - size:
                alike = comb(n, present) / comb(n - size, others)
                found[present, inside] = (-1) ** (size - inside) * alike * even[others]
    return found


def weighted(masks: np.ndarray, errors: np.ndarray, name: str) -> np.ndarray:
    """Errors of masks times the factor of each set, in lexicographic order, (m, sets)."""
    n = masks.shape[1]
    sets = np.array(list(combinations(range(n), TASKS[name][2])))
    inside = masks[:, sets].sum(axis=2)
    return shares(n, name)[masks.sum(axis=1)[:, None], inside] * errors[:, None]


def serve() -> None:
    """Answer each line of 0s and 1s, masks separated by blanks, by a line of their values."""
    game = heads()
    for line in sys.stdin:
        masks = np.array([[digit == "1" for digit in word] for word in line.split()])
        print(*map(repr, game(masks).tolist()), flush=True)


class Served:
    """The game for a process without PyTorch: another Python evaluates it, each mask once."""

    def __init__(self, python: str) -> None:
        command = [python, str(HERE / "heads.py"), "serve"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.known: dict[str, float] = {}

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Values of masks (m, n)."""
        words = ["".join("01"[int(present)] for present in row) for row in masks]
        new = [word for word in dict.fromkeys(words) if word not in self.known]
        if new:
            print(" ".join(new), file=self.process.stdin, flush=True)
            self.known |= zip(new, map(float, self.process.stdout.readline().split()), strict=True)
        return np.array([self.known[word] for word in words])

    def close(self) -> None:
        """End the other process."""
        self.process.communicate()


if __name__ == "__main__":
    main()
