"""The CIFAR-10 problem: training images as players, a small ResNet, and its stored retrainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

import spex_mech as sm
from spex_mech import training_data as td

SMALL = td.Recipe(epochs=12, batch=32, rate=0.003, optimizer="adamw", weight_decay=0.01)
LARGE = td.Recipe(epochs=24, batch=512, rate=0.1, weight_decay=5e-4, clip=1.0)


@dataclass(frozen=True)
class Setting:
    """What is trained, and how often.

    Attributes:
        players: training images, each a player; the same number of every class.
        points: test images that every retrained network is asked, the same number of every class.
        hard: how many of them are decoded.
        fit: masks that the decoders see; each keeps an image with probability one half.
        held: masks that they are tested on.
        keeps: sizes of the selections.
        side: pixels of a side, after averaging.
        width: channels of the first convolution of ResNet-9.
        recipe: optimiser, length and order of the data; no augmentation.
        device: where to train.
    """

    players: int = 300
    points: int = 600
    hard: int = 40
    fit: int = 850
    held: int = 150
    keeps: tuple[int, ...] = (75, 150, 225)
    side: int = 16
    width: int = 6
    recipe: td.Recipe = SMALL
    device: str = "cpu"

    @property
    def held_out(self) -> slice:
        """Rows of the masks that no decoder sees."""
        return slice(self.fit, self.fit + self.held)


SMALLEST = Setting(
    players=20, points=20, hard=3, fit=48, held=16, keeps=(5, 10), width=2,
    recipe=td.Recipe(epochs=1, batch=10, rate=0.01, optimizer="adamw"),
)  # fmt: skip
PAPER = Setting(
    players=50_000, points=60, hard=60, fit=5000, held=1000, keeps=(12_500, 25_000, 37_500),
    side=32, width=64, recipe=LARGE, device="cuda",
)  # fmt: skip


def read(path: Path) -> dict[str, npt.NDArray]:
    """Arrays of an .npz file.

    They are ``train_images`` and ``test_images`` (uint8, (N, 32, 32, 3)), ``train_labels``, ``test_labels``
    and ``classes``.
    """
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def download() -> dict[str, npt.NDArray]:
    """All of CIFAR-10 from the Hugging Face hub, as `read` gives it."""
    from datasets import load_dataset

    found: dict[str, npt.NDArray] = {}
    for side, rows in load_dataset("uoft-cs/cifar10").items():
        found[f"{side}_images"] = np.stack([np.asarray(image) for image in rows["img"]])
        found[f"{side}_labels"] = np.asarray(rows["label"])
        found["classes"] = np.array(rows.features["label"].names)
    return found


def choose(
    arrays: Mapping[str, npt.NDArray], setting: Setting, *, side: int | None = None
) -> tuple[td.Examples, td.Examples]:
    """The first images of every class: players and test images.

    Args:
        arrays: what `read` or `download` gives.
        setting: how many of each.
        side: pixels of a side, after averaging; None for the setting's.
    """
    classes = tuple(arrays["classes"].tolist())
    counts = {"train": setting.players, "test": setting.points}
    train, test = (
        _first(
            arrays[f"{part}_images"], arrays[f"{part}_labels"], classes, count, side or setting.side
        )
        for part, count in counts.items()
    )
    return train, test


def _first(
    images: npt.NDArray, labels: npt.NDArray, classes: tuple[str, ...], count: int, side: int
) -> td.Examples:
    each = count // len(classes)
    kept = [np.flatnonzero(labels == c)[:each] for c in range(len(classes))]
    rows = np.sort(np.concatenate(kept))
    chosen = images[rows].transpose(0, 3, 1, 2).astype(np.float32) / 255
    block = chosen.shape[-1] // side
    blocks = chosen.reshape(len(rows), 3, side, block, side, block)
    return td.Examples(blocks.mean(axis=(3, 5)), labels[rows], classes)


def trainer(setting: Setting, classes: int = 10) -> td.TorchTrainer:
    """ResNet-9 of the setting's width, trained in a plain loop: on one core a stack is slower."""
    build = partial(td.resnet9, classes, width=setting.width)
    return td.TorchTrainer(build, setting.recipe, stack=1, device=setting.device)


def design(setting: Setting) -> sm.designs.MaskDesign:
    """Uniform masks: those to decode first, then those held out."""
    return sm.designs.uniform(setting.players, setting.fit + setting.held, seed=0)


def retrain(
    setting: Setting, train: td.Examples, test: td.Examples, seed: int, out: Path, *, part: slice
) -> tuple[td.TrainingGame, sm.Run]:
    """Train some masks with one seed, or go on where that stopped; it is stored every half minute."""
    game = td.TrainingGame(trainer(setting, len(train.classes)), train, test, seeds=(seed,))
    some = sm.designs.MaskDesign(design(setting).masks[part], seed=0)
    return game, sm.evaluate(game, some, store=out / f"seed-{seed}", batch=1)


def hard_points(data: td.Trainings, setting: Setting) -> list[int]:
    """The test images whose mean margin over the masks to decode is nearest to zero."""
    means = np.asarray(data.margins[: setting.fit], dtype=np.float64).mean(axis=0)
    return sorted(np.argsort(np.abs(means), kind="stable")[: setting.hard].tolist())
