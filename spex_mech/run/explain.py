"""The `explain` step of a run: rounds of evaluation into a run's folder, for a model or a synthetic game."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spex_mech.core.errors import InputError
from spex_mech.decoders.explain import Explanation, explain
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.questions import ALL
from spex_mech.run.decode import Decoded, decode_folder, save_decoded
from spex_mech.run.designs import check_design, is_asked_all, search_design
from spex_mech.run.folder import RunFolder, claim, save_spec
from spex_mech.run.pilot import save_choice, save_pilot
from spex_mech.run.spec import RunSpec
from spex_mech.tasks.cards import load_card, load_game

if TYPE_CHECKING:
    from spex_mech.run.setup import Setup

_AIMS = {"biased": "values", "stratified": "shapley"}


def explain_folder(
    spec: RunSpec, out: str | Path, *, target_r2: float | None = None, progress: bool | None = None
) -> tuple[Explanation, Decoded]:
    """Evaluate and decode in rounds into a run's folder; a folder of the same spec is continued.

    The masks are the first ones of the spec's design, so that what is decoded later from the folder is
    what was decoded here: ``design.first`` of the folder's spec says how many were spent.

    Args:
        spec: what to explain; its design is ``biased`` or ``stratified`` and its budget the most
            masks to spend. The task may be a synthetic game.
        out: the folder.
        target_r2: see `explain`.
        progress: see `evaluate`.

    Raises:
        InputError: a spec that does not fit together, or a design without rounds.
        OutputExistsError: the folder holds something else.
    """
    _check(spec, target_r2)
    game, setup = _game(spec)
    spec = spec if setup is None else setup.spec
    search_design(spec.design, game.players.n)  # refuses sizes and rates before the folder is made
    rate = spec.design.keep_rate
    folder = claim(out, spec)
    if setup is not None:
        game = _fitted(setup, folder)
    with folder.timed("explain"):
        explanation = explain(
            game,
            budget=spec.design.budget,
            target_r2=target_r2,
            aim=_AIMS[spec.design.kind],
            keep_rate=tuple(rate) if isinstance(rate, list) else rate,
            questions=ALL if is_asked_all(spec.design) else spec.design.questions,
            method=spec.decode.method,
            store=folder.masks,
            seed=spec.design.seed,
            progress=progress,
        )
    return explanation, save_explained(folder, game, explanation, progress=progress)


def save_explained(
    folder: RunFolder, game: Any, explanation: Explanation, *, progress: bool | None = None
) -> Decoded:
    """Evaluate the held-out masks of an explained game into its run's folder, and write the folder's files.

    Args:
        folder: the folder, whose ``masks`` hold what was evaluated.
        game: the game that was explained.
        explanation: masks, values and spectrum.
        progress: see `evaluate`.
    """
    design = folder.spec.design
    choice = explanation.choice
    if choice is not None:
        save_choice(folder, choice)
    if explanation.keep_rates is not None:
        save_pilot(folder, explanation.keep_rates)
    check = check_design(design, game.players.n, folder.keep_rate(), choice)
    if check is not None:
        each = ALL if choice is None else choice.check_counts(design.check)[1]
        with folder.timed("check"):
            evaluate(
                game, check, questions=each, store=folder.check, label="check", progress=progress
            )
    used = design.model_copy(update={"first": len(explanation.run.design)})
    folder = replace(folder, spec=folder.spec.model_copy(update={"design": used}))
    decoded = decode_folder(folder, explanation.spectrum)
    save_spec(folder)
    save_decoded(decoded, folder)
    return decoded


def _game(spec: RunSpec) -> tuple[Any, Setup | None]:
    """The game of a spec, and for a model's game all that the spec names."""
    if load_card(spec.task).kind == "game":
        return load_game(spec.task), None
    from spex_mech.run.setup import prepare  # torch

    setup = prepare(spec)
    return setup.game, setup


def _fitted(setup: Setup, folder: RunFolder) -> Any:
    """The game with the constants of the folder, where its ablation has any."""
    from spex_mech.run.constants import with_constants  # torch

    return with_constants(setup, folder).game


def _check(spec: RunSpec, target_r2: float | None) -> None:
    if spec.design.kind not in _AIMS:
        raise InputError(
            f"design.kind is {spec.design.kind!r}, but explain needs masks that can be drawn in rounds; "
            f"expected {' or '.join(_AIMS)}"
        )
    if spec.design.seed != spec.decode.seed:
        raise InputError(
            f"design.seed is {spec.design.seed} and decode.seed {spec.decode.seed}, but explain has one "
            "seed for both; give --seed"
        )
    if target_r2 is not None and not 0 < target_r2 <= 1:
        raise InputError(f"target_r2 is {target_r2}, expected a number above 0 and at most 1")
