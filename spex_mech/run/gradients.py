"""A run's gradients: a first idea of which players matter, taken before any mask is evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from spex_mech.ablation.gate_gradients import COST, gate_gradients
from spex_mech.core.errors import InputError
from spex_mech.decoders.decode import TAKE_GRADIENTS
from spex_mech.decoders.gp.fit import FEW_PLAYERS
from spex_mech.run.folder import GRADIENTS, RunFolder
from spex_mech.run.spec import DecodeSpec

if TYPE_CHECKING:
    from spex_mech.run.setup import Setup


def gradients_cost(spec: DecodeSpec, n: int) -> int:
    """Ablations that the gradients of a run are worth; 0 where its decoder is given none.

    Args:
        spec: how the spectrum is found.
        n: number of players.
    """
    wanted = spec.gradients and spec.method in TAKE_GRADIENTS and n > FEW_PLAYERS
    return COST if wanted else 0


def save_gradients(setup: Setup, folder: RunFolder) -> None:
    """Take the metric's gradients by the players' gates, and write ``gradients.json`` unless it is there.

    A metric that is flat at the full model, a model that TransformerLens does not know, and too little memory
    for a backward pass are no errors: the file then says why there are no gradients, and the run goes on
    without them.
    """
    if folder.has(GRADIENTS) or not gradients_cost(setup.spec.decode, setup.players.n):
        return
    with folder.timed("gradients"):
        questions, found = len(setup.game.question_ids), None
        try:
            found = gate_gradients(setup.game).mean(axis=0)
            message = (
                f"gradients on {questions} questions, as much work as {COST} ablations, said which players "
                "are likely to matter"
            )
        except (InputError, torch.OutOfMemoryError) as error:
            message = f"no gradients were taken: {str(error).splitlines()[0]}"
        if found is not None and not np.isfinite(found).all():
            found, message = None, "no gradients were taken: they are not finite"
    content = {
        "players": setup.players.names,
        "gradients": None if found is None else found.tolist(),
        "message": message,
    }
    folder.save(GRADIENTS, content)
