"""``spex-mech run``, ``plan`` (what a run will cost) and ``status`` (how far it is)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spex_mech.cli.options import AblationName, OutFolder, Settings, SpecFile, as_settings
from spex_mech.cli.printing import (
    print_comparisons,
    print_decoded,
    print_exported,
    print_plan,
    print_scores,
    print_size_choice,
)
from spex_mech.core.units import bytes_text, seconds_text


def run(
    context: typer.Context,
    spec: SpecFile = None,
    settings: Settings = None,
    ablation: AblationName = None,
    out: OutFolder = Path("runs/demo"),
) -> None:
    """Ablate, decode, prune, export and write a report; an interrupted run goes on."""
    from spex_mech.report import write_report
    from spex_mech.run import steps
    from spex_mech.run.setup import prepare
    from spex_mech.run.spec import read_spec

    setup = prepare(read_spec(spec, as_settings(settings, game__ablation=ablation)), pruning=True)
    typer.echo(
        f"{setup.model!r}\n{setup.game!r}\n{setup.spec.design.kind} masks, as many answers as "
        f"{len(setup.design)} masks have"
    )
    result = steps.run(setup, out, executor=context.obj, finished_with=["report.html"])
    print_decoded(result.decoded)
    print_size_choice(result.folder)
    print_scores(result.scores)
    if result.circuit:
        typer.echo(str(result.circuit))
    print_comparisons(result.comparisons)
    if result.exported:
        print_exported(result.exported)
        typer.echo(f"pruned model: {result.exported.folder}")
    typer.echo(f"report: {write_report(result.folder)}")


def plan(
    spec: SpecFile = None,
    settings: Settings = None,
    ablation: AblationName = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Also estimate the time with so many workers.")
    ] = 4,
) -> None:
    """Print masks, answers, tokens, bytes and estimated time of a run, and what its questions can show."""
    from spex_mech.run import plan as planning
    from spex_mech.run.setup import prepare
    from spex_mech.run.spec import read_spec

    setup = prepare(read_spec(spec, as_settings(settings, game__ablation=ablation)), pruning=True)
    typer.echo(f"{setup.model!r}\n{setup.game!r}\n")
    phases = planning.plan(setup)
    print_plan(setup, phases)
    total = seconds_text(sum(p.seconds for p in phases))
    shared = seconds_text(sum(p.seconds_with(workers) for p in phases))
    typer.echo(f"with 1 worker: {total}; with {workers} workers like this one: {shared}")
    typer.echo("differences in accuracy that the questions can show; no accuracy was measured:")
    for split, noise in planning.expected(setup).items():
        typer.echo(
            f"{split + ' questions':<18}{noise.questions}: {noise.differences}, assuming that "
            f"{noise.accuracy:.0%} of the answers are right, the worst case"
        )


def status(
    folder: Annotated[Path, typer.Argument(help="A run's folder, or one store of it.")] = Path(
        "runs/demo"
    ),
    verify: Annotated[
        bool, typer.Option(help="Read every shard and compare its checksum; a second per GB.")
    ] = True,
) -> None:
    """Print how far a run is and whether what it has stored is intact, without disturbing it."""
    from spex_mech.evaluation.store.reading import damage_text
    from spex_mech.evaluation.store.status import run_status

    for store in run_status(folder, verify=verify):
        rate = "" if store.rate is None else f", {store.rate:.3g} masks/s"
        left = "" if not store.seconds_left else f", about {seconds_text(store.seconds_left)} left"
        last = "" if store.last is None else f", last shard {seconds_text(store.last)} ago"
        typer.echo(
            f"{store.folder}: {store.writer}\n"
            f"  {store.stored:,} masks stored in {store.shards} shards ({bytes_text(store.size)})\n"
            f"  {store.done:,} of {store.wanted:,} masks of the last evaluation "
            f"({store.executor}){rate}{left}{last}"
        )
        if store.noise_floor is not None:
            typer.echo(f"  scores differ by up to {store.noise_floor:.2g} with the batch")
        if store.damaged:
            typer.echo(f"  {damage_text(store.folder, store.damaged, store.stored)}")
        for name in store.lost:
            typer.echo(f"  was damaged or missing earlier: {name}")
