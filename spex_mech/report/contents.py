"""The contents of a run's folder, whatever steps it has been through; needs no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spex_mech.core.attention import AttentionPattern, pattern_from_json
from spex_mech.core.errors import InputError
from spex_mech.core.interactions import Interactions
from spex_mech.core.players import PlayerSet
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.per_question import QuestionEffects
from spex_mech.evaluation.questions import QuestionChoice
from spex_mech.evaluation.store.status import StoreStatus, run_status
from spex_mech.evaluation.stored_run import StoredRun, open_run
from spex_mech.exporting.comparison import TaskComparison
from spex_mech.pruning.circuit import Circuit
from spex_mech.pruning.circuit_curve import CircuitCurve
from spex_mech.pruning.circuit_files import circuit_from_json
from spex_mech.pruning.curve_files import curve_from_json
from spex_mech.pruning.prune import Pruned
from spex_mech.run.comparisons import read_comparisons
from spex_mech.run.explained_input import INPUT, ExplainedInput, input_from_json
from spex_mech.run.folder import ATTENTION, CURVES, RunFolder
from spex_mech.run.pilot import PilotRecord, pilot_from_json
from spex_mech.run.records import (
    HeldOut,
    ScoreTable,
    held_out_from_json,
    interactions_from_json,
    kept_sets_from_json,
    question_effects_from_json,
    scores_from_json,
    size_from_json,
    spectrum_from_json,
)
from spex_mech.run.rounds import ROUNDS, RoundsRecord, rounds_from_json
from spex_mech.run.scores import score_folder

_STEPS = (
    ("evaluate", "masks"),
    ("decode", "spectrum.json"),
    ("prune", "kept.json"),
    ("circuit", "circuit.json"),
    ("export", "pruned"),
)


@dataclass(frozen=True, eq=False)
class Contents:
    """All that a run's folder holds; the results of a step that has not been taken are None or empty.

    Attributes:
        folder: the run's folder.
        input: the text or image whose parts are the players; None where parts of a model are.
        facts: names of model, task, metric and ablation, as the store has them.
        players: the players.
        stores: the state of the stores.
        environment: versions and platform of the evaluation.
        sample: prompt, options and right answer of a search question; None for a game without texts.
        questions: number of search questions; None for a game without.
        pilot: the keep rates that a pilot has found; None for a design without one.
        choice: how many questions each mask was asked; None for all.
        rounds: what was spent and reached after each round; None of a run without rounds.
        spectrum: the spectrum's terms.
        settings: the settings of the decoder, with the store, metric and number of masks.
        interactions: the interactions, in the index of the spec.
        held_out: the fit to held-out masks.
        by_question: parts, ids of questions, and what those parts are worth to these questions; None where
            every mask was asked all of them.
        kept: the kept sets.
        size: how the exported size was chosen on validation questions.
        scores: the kept sets' scores on the test questions.
        comparisons: tasks before and after pruning to the exported set.
        circuit: one kept set as a circuit.
        curves: method to the faithfulness of its kept sets, on the circuit's questions.
        attention: what the circuit's strongest heads attend to, for each of a few questions.
        exported: folder of the checkpoint.
        seconds: wall-clock seconds per step.
        missing: steps that have not been taken, and the command for each.
    """

    folder: RunFolder
    input: ExplainedInput | None
    facts: dict[str, Any]
    players: PlayerSet
    stores: list[StoreStatus]
    environment: dict[str, str]
    sample: tuple[str, list[str], str] | None
    questions: int | None
    pilot: PilotRecord | None
    choice: QuestionChoice | None
    rounds: RoundsRecord | None
    spectrum: Spectrum | None
    settings: dict[str, Any]
    interactions: Interactions | None
    held_out: HeldOut | None
    by_question: tuple[list[int], list[str], QuestionEffects] | None
    kept: list[Pruned]
    size: dict[str, Any] | None
    scores: ScoreTable | None
    comparisons: list[TaskComparison]
    circuit: Circuit | None
    curves: dict[str, CircuitCurve]
    attention: list[AttentionPattern]
    exported: Path | None
    seconds: dict[str, float]
    missing: list[tuple[str, str]]


def read_contents(folder: RunFolder, metrics: Sequence[str] | None = None) -> Contents:
    """Read a run's folder.

    Args:
        folder: the folder.
        metrics: metrics of the test scores; by default those in ``results.json``.

    Raises:
        MissingFileError: nothing has been evaluated; or metrics are named and nothing was tested.
        InputError: a file that cannot be read, or an unknown metric.
    """
    stored = open_run(folder.masks)
    players = stored.players

    def read(name: str, parse: Any) -> Any:
        return folder.read(name, lambda c: parse(c, players)) if folder.has(name) else None

    spectrum = read("spectrum.json", spectrum_from_json)
    scores = read("results.json", scores_from_json)
    if metrics:
        scores = score_folder(folder, metrics)
    sample, questions = _sample(stored)
    explained = read(INPUT, lambda content, p: input_from_json(content, p.n))
    return Contents(
        folder=folder,
        input=explained,
        facts=dict(stored.facts["game"]),
        players=players,
        stores=run_status(folder.path),
        environment=_environment(folder.masks),
        sample=sample,
        questions=questions,
        pilot=read("pilot.json", lambda content, _: pilot_from_json(content)),
        choice=folder.choice(),
        rounds=read(ROUNDS, lambda content, _: rounds_from_json(content)),
        spectrum=spectrum,
        settings={} if spectrum is None else folder.load("spectrum.json").get("settings", {}),
        interactions=read("interactions.json", interactions_from_json),
        held_out=read("check.json", lambda content, _: held_out_from_json(content)),
        by_question=read("question-effects.json", question_effects_from_json),
        kept=read("kept.json", kept_sets_from_json) or [],
        size=read("size.json", lambda content, _: size_from_json(content)),
        scores=scores,
        comparisons=read_comparisons(folder, players),
        circuit=read("circuit.json", circuit_from_json),
        curves=read(CURVES, _curves) or {},
        attention=read(ATTENTION, lambda rows, _: [pattern_from_json(row) for row in rows]) or [],
        exported=(folder.path / "pruned") if (folder.path / "pruned").is_dir() else None,
        seconds=folder.seconds(),
        missing=_missing(folder, explained),
    )


def _curves(content: Any, players: PlayerSet) -> dict[str, CircuitCurve]:
    return {str(method): curve_from_json(row, players) for method, row in content.items()}


def _missing(folder: RunFolder, explained: ExplainedInput | None) -> list[tuple[str, str]]:
    """Steps that have not been taken, and the command for each."""
    steps = [step for step, name in _STEPS if not (folder.path / name).exists()]
    if explained is None:
        return [(step, f"spex-mech {step} {folder.path}") for step in steps]
    command = f"{explained.command} --out {folder.path}"
    if not explained.command:
        command = f"explain_features(game, {str(folder.path)!r})"
    return [("explain", command)] if "decode" in steps else []


def _sample(stored: StoredRun) -> tuple[tuple[str, list[str], str] | None, int | None]:
    """The first question that has a text, and the number of questions."""
    try:
        prompts, texts = stored.prompts, stored.texts
    except InputError:
        return None, None
    for right, (prompt, options) in zip(prompts.right, texts, strict=True):
        if prompt is not None:
            options = options or []
            answer = options[right] if len(options) > right else ""
            return (prompt, options, answer), len(texts)
    return None, len(texts)


def _environment(store: Path) -> dict[str, str]:
    """Versions and platform of the store's last evaluation, without the name of the machine."""
    sessions = sorted((store / "sessions").glob("[0-9]*.json"))
    if not sessions:
        return {}
    environment = json.loads(sessions[-1].read_text(encoding="utf-8")).get("environment", {})
    return {str(k): str(v) for k, v in environment.items() if k != "host"}
