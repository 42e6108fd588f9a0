"""The steps of a run, from model to report, in their order; `run` takes them all.

Each step reads what the steps before it left in the run's folder and writes its own files. All but decoding
need the model. The steps of a circuit and of an export have modules of their own, and so has the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spex_mech.designs import MaskDesign
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.executors import Executor
from spex_mech.evaluation.keep_rates import find_keep_rates
from spex_mech.pruning.circuit import Circuit
from spex_mech.pruning.prune import Pruned
from spex_mech.run.circuit import circuit_step
from spex_mech.run.decode import Decoded, decode_folder, save_decoded
from spex_mech.run.designs import check_design, has_pilot, search_design
from spex_mech.run.export import export_step
from spex_mech.run.folder import RunFolder, claim
from spex_mech.run.pilot import save_pilot
from spex_mech.run.prune import choose_exported, choose_kept_sets, size_to_json
from spex_mech.run.records import ScoreTable, kept_to_json, scores_to_json
from spex_mech.run.scores import score_folder
from spex_mech.run.setup import Setup, check_pruning


@dataclass(frozen=True, eq=False)
class Result:
    """The results of a run.

    Attributes:
        setup: what was run.
        folder: where its files are.
        decoded: the spectrum, its interactions and its fit to held-out masks.
        scores: every method at every size on test questions.
        circuit: the exported size (or the smallest) as a circuit; None where the spec has no circuit.
        exported: the pruned checkpoint; None where the spec exports none.
    """

    setup: Setup
    folder: RunFolder
    decoded: Decoded
    scores: ScoreTable
    circuit: Circuit | None
    exported: Path | None


def run(
    setup: Setup,
    out: str | Path,
    *,
    progress: bool | None = None,
    executor: str | Executor = "local",
    finished_with: Sequence[str] = (),
) -> Result:
    """Take every step of a prepared spec and write the results to ``out``; `folder` lists the files.

    `write_report` adds the page and its figures. A run that was stopped goes on when it is called with
    the same spec and folder; a finished one is refused.

    Args:
        setup: what to run.
        out: the folder.
        progress: show progress bars, see `evaluate`.
        executor: where the design, the held-out masks, the test and the circuit are evaluated, see
            `evaluate`; the short rounds of pruning stay in this process.
        finished_with: files that the caller writes at the end, such as ``report.html``: a run that lacks one
            is not finished.

    Raises:
        InputError: as for `check_pruning`.
        OutputExistsError: ``out`` holds a finished run or something else.
    """
    check_pruning(setup)
    spec = setup.spec
    last_files = [
        "results.json",
        *(["circuit.json"] if spec.circuit.subsets else []),
        *(["pruned"] if spec.prune.export is not None else []),
        *finished_with,
    ]
    folder = claim(out, setup.spec, last=last_files)
    evaluate_step(setup, folder, executor=executor, progress=progress)
    decoded = decode_step(folder)
    kept = prune_step(setup, folder, decoded, progress=progress)
    scores = score_step(setup, folder, kept, executor=executor, progress=progress)
    tested = None
    if spec.circuit.subsets:
        tested = circuit_step(setup, folder, decoded=decoded, executor=executor, progress=progress)
    exported = None
    if spec.prune.export is not None:
        exported = folder.path / "pruned"
        if not exported.exists():  # a checkpoint is written whole or not at all
            export_step(setup, folder)
    return Result(setup, folder, decoded, scores, tested, exported)


def evaluate_step(
    setup: Setup,
    folder: RunFolder,
    *,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> tuple[Run, Run | None]:
    """Evaluate the design and the held-out masks into the folder's stores.

    Where the spec leaves the keep rates to a pilot, that is evaluated first, and ``pilot.json`` written.

    Returns:
        Both runs; the second is None where no masks are held out.
    """
    options = {"executor": executor, "spec": setup.spec.model_dump(), "progress": progress}
    spec, n = setup.spec.design, setup.players.n
    with folder.timed("evaluate"):
        if has_pilot(spec) and not folder.has("pilot.json"):
            rates = find_keep_rates(
                setup.game, spec.budget, seed=spec.seed, store=folder.masks, **options
            )
            save_pilot(folder, rates)
        keep_rate = folder.keep_rate()
        design, check = search_design(spec, n, keep_rate), check_design(spec, n, keep_rate)
        searched = evaluate(setup.game, design, store=folder.masks, **options)
    if check is None:
        return searched, None
    with folder.timed("check"):
        checked = evaluate(setup.game, check, store=folder.check, label="check", **options)
    return searched, checked


def decode_step(folder: RunFolder) -> Decoded:
    """Decode what was evaluated and write the spectrum; needs no model."""
    with folder.timed("decode"):
        decoded = decode_folder(folder)
        save_decoded(decoded, folder)
    return decoded


def prune_step(
    setup: Setup, folder: RunFolder, decoded: Decoded, *, progress: bool | None = None
) -> list[Pruned]:
    """Choose kept sets on the search questions, ours and the baselines', and write ``kept.json``.

    With ``prune.export = "auto"`` the size is chosen on the validation questions; ``size.json`` has the
    loss of every size.
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


def score_step(
    setup: Setup,
    folder: RunFolder,
    kept: list[Pruned],
    *,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> ScoreTable:
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
