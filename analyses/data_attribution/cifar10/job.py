"""`Job`: what the parts of the analysis share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import images
import numpy as np
import numpy.typing as npt

import spex_mech as sm
from spex_mech import training_data as td


@dataclass(frozen=True)
class Job:
    """What the parts share: the setting, the images, and where things are kept."""

    setting: images.Setting
    data: Path | None
    out: Path
    results: Path

    @cached_property
    def arrays(self) -> dict[str, npt.NDArray]:
        """The images as they came."""
        return images.download() if self.data is None else images.read(self.data)

    @cached_property
    def examples(self) -> tuple[td.Examples, td.Examples]:
        """Players and test images."""
        return images.choose(self.arrays, self.setting)

    @cached_property
    def played(self) -> tuple[td.TrainingGame, sm.Run]:
        """All retrainings with the first seed."""
        return images.retrain(self.setting, *self.examples, 0, self.out, part=slice(None))

    @cached_property
    def trainings(self) -> td.Trainings:
        """Their margins."""
        game, run = self.played
        return game.trainings(run)

    @cached_property
    def hard(self) -> list[int]:
        """The test images to decode."""
        return images.hard_points(self.trainings, self.setting)

    def spectrum_path(self, method: str, point: int) -> Path:
        """Where the effects and pairs of a test image are kept."""
        return self.out / "spectra" / f"{method}-{self.setting.fit}-{point}.npz"

    def attributions(self, method: str) -> td.Attributions:
        """Effects and pairs that `decode` has kept."""
        spectra = []
        for point in self.hard:
            with np.load(self.spectrum_path(method, point)) as file:
                spectra.append(
                    sm.Spectrum(file["words"], file["coefficients"], self.setting.players)
                )
        return td.Attributions.of(self.trainings, self.hard, spectra)
