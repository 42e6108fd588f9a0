"""The export step of a run: one kept set as a checkpoint, with a card that says what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spex_mech.core.players import PlayerSet
from spex_mech.exporting.export import compact_model, export, export_form
from spex_mech.exporting.footprint import Footprint, footprints
from spex_mech.exporting.model_card import Card
from spex_mech.pruning.prune import Pruned
from spex_mech.run.comparisons import read_comparisons
from spex_mech.run.folder import RunFolder
from spex_mech.run.outline import check_export
from spex_mech.run.prune import kept_of
from spex_mech.run.records import interactions_from_json, scores_from_json
from spex_mech.run.setup import Setup

_CARD_ROWS = 10
FILE = "export.json"


@dataclass(frozen=True, eq=False)
class Exported:
    """A checkpoint that was written.

    Attributes:
        folder: where it is.
        form: the form of a compact checkpoint, ``dense`` of a dense one.
        refused: why it is none of the forms that were tried before.
        before: measured costs of the model before pruning; None where they were not measured.
        after: those of the compact model.
    """

    folder: Path
    form: str
    refused: Mapping[str, str]
    before: Footprint | None
    after: Footprint | None


def export_step(
    setup: Setup,
    folder: RunFolder,
    keep: int | None = None,
    *,
    out: str | Path | None = None,
) -> Exported:
    """Write our kept set of one size as a checkpoint with a model card; ``export.json`` says what it is.

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
    name, refused = form_to_write(setup, kept)
    before, after = _costs(setup, kept) if spec.prune.measure else (None, None)
    compared = read_comparisons(folder, players, kept)
    card = Card(
        task=spec.task,
        held_out={} if compared else _test_scores(folder, players, kept),
        comparisons=compared,
        spec=spec.model_dump_json(indent=1),
        before=before,
        after=after,
        **_strongest(folder, players),
    )
    target = export(
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
    exported = Exported(target, name, refused, before, after)
    if out is None:
        folder.save(FILE, _to_json(exported))
    return exported


def form_to_write(setup: Setup, kept: Pruned) -> tuple[str, dict[str, str]]:
    """The form in which a kept set would be exported, and why it is none of those tried before.

    Raises:
        InputError: a form that cannot hold the set.
    """
    prune = setup.spec.prune
    if prune.mode == "dense":
        return "dense", {}
    return export_form(setup.model, setup.players, kept.mask, form=prune.form, even=prune.even)


def exported_before(setup: Setup, folder: RunFolder) -> Exported:
    """What an earlier call exported into a run's folder; without costs where it stopped before its record.

    Raises:
        InputError: a record that cannot be read.
    """
    if not folder.has(FILE):
        name, refused = form_to_write(setup, kept_of(folder, setup.players))
        return Exported(folder.path / "pruned", name, refused, None, None)

    def parse(content: Any) -> Exported:
        before, after = (_footprint(content[side]) for side in ("before", "after"))
        refused = {str(k): str(v) for k, v in content["refused"].items()}
        return Exported(folder.path / "pruned", str(content["form"]), refused, before, after)

    return folder.read(FILE, parse)


def _to_json(exported: Exported) -> dict[str, Any]:
    sides = {"before": exported.before, "after": exported.after}
    costs = {name: None if side is None else asdict(side) for name, side in sides.items()}
    return {"form": exported.form, "refused": dict(exported.refused), **costs}


def _footprint(content: Any) -> Footprint | None:
    if content is None:
        return None
    times = {k: tuple(map(float, content[k])) for k in ("prefill_seconds", "decode_seconds")}
    return Footprint(**{**content, **times})


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
