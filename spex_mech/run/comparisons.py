"""The comparisons in a run's folder, read without the model; `compare_step` writes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from spex_mech.core.estimates import Estimate
from spex_mech.core.players import PlayerSet
from spex_mech.exporting.comparison import Measure, TaskComparison
from spex_mech.pruning.prune import Pruned
from spex_mech.run.folder import RunFolder
from spex_mech.run.records import kept_from_json

FILE = "comparison.json"


def read_comparisons(
    folder: RunFolder, players: PlayerSet, kept: Pruned | None = None
) -> list[TaskComparison]:
    """The comparisons in a run's folder; none where there are none, or where they are of another set.

    Args:
        folder: the run's folder.
        players: the players.
        kept: the set that they are wanted for; None for whichever was compared.
    """
    if not folder.has(FILE):
        return []

    def parse(content: Any) -> list[TaskComparison]:
        mask = kept_from_json(content["kept"], players).mask
        if kept is not None and not np.array_equal(mask, kept.mask):
            return []
        return [_from_json(row) for row in content["tasks"]]

    return folder.read(FILE, parse)


def _from_json(content: Any) -> TaskComparison:
    measures = tuple(
        Measure(str(row["name"]), row["before"], row["after"], Estimate(**row["change"]))
        for row in content["measures"]
    )
    return TaskComparison(**{**content, "measures": measures})
