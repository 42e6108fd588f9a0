"""The `explain` step of a run: rounds of evaluation into a run's folder, for a model or a synthetic game."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spex_mech.core.errors import InputError
from spex_mech.core.games import AnyGame
from spex_mech.decoders.explain import Explanation
from spex_mech.run.decode import Decoded, decode_folder, save_decoded
from spex_mech.run.designs import check_rounds, search_design
from spex_mech.run.folder import RunFolder
from spex_mech.run.opening import claim, open_folder
from spex_mech.run.rounds import take_rounds
from spex_mech.run.spec import RunSpec
from spex_mech.tasks.cards import load_card, load_game

if TYPE_CHECKING:
    from spex_mech.run.setup import Setup


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
        target_r2: stop when R² reaches this on the masks that the spec holds out (see `Round.reaches`), or
            by cross-validation where it holds none out. None is ``design.target_r2`` with
            ``design.budget="auto"``, and else spends the whole budget.
        progress: see `evaluate`.

    Raises:
        InputError: a spec that does not fit together, or a design without rounds.
        OutputExistsError: the folder holds something else.
    """
    _check(spec, target_r2)
    game, setup = _game(spec)
    spec = spec if setup is None else setup.spec
    search_design(spec.design, game.players.n)  # refuses sizes and rates before the folder is made
    folder = claim(out, spec)
    if setup is not None:
        game = _prepared(setup, folder)
    if target_r2 is None and spec.design.in_rounds:
        target_r2 = spec.design.target_r2
    return explain_into(folder, game, spec, target_r2, progress=progress)


def explain_into(
    folder: RunFolder,
    game: AnyGame,
    spec: RunSpec,
    target_r2: float | None,
    *,
    progress: bool | None = None,
) -> tuple[Explanation, Decoded]:
    """Take the rounds of a spec into its run's folder, and write the spectrum."""
    with folder.timed("explain"):
        taken = take_rounds(folder, game, spec, target_r2, progress=progress)
    folder = open_folder(folder.path)
    decoded = decode_folder(folder, taken.spectrum)
    save_decoded(decoded, folder)
    return taken.explained(decoded.spectrum), decoded


def _game(spec: RunSpec) -> tuple[Any, Setup | None]:
    """The game of a spec, and for a model's game all that the spec names."""
    if load_card(spec.task).kind == "game":
        return load_game(spec.task), None
    from spex_mech.run.setup import prepare  # torch

    setup = prepare(spec)
    return setup.game, setup


def _prepared(setup: Setup, folder: RunFolder) -> Any:
    """The game with the constants of the folder, where its ablation has any; gradients are taken."""
    from spex_mech.run.constants import with_constants  # torch
    from spex_mech.run.gradients import save_gradients

    setup = with_constants(setup, folder)
    save_gradients(setup, folder)
    return setup.game


def _check(spec: RunSpec, target_r2: float | None) -> None:
    check_rounds(spec.design)
    if spec.design.seed != spec.decode.seed:
        raise InputError(
            f"design.seed is {spec.design.seed} and decode.seed {spec.decode.seed}, but explain has one "
            "seed for both; give --seed"
        )
    if target_r2 is not None and not 0 < target_r2 <= 1:
        raise InputError(f"target_r2 is {target_r2}, expected a number above 0 and at most 1")
