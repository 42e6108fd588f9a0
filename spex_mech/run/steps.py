"""The steps of a run, from model to report, in their order; `run` takes them all.

Each step reads what the steps before it left in the run's folder and writes its own files. All but decoding
need the model. The steps of a circuit and of an export have modules of their own, and so has the report.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spex_mech.core.spectrum import Spectrum
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.executors import Executor
from spex_mech.evaluation.games import as_game
from spex_mech.evaluation.keep_rates import choice_of, find_keep_rates, questions_to_choose
from spex_mech.evaluation.questions import ALL
from spex_mech.exporting.comparison import TaskComparison
from spex_mech.pruning.circuit import Circuit
from spex_mech.pruning.prune import OURS, Pruned
from spex_mech.run.circuit import circuit_step
from spex_mech.run.compare import compare_step
from spex_mech.run.comparisons import FILE as COMPARISON
from spex_mech.run.constants import with_constants
from spex_mech.run.decode import Decoded, decode_folder, save_decoded
from spex_mech.run.designs import check_design, has_pilot, is_asked_all, search_design
from spex_mech.run.export import Exported, export_step, exported_before
from spex_mech.run.folder import ATTENTION, CURVES, RunFolder
from spex_mech.run.gradients import save_gradients
from spex_mech.run.opening import claim, open_folder
from spex_mech.run.pilot import save_choice, save_pilot
from spex_mech.run.prune import choose_exported, choose_kept_sets, size_to_json
from spex_mech.run.records import (
    ScoreTable,
    kept_sets_from_json,
    kept_to_json,
    scores_to_json,
)
from spex_mech.run.rounds import RoundsTaken, take_rounds
from spex_mech.run.scores import score_folder
from spex_mech.run.setup import Setup, check_pruning
from spex_mech.run.spec import RunSpec


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
        comparisons: the run's own task and the spec's ``others`` before and after; empty where the spec has
            none.
    """

    setup: Setup
    folder: RunFolder
    decoded: Decoded
    scores: ScoreTable
    circuit: Circuit | None
    exported: Exported | None
    comparisons: Sequence[TaskComparison] = ()


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
    folder = claim(out, setup.spec, last=[*last_files(spec), *finished_with])
    setup = with_constants(setup, folder)
    spectrum = None
    if spec.design.in_rounds:
        spectrum = rounds_step(setup, folder, executor=executor, progress=progress).spectrum
        folder = open_folder(folder.path)  # says how many masks were spent
    else:
        evaluate_step(setup, folder, executor=executor, progress=progress)
    decoded = decode_step(folder, spectrum)
    kept = _tested_before(setup, folder, decoded)
    if kept is None:
        kept = prune_step(setup, folder, decoded, progress=progress)
    scores = score_step(setup, folder, kept, executor=executor, progress=progress)
    tested = None
    if spec.circuit.subsets:
        tested = circuit_step(setup, folder, decoded=decoded, executor=executor, progress=progress)
    compared: Sequence[TaskComparison] = ()
    if spec.others is not None:
        compared = compare_step(setup, folder, executor=executor, progress=progress)
    exported = None
    if spec.prune.export is not None:
        whole = (folder.path / "pruned").exists()  # a checkpoint is written whole or not at all
        exported = exported_before(setup, folder) if whole else export_step(setup, folder)
    return Result(setup, folder, decoded, scores, tested, exported, compared)


def _tested_before(setup: Setup, folder: RunFolder, decoded: Decoded) -> list[Pruned] | None:
    """The kept sets that were tested, and may have been exported; None where there are none of this spectrum.

    Another version of the search may find others, to which ``results.json`` would not belong.
    """
    if not (folder.has("kept.json") and folder.has("results.json")):
        return None
    kept = folder.read("kept.json", lambda rows: kept_sets_from_json(rows, setup.players))
    then = [k for k in kept if k.method == OURS]
    predicted = [math.nan if k.predicted is None else k.predicted for k in then]
    now = [decoded.spectrum(k.mask[None])[0] for k in then]
    return kept if then and np.allclose(now, predicted, rtol=1e-3, atol=1e-6) else None


