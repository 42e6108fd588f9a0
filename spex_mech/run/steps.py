"""The steps from model to report, each on what the former left in the run's folder; `run` takes them all.

Evaluating, pruning, testing and exporting need the model and are here; decoding and the report do not and
are in `decoding` and `report`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spex_mech.core.players import PlayerSet
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.evaluate import Run, evaluate
from spex_mech.evaluation.executors import Executor
from spex_mech.exporting.export import compact_model, export
from spex_mech.exporting.footprint import Footprint, footprints
from spex_mech.exporting.model_card import Card
from spex_mech.pruning.circuit import Circuit, circuit
from spex_mech.pruning.circuit_files import circuit_to_graphml, circuit_to_json
from spex_mech.run.decode import Decoded, decode_folder, save_decoded
from spex_mech.run.folder import RunFolder, claim, write_text
from spex_mech.run.prune import choose_exported, choose_kept_sets, kept_of, size_to_json
from spex_mech.run.records import (
    Kept,
    TestScores,
    interactions_from_json,
    kept_to_json,
    scores_from_json,
    scores_to_json,
)
from spex_mech.run.scores import score_folder
from spex_mech.run.setup import (
    Setup,
    check_circuit,
    check_export,
    check_pruning,
    circuit_game,
    prepare,
)

__all__ = [
    "Result",
    "Setup",
    "check_pruning",
    "circuit_game",
    "circuit_step",
    "decode_step",
    "evaluate_step",
    "export_step",
    "kept_of",
    "prepare",
    "prune_step",
    "run",
    "test_step",
]

_CARD_ROWS = 10


@dataclass(frozen=True, eq=False)
class Result:
    """What a run found.

    Attributes:
        setup: what was run.
        folder: where its files are.
        decoded: the surrogate, its interactions and its fit to held-out masks.
        scores: every method at every size on test questions.
        circuit: the size to be exported (or the smallest) as a circuit, if that was asked for.
        exported: the pruned checkpoint, if one was asked for.
    """

    setup: Setup
    folder: RunFolder
    decoded: Decoded
    scores: TestScores
    circuit: Circuit | None
    exported: Path | None


def evaluate_step(
    setup: Setup,
    folder: RunFolder,
    *,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> tuple[Run, Run | None]:
    """Evaluate the design and the held-out masks into the folder's stores.

    Returns:
        Both runs; the second is None where no masks are held out.
    """
    told: dict[str, Any] = {
        "executor": executor,
        "spec": setup.spec.model_dump(),
        "progress": progress,
    }
    with folder.timed("evaluate"):
        done = evaluate(setup.game, setup.design, store=folder.masks, **told)
    if setup.check is None:
        return done, None
    with folder.timed("check"):
        return done, evaluate(setup.game, setup.check, store=folder.check, label="check", **told)


def decode_step(folder: RunFolder) -> Decoded:
    """Decode what was evaluated and write the spectrum; needs no model."""
    with folder.timed("decode"):
        decoded = decode_folder(folder)
        save_decoded(decoded, folder)
    return decoded


def prune_step(
    setup: Setup, folder: RunFolder, decoded: Decoded, *, progress: bool | None = None
) -> list[Kept]:
    """Choose kept sets on the search questions, ours and the baselines', and write ``kept.json``.

    With ``prune.export = "auto"`` the size is chosen on the validation questions, and ``size.json`` says
    how.
    """
    with folder.timed("prune"):
        kept = choose_kept_sets(setup, folder, decoded, progress=progress)
        size = None
        if setup.spec.prune.export == "auto":
            size = choose_exported(setup, folder, kept)
    folder.save("kept.json", [kept_to_json(k, setup.players) for k in kept])
    folder.remove("size.json", "circuit.json", "circuit.graphml")
    if size is not None:
        folder.save("size.json", size_to_json(size))
    return kept


def test_step(
    setup: Setup,
    folder: RunFolder,
    kept: list[Kept],
    *,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> TestScores:
    """Score kept sets on the test questions and write ``results.json``."""
    masks = np.stack([np.ones(setup.players.n, dtype=bool), *[k.mask for k in kept]])
    with folder.timed("test"):
        evaluate(
            setup.game.with_split("test"),
            MaskDesign(masks, seed=setup.spec.prune.seed),
            store=folder.test,
            executor=executor,
            spec=setup.spec.model_dump(),
            progress=progress,
            label="test",
        )
    scores = score_folder(folder)
    folder.save("results.json", scores_to_json(scores, setup.players))
    return scores


test_step.__test__ = False  # type: ignore[attr-defined]


def export_step(
    setup: Setup,
    folder: RunFolder,
    keep: int | None = None,
    *,
    out: str | Path | None = None,
) -> Path:
    """Write our kept set of one size as a checkpoint, with what is known of it in its card.

    Args:
        setup: what was run.
        folder: the run's folder, with its kept sets.
        keep: the size; default the one to be exported.
        out: where to write; default ``pruned`` in the folder.

    Raises:
        InputError: a size that was not pruned to, or a model that cannot be exported as asked.
        OutputExistsError: ``out`` exists.
    """
    check_export(setup)
    spec, players = setup.spec, setup.players
    kept = kept_of(folder, players, keep)
    before, after = _costs(setup, kept) if spec.prune.measure else (None, None)
    card = Card(
        task=spec.task,
        held_out=_claims(folder, players, kept),
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
        rescale=spec.game.rescale,
        even=spec.prune.even,
        card=card,
    )


def circuit_step(
    setup: Setup,
    folder: RunFolder,
    keep: int | None = None,
    *,
    decoded: Decoded | None = None,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> Circuit:
    """Test our kept set of one size as a circuit on test questions; write ``circuit.json``, ``.graphml``.

    Args:
        setup: what was run.
        folder: the run's folder, with its kept sets.
        keep: the size; default the one to be exported, or the only one.
        decoded: the run's spectrum, if it is at hand.
        executor: see `evaluate`.
        progress: see `evaluate`.

    Raises:
        MissingFileError: nothing was pruned.
        InputError: a size that was not pruned to.
    """
    check_circuit(setup)
    spec = setup.spec
    kept = kept_of(folder, setup.players, keep)
    spectrum = (decode_folder(folder) if decoded is None else decoded).spectrum
    game, store = circuit_game(setup), folder.circuit(spec.circuit.questions)
    with folder.timed("circuit"):
        found = circuit(
            game,
            kept.mask,
            spectrum,
            index=spec.interactions.index if spec.interactions.order > 1 else "FBII",
            subsets=spec.circuit.subsets,
            seed=spec.circuit.seed,
            store=store,
            executor=executor,
            progress=progress,
        )
    folder.save("circuit.json", circuit_to_json(found))
    write_text(folder.path / "circuit.graphml", circuit_to_graphml(found))
    return found


def run(
    setup: Setup,
    out: str | Path,
    *,
    progress: bool | None = None,
    executor: str | Executor = "local",
) -> Result:
    """Run a prepared spec and write what it finds to ``out``; `run_folder` says what lies there.

    `report.write_report` adds the page and its figures. A run that was cut off goes on when the same
    spec and folder are given again; a finished one is refused.

    Args:
        setup: what to run.
        out: the folder.
        progress: show progress bars, see `evaluate`.
        executor: where the design, the check and the test are evaluated, see `evaluate`; the short
            rounds of pruning stay in this process.

    Raises:
        InputError: as for `check_pruning`.
        OutputExistsError: ``out`` holds a finished run or something else.
    """
    check_pruning(setup)
    spec = setup.spec
    wanted = [
        "results.json",
        *(["circuit.json"] if spec.circuit.subsets else []),
        *(["pruned"] if spec.prune.export is not None else []),
    ]
    folder = claim(out, setup.spec, last=wanted)
    evaluate_step(setup, folder, executor=executor, progress=progress)
    decoded = decode_step(folder)
    kept = prune_step(setup, folder, decoded, progress=progress)
    scores = test_step(setup, folder, kept, executor=executor, progress=progress)
    tested = None
    if spec.circuit.subsets:
        tested = circuit_step(setup, folder, decoded=decoded, executor=executor, progress=progress)
    exported = None
    if spec.prune.export is not None:
        exported = folder.path / "pruned"
        if not exported.exists():  # it is there whole, or not at all
            export_step(setup, folder)
    return Result(setup, folder, decoded, scores, tested, exported)


def _claims(folder: RunFolder, players: PlayerSet, kept: Kept) -> dict[str, Any]:
    """What the card says of a kept set on test questions; nothing where it was not tested."""
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
    if not folder.has("interactions.json"):
        return {}
    found = folder.read(
        "interactions.json", lambda content: interactions_from_json(content, players)
    )
    rows = [(players.label(s), v) for s, v in found.joint(_CARD_ROWS)]
    return {"interactions": rows, "index": found.index}


def _costs(setup: Setup, kept: Kept) -> tuple[Footprint, Footprint]:
    small = compact_model(
        setup.model,
        setup.players,
        kept.mask,
        rescale=setup.spec.game.rescale,
        even=setup.spec.prune.even,
    )
    room = int(getattr(setup.model.hf.config, "max_position_embeddings", 160))
    prompt = min(128, room * 3 // 4)
    found = footprints(
        {"before": setup.model.hf, "after": small},
        seed=setup.spec.prune.seed,
        prompt_tokens=prompt,
        new_tokens=min(32, room - prompt),
    )
    return found["before"], found["after"]
