"""The job step by step: each command goes on from what the steps before it left in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spex_mech.cli.completion import complete_metric
from spex_mech.cli.options import (
    KeptSize,
    KeptSizes,
    OutFolder,
    RunPath,
    Settings,
    as_settings,
    finite,
    seed_option,
    whole,
)
from spex_mech.cli.printing import (
    print_evaluation,
    print_exported,
    print_form_to_write,
    print_kept,
    print_scores,
    print_size_choice,
)
from spex_mech.cli.tables import say

if TYPE_CHECKING:
    from spex_mech.run.folder import RunFolder


def evaluate(context: typer.Context, out: OutFolder = None) -> None:
    """Ablate: evaluate the design and the held-out masks; run again to go on."""
    from spex_mech.run import steps
    from spex_mech.run.opening import claim
    from spex_mech.run.setup import prepare

    setup = prepare(context.meta["spec"])
    folder = claim(out or context.meta["folder"], setup.spec)
    say(f"{setup.model!r}\n{setup.game!r}")
    searched, checked = steps.evaluate_step(setup, folder, executor=context.obj)
    for name, run in (("masks", searched), ("check", checked)):
        if run is not None:
            asked = "" if run.answers is None else f" with {len(run.answers)} answers"
            say(
                f"{folder.path / name}: {len(run.design)} {run.design.kind} masks{asked}, {run.evaluated} "
                f"evaluated now; values from {run.values.min():.4g} to {run.values.max():.4g}"
            )
    print_evaluation(folder)
    typer.echo(f"next: spex-mech decode {folder.path}")


def prune(
    context: typer.Context,
    folder: RunPath = Path("runs/demo"),
    settings: Settings = None,
    keep: KeptSizes = None,
    choose: Annotated[
        bool,
        typer.Option("--choose", help="Choose the size to export on the validation questions."),
    ] = False,
    ablations: Annotated[
        int | None, typer.Option(min=0, help="True ablations to check and improve each size.")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="What to compare with, such as 'greedy removal'; 'none' for nothing."),
    ] = None,
    per_layer: Annotated[int | None, typer.Option(min=0, help="Most players of a layer.")] = None,
    kv_groups: Annotated[int | None, typer.Option(min=0, help="Most key/value groups.")] = None,
    parameters: Annotated[
        float | None,
        typer.Option(callback=finite, help="Most parameters of the kept players, or their share."),
    ] = None,
    servable: Annotated[
        str | None,
        typer.Option(
            help="Keep only sets that a form of export holds: family, laguna, gguf, or auto."
        ),
    ] = None,
    seed: Annotated[int | None, seed_option("search and intervals")] = None,
    test: Annotated[bool, typer.Option(help="Score the kept sets on the test questions.")] = True,
) -> None:
    """Choose players to keep by spectrum and true ablations, one option per setting, and test the choice."""
    from spex_mech.run import steps
    from spex_mech.run.decode import decode_folder
    from spex_mech.run.opening import save_spec
    from spex_mech.run.prune import kept_of
    from spex_mech.run.setup import prepare

    limits = {
        "per_layer": per_layer,
        "kv_groups": kv_groups,
        "parameters": whole(parameters),
        "servable": servable,
    }
    changes = as_settings(
        settings,
        prune__ablations=ablations,
        prune__baselines=_baselines(baseline, any(v is not None for v in limits.values())),
        prune__seed=seed,
        **{f"prune__{name}": value for name, value in limits.items()},
    )
    run = _pruning_folder(folder, changes, keep, choose)
    setup = prepare(run.spec, pruning=True)
    decoded = decode_folder(run) if run.has("spectrum.json") else steps.decode_step(run)
    kept = steps.prune_step(setup, run, decoded)
    save_spec(run)
    print_kept(kept, setup.game.metric.name)
    print_size_choice(run)
    if run.spec.prune.mode == "compact":
        print_form_to_write(setup, kept_of(run, setup.players))
    if test:
        print_scores(steps.score_step(setup, run, kept, executor=context.obj))
    typer.echo(f"written: {run.path / 'kept.json'}; next: spex-mech circuit, export or report")


def export(
    folder: RunPath = Path("runs/demo"),
    keep: KeptSize = None,
    mode: Annotated[
        str | None,
        typer.Option(help="dense: a stock checkpoint; compact: removed parts truly gone."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            help="compact: who reads it. family, laguna, gguf, own, or auto: the first that fits."
        ),
    ] = None,
    even: Annotated[
        bool | None, typer.Option("--even", help="compact: fill up to what the form holds.")
    ] = None,
    measure: Annotated[
        bool | None, typer.Option("--measure", help="compact: measure size and speed for the card.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; by default RUN/pruned.")] = None,
) -> None:
    """Write a kept set as a checkpoint with a model card."""
    from spex_mech.run.export import export_step
    from spex_mech.run.opening import changed, open_folder
    from spex_mech.run.setup import prepare

    if mode == "dense":  # what the run says of its compact export does not count then
        form, even, measure = form or "own", bool(even), bool(measure)
    changes = as_settings(
        None, prune__mode=mode, prune__form=form, prune__even=even, prune__measure=measure
    )
    run = changed(open_folder(folder), changes, ("prune",), "export")
    size = _kept_size(run, keep)
    exported = export_step(prepare(run.spec), run, size, out=out)
    print_exported(exported)
    typer.echo(f"written: {exported.folder} (its README.md says how to load it)")


def circuit(
    context: typer.Context,
    folder: RunPath = Path("runs/demo"),
    settings: Settings = None,
    keep: KeptSize = None,
    subsets: Annotated[
        int | None, typer.Option(min=1, help="Random knock-outs that completeness is measured on.")
    ] = None,
    questions: Annotated[
        str | None,
        typer.Option(help="How many test questions, spread over all of them; 'none' for all."),
    ] = None,
    ablation: Annotated[
        list[str] | None,
        typer.Option(
            help="Show the kept set under this ablation as well: zero, mean, resample, counterfactual "
            "or optimal; once for each."
        ),
    ] = None,
    seed: Annotated[int | None, seed_option("knock-outs and intervals")] = None,
) -> None:
    """Test a kept set as a circuit: faithfulness, completeness, and which parts are needed."""
    from spex_mech.report import write_circuit_page
    from spex_mech.run.circuit import circuit_step
    from spex_mech.run.opening import changed, open_folder, save_spec
    from spex_mech.run.setup import prepare

    changes = as_settings(
        settings, circuit__subsets=subsets, circuit__ablations=ablation, circuit__seed=seed
    )
    if questions is not None:
        changes.append(f"circuit.questions={questions}")
    run = changed(open_folder(folder), changes, ("circuit",), "circuit")
    size = _kept_size(run, keep)
    tested = circuit_step(prepare(run.spec), run, size, executor=context.obj)
    save_spec(run)
    say(str(tested))
    page = write_circuit_page(run)
    typer.echo(f"written: {page}, {run.path / 'circuit.json'}, {run.path / 'circuit.graphml'}")


def report(
    folder: RunPath = Path("runs/demo"),
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Metric of the test tables; by default those that were scored.",
            autocompletion=complete_metric,
        ),
    ] = None,
) -> None:
    """Write the report of a run, finished or not, from what it has stored; needs no model."""
    from spex_mech.report import write_report
    from spex_mech.run.opening import open_folder

    typer.echo(f"report: {write_report(open_folder(folder), metrics=metric)}")


def _pruning_folder(
    folder: Path, changes: list[str], keep: list[float] | None, choose: bool
) -> RunFolder:
    """The run's folder with other settings of pruning; a size that is not among them is not exported."""
    from spex_mech.run.opening import changed, open_folder

    before = open_folder(folder)
    sizes = None if keep is None else [whole(k) for k in keep]
    changes = as_settings(changes, prune__keep=sizes)
    if choose:
        changes.append("prune.export='auto'")
    elif sizes is not None and before.spec.prune.export not in (*sizes, "auto"):
        changes.append("prune.export=none")
    return changed(before, changes, ("prune",), "prune")


def _kept_size(run: RunFolder, keep: float | None) -> int | None:
    """The number of players that ``--keep`` names.

    Raises:
        InputError: the run was not pruned, or not to this size; said before the model is loaded.
    """
    from spex_mech.pruning.prune import size_of
    from spex_mech.run.outline import outline
    from spex_mech.run.prune import kept_of

    players = outline(run.spec).players
    size = size_of(whole(keep), players.n)
    kept_of(run, players, size)
    return size


def _baselines(names: list[str] | None, limited: bool) -> list[str] | None:
    """Baselines as the spec has them; with limits, which no baseline keeps, only those that are named."""
    if names is None:
        return [] if limited else None
    return [] if names == ["none"] else names