def last_files(spec: RunSpec) -> list[str]:
    """Names of the files that a run of this spec has when it is finished."""
    return [
        "results.json",
        *(["circuit.json"] if spec.circuit.subsets else []),
        *([COMPARISON] if spec.others is not None else []),
        *(["pruned"] if spec.prune.export is not None else []),
    ]


def evaluate_step(
    setup: Setup,
    folder: RunFolder,
    *,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> tuple[Run, Run | None]:
    """Evaluate the design and the held-out masks into the folder's stores, after taking gradients.

    Where the spec leaves keep rates and questions to a pilot, that is evaluated first, see `find_design`.
    Where it leaves the budget to rounds, see `rounds_step`.

    Returns:
        Both runs; the second is None where no masks are held out.
    """
    setup = with_constants(setup, folder)
    options = {"executor": executor, "spec": setup.spec.model_dump(), "progress": progress}
    spec, n = setup.spec.design, setup.players.n
    if spec.in_rounds:
        taken = rounds_step(setup, folder, executor=executor, progress=progress)
        return taken.run, taken.checked
    save_gradients(setup, folder)
    with folder.timed("evaluate"):
        find_design(setup, folder, options)
        keep_rate, choice = folder.keep_rate(), folder.choice()
        design = search_design(spec, n, keep_rate, choice)
        counts = ALL if choice is None else choice.counts(len(design))
        searched = evaluate(setup.game, design, questions=counts, store=folder.masks, **options)
    check = check_design(spec, n, keep_rate, choice)
    if check is None:
        return searched, None
    each = ALL if choice is None else choice.check_counts(spec.check)[1]
    with folder.timed("check"):
        checked = evaluate(
            setup.game, check, questions=each, store=folder.check, label="check", **options
        )
    return searched, checked


def rounds_step(
    setup: Setup,
    folder: RunFolder,
    *,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> RoundsTaken:
    """Evaluate and decode in rounds until the spectrum is good enough; see `take_rounds`."""
    spec = setup.spec
    options = {"executor": executor, "spec": spec.model_dump(), "progress": progress}
    save_gradients(setup, folder)
    with folder.timed("evaluate"):
        return take_rounds(folder, setup.game, spec, spec.design.target_r2, **options)


def find_design(setup: Setup, folder: RunFolder, options: dict[str, Any]) -> None:
    """Find keep rates and how many questions masks are asked, where the spec leaves these open.

    Writes ``pilot.json`` and ``questions.json``, unless they are there.
    """
    spec = setup.spec.design
    questions = ALL if is_asked_all(spec) else spec.questions
    if has_pilot(spec):
        if not folder.has("pilot.json"):
            rates = find_keep_rates(
                setup.game,
                spec.most,
                seed=spec.seed,
                questions=questions,
                store=folder.masks,
                **options,
            )
            if rates.choice is not None:
                save_choice(folder, rates.choice)
            save_pilot(folder, rates)
    elif questions_to_choose(as_game(setup.game), questions) is not None:
        rows = spec.most * len(setup.game.question_ids)
        save_choice(folder, choice_of(as_game(setup.game), questions, None).spread(rows))


def decode_step(folder: RunFolder, spectrum: Spectrum | None = None) -> Decoded:
    """Decode what was evaluated, unless its spectrum is given, and write the spectrum; needs no model."""
    with folder.timed("decode"):
        decoded = decode_folder(folder, spectrum)
        save_decoded(decoded, folder)
    return decoded


def prune_step(
    setup: Setup, folder: RunFolder, decoded: Decoded, *, progress: bool | None = None
) -> list[Pruned]:
    """Choose kept sets on the search questions, ours and the baselines', and write ``kept.json``.

    With ``prune.export = "auto"`` the size is chosen on the validation questions; ``size.json`` has the
    loss of every size.
    """
    setup = with_constants(setup, folder)
    with folder.timed("prune"):
        kept = choose_kept_sets(setup, folder, decoded, progress=progress)
        folder.save("kept.json", [kept_to_json(k, setup.players) for k in kept])
        folder.remove("size.json", "circuit.json", "circuit.graphml", CURVES, ATTENTION, COMPARISON)
        if setup.spec.prune.export == "auto":
            races = decoded.run.answers is not None
            size = choose_exported(setup, folder, kept, races=races)
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
    setup = with_constants(setup, folder)
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
