"""What decides the scores of a game, field by field: a store's key."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from spex_mech.ablation.fills import Ablation
from spex_mech.core.players import PlayerSet
from spex_mech.models.model import Model
from spex_mech.tasks.prompts import Prompts


def key_of(
    model: Model, prompts: Prompts, players: PlayerSet, ablation: Ablation, scorer: str
) -> dict[str, str]:
    """Everything that decides the scores; the names of metric and split do not."""
    texts = json.dumps([prompts.tokens, prompts.right.tolist()])
    read = (prompts.answers, prompts.targets, prompts.options)
    answers = "".join(json.dumps(part.tolist()) for part in read if part is not None)
    # Only where there are any, so that stores of other ablations keep their keys.
    partners = prompts.partners
    paired = {} if partners is None else {"partners": _digest(json.dumps(partners))}
    return {
        "weights": model.fingerprint,
        "dtype": str(model.dtype),
        "ablation": ablation.name,
        "ablation seed": str(ablation.seed),
        "rescale": str(ablation.rescale),
        "players": " ".join(players.names),
        "examples": _digest(json.dumps(prompts.ids)),
        "prompts": _digest(texts + answers),
        "scorer": scorer,
        **paired,
    }


def fingerprint_of(*parts: Any) -> str:
    """Hash of some parts that JSON can write."""
    return _digest(json.dumps(parts, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
