"""`specialise`: a model is cut down to one task, from its name to a checkpoint that servers load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.layer_rules import EXPORT_FORMS
from spex_mech.core.players import select_players
from spex_mech.evaluation.executors import Executor
from spex_mech.exporting.writing import check_room
from spex_mech.models.outline import read_outline, weight_bytes
from spex_mech.run.opening import taken
from spex_mech.run.setup import Setup, prepare
from spex_mech.run.spec import RunSpec
from spex_mech.run.spec_file import read_spec
from spex_mech.run.spec_values import AUTO
from spex_mech.run.steps import Result, last_files, run
from spex_mech.tasks.cards import load_task

_SHARES = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
_QUESTIONS = 60
_FEWEST = 40, 10, 15  # of masks, held-out masks, and ablations of each size
REPORT = "report.html"


def specialise(
    model: str | Path,
    task: str | Path,
    out: str | Path,
    *,
    keep: str | int | float | Sequence[int | float] = AUTO,
    form: str = AUTO,
    others: Sequence[str] | None = None,
    settings: Sequence[str] = (),
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> Result:
    """Prune a model for one task and write the checkpoint; one keyword per choice that callers make.

    This is `run` with a spec that is made here: masks of attention heads at keep rates that a pilot finds,
    asked some questions each, are decoded; kept sets of several sizes are searched, only such as the form
    of export holds; the smallest size whose loss on validation questions is within their noise is exported;
    and the pruned model is compared with the whole one on test questions that nothing before has seen, of
    this task and of others. Size and speed are measured with plain Transformers, in turns with the whole
    model. All of it stands in the model card. A call that was stopped goes on when it is repeated.

    Args:
        model: a model by its name, folder, GGUF file or hub id, see `load_model`.
        task: the task's card, see `load_task`.
        out: the folder of the run; the checkpoint is ``pruned`` in it.
        keep: ``auto`` tries 90, 80 ... 30 % of the players; or one size (a number, or a share of the
            players), or several to choose from.
        form: who is to read the checkpoint, see `export`. ``auto`` searches sets for the stock form that
            binds least among those that the architecture has, and writes the first form that fits.
        others: tasks that the model is not pruned for, to be asked before and after. By default the first
            two that it can be asked: of the embedded model's tasks for those, else of ``circuits``.
        settings: changes of the spec, as in ``"design.budget=200"``.
        executor: see `run`.
        progress: see `evaluate`.

    Returns:
        Everything that was found, as `run` returns it.

    Raises:
        InputError: an unknown model, task, form or setting; sizes out of range; too little room on the
            disk; a model that cannot be pruned or exported so. What can be seen without weights is seen
            before these are read.
        OutputExistsError: the folder holds a finished run, or something else.
    """
    spec = specialise_spec(model, task, keep=keep, form=form, others=others, settings=settings)
    return run(prepare_specialise(spec, out), out, executor=executor, progress=progress)


def specialise_spec(
    model: str | Path,
    task: str | Path,
    *,
    keep: str | int | float | Sequence[int | float] = AUTO,
    form: str = AUTO,
    others: Sequence[str] | None = None,
    settings: Sequence[str] = (),
) -> RunSpec:
    """The spec that `specialise` runs.

    The more players there are, the more masks it has: as many answers as a quarter of a mask for each player
    has, and a sixteenth of an ablation for each at every size. Masks are asked few questions each and kept
    sets race, so that these answers are spread over many more of both.

    Raises:
        InputError: as for `specialise`.
    """
    if form not in EXPORT_FORMS:
        known = ", ".join(repr(name) for name in EXPORT_FORMS)
        raise InputError(f"form is {form!r}, expected one of {known}")
    asked = read_spec(None, settings)  # for what the sizes below follow from
    n = select_players(read_outline(model), asked.players).n
    masks, check, ablations = _FEWEST
    raw: dict[str, Any] = {
        "model": str(model),
        "task": str(task),
        "others": AUTO if others is None else [*others],
        "design": {"budget": max(masks, n // 4), "check": max(check, n // 20)},
        "game": {"examples": _QUESTIONS},
        "circuit": {"subsets": 0},
        "prune": {
            **_sizes(keep),
            "ablations": max(ablations, n // 16),
            "baselines": [],
            "mode": "compact",
            "form": form,
            "servable": None if form == "own" else form,
            "measure": True,
        },
    }
    spec = read_spec(None, settings, base=raw)
    questions = load_task(spec.task, **spec.asking.model_dump()).select("search")
    if spec.game.examples == _QUESTIONS and len(questions) < _QUESTIONS:
        raw["game"] = {"examples": None}
        return read_spec(None, settings, base=raw)
    return spec


def prepare_specialise(
    spec: RunSpec, out: str | Path, *, finished_with: Sequence[str] = ()
) -> Setup:
    """Load and check what a spec names, after looking at the folder and the disk.

    Args:
        spec: see `specialise_spec`.
        out: the folder of the run.
        finished_with: see `run`.

    Raises:
        InputError, OutputExistsError: as for `specialise`.
    """
    taken(out, spec, last=[*last_files(spec), *finished_with])
    check_room(Path(out), weight_bytes(spec.model) or 0)
    return prepare(spec, pruning=True)


def _sizes(keep: str | int | float | Sequence[int | float]) -> dict[str, Any]:
    """Sizes to search, and the one to export."""
    if isinstance(keep, str):
        if keep != AUTO:
            raise InputError(
                f"keep is {keep!r}, expected {AUTO!r}, a number of players, or a share"
            )
        return {"keep": _SHARES, "export": AUTO}
    if isinstance(keep, int | float):
        return {"keep": [keep], "export": keep}
    return {"keep": [*keep], "export": AUTO if len(keep) > 1 else keep[0]}
