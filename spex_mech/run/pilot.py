"""What a run's pilot has found, and how many questions each mask is asked, as the folder keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from spex_mech.evaluation.keep_rates import KeepRates
from spex_mech.evaluation.questions import QuestionChoice
from spex_mech.run.folder import RunFolder


@dataclass(frozen=True, eq=False)
class PilotRecord:
    """The keep rates that a design was drawn with, and the pilot that found them.

    Attributes:
        low, high: every mask drew its keep rate from this range.
        present: float64 (m,), the share of present players in each of the pilot's masks; (0,) without one.
        values: float64 (m,), their values.
        message: one sentence on what was seen.
    """

    low: float
    high: float
    present: Float64[np.ndarray, " m"]
    values: Float64[np.ndarray, " m"]
    message: str


def save_pilot(folder: RunFolder, rates: KeepRates) -> None:
    """Write ``pilot.json``: the keep rates that were found, and from what."""
    pilot = rates.run
    content = {
        "keep_rate": [rates.low, rates.high],
        "present": [] if pilot is None else pilot.masks.mean(axis=1).tolist(),
        "values": [] if pilot is None else pilot.values.tolist(),
        "message": rates.message,
    }
    folder.save("pilot.json", content)


def save_choice(folder: RunFolder, choice: QuestionChoice) -> None:
    """Write ``questions.json``: how many questions each mask is asked, and why."""
    folder.save("questions.json", asdict(choice))


def pilot_from_json(content: Mapping[str, Any]) -> PilotRecord:
    """What `save_pilot` wrote."""
    low, high = content["keep_rate"]
    present, values = np.array(content["present"], float), np.array(content["values"], float)
    if present.shape != values.shape or present.ndim != 1:
        raise ValueError("present and values differ in length")
    return PilotRecord(float(low), float(high), present, values, str(content["message"]))
