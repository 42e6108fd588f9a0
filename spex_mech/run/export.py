"""The export step of a run: one kept set as a checkpoint, with a card that says what is known of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spex_mech.core.players import PlayerSet
from spex_mech.exporting.export import compact_model, export
from spex_mech.exporting.footprint import Footprint, footprints
from spex_mech.exporting.model_card import Card
from spex_mech.pruning.prune import Pruned
from spex_mech.run.folder import RunFolder
from spex_mech.run.prune import kept_of
from spex_mech.run.records import interactions_from_json, scores_from_json
from spex_mech.run.setup import Setup, check_export

_CARD_ROWS = 10


def export_step(
    setup: Setup,
    folder: RunFolder,
    keep: int | None = None,
    *,
    out: str | Path | None = None,
) -> Path:
    """Write our kept set of one size as a checkpoint with a model card.

    Args:
        setup: what was run.
        folder: the run's folder, with its kept sets.
        keep: the size; by default the one to be exported.
        out: where to write; by default ``pruned`` in the folder.

    Raises:
        InputError: a size that was not pruned to, or a model that cannot be exported as the spec says.
        OutputExistsError: ``out`` exists.
    """
    check_export(setup)
    spec, players = setup.spec, setup.players
    kept = kept_of(folder, players, keep)
    before, after = _costs(setup, kept) if spec.prune.measure else (None, None)
    card = Card(
        task=spec.task,
        held_out=_test_scores(folder, players, kept),
        spec=spec.model_dump_json(indent=1),
        before=before,
        after=after,
        **_strongest(folder, players),
    )
    return export(
        setup.model,
        players,
        kept.mask,
        folder.path / "pruned" if out is None else out,
        mode=spec.prune.mode,
        form=spec.prune.form,
        rescale=spec.game.rescale,
        even=spec.prune.even,
        card=card,
    )


def _test_scores(folder: RunFolder, players: PlayerSet, kept: Pruned) -> dict[str, Any]:
    """The card's scores of a kept set on test questions; empty where it was not tested."""
    if not folder.has("results.json"):
        return {}
    scores = folder.read("results.json", lambda content: scores_from_json(content, players))
    for point in scores.points:
        if np.array_equal(point.kept.mask, kept.mask):
            return {
                **{f"test {k}": v for k, v in point.metrics.items()},
                **{f"test {k}, model before pruning": v for k, v in scores.full.items()},
                **{f"test {k}, change by pruning": v for k, v in point.change.items()},
            }
    return {}


def _strongest(folder: RunFolder, players: PlayerSet) -> dict[str, Any]:
    """The card's rows of the strongest interactions; empty where nothing was decoded."""
    if not folder.has("interactions.json"):
        return {}
    values = folder.read(
        "interactions.json", lambda content: interactions_from_json(content, players)
    )
    rows = [(players.label(s), v) for s, v in values.joint(_CARD_ROWS)]
    return {"interactions": rows, "index": values.index}


def _costs(setup: Setup, kept: Pruned) -> tuple[Footprint, Footprint]:
    """Size and speed of the model before pruning and of its compact form."""
    small = compact_model(
        setup.model,
        setup.players,
        kept.mask,
        rescale=setup.spec.game.rescale,
        even=setup.spec.prune.even,
        form=setup.spec.prune.form,
    )
    context = int(getattr(setup.model.hf.config, "max_position_embeddings", 160))
    prompt = min(128, context * 3 // 4)
    costs = footprints(
        {"before": setup.model.hf, "after": small},
        seed=setup.spec.prune.seed,
        prompt_tokens=prompt,
        new_tokens=min(32, context - prompt),
    )
    return costs["before"], costs["after"]
