"""``spex-mech run``, ``plan`` (what a run will cost) and ``status`` (how far it is)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spex_mech.cli.completion import complete_run
from spex_mech.cli.options import AsJson, OutFolder
from spex_mech.cli.printing import (
    print_comparisons,
    print_decoded,
    print_evaluation,
    print_exported,
    print_plan,
    print_scores,
    print_size_choice,
)
from spex_mech.cli.tables import say, say_json, say_table
from spex_mech.core.units import bytes_text, seconds_text

if TYPE_CHECKING:
    from spex_mech.evaluation.store.status import StoreStatus


def run(context: typer.Context, out: OutFolder = None) -> None:
    """Ablate, decode, prune, export and write a report; an interrupted run goes on."""
    from spex_mech.report import write_report
    from spex_mech.run import steps
    from spex_mech.run.setup import prepare

    setup = prepare(context.meta["spec"], pruning=True)
    say(
        f"{setup.model!r}\n{setup.game!r}\n{setup.spec.design.kind} masks, as many answers as "
        f"{'at most ' if setup.spec.design.in_rounds else ''}{len(setup.design)} masks have"
    )
    folder = out or context.meta["folder"]
    result = steps.run(setup, folder, executor=context.obj, finished_with=["report.html"])
    print_evaluation(result.folder)
    print_decoded(result.decoded)
    print_size_choice(result.folder)
    print_scores(result.scores)
    if result.circuit:
        say(str(result.circuit))
    print_comparisons(result.comparisons)
    if result.exported:
        print_exported(result.exported)
        typer.echo(f"pruned model: {result.exported.folder} (its README.md says how to load it)")
    typer.echo(f"report: {write_report(result.folder)}")
    typer.echo(f"next: spex-mech open {result.folder.path}")


def plan(
    context: typer.Context,
    workers: Annotated[
        int, typer.Option(min=1, help="Also estimate the time with so many workers.")
    ] = 4,
    as_json: AsJson = False,
) -> None:
    """Print masks, answers, tokens, bytes and estimated time of a run, and what its questions can show."""
    from spex_mech.run import plan as planning
    from spex_mech.run.memory import forecast_memory
    from spex_mech.run.setup import prepare

    setup = prepare(context.meta["spec"], pruning=True)
    phases = planning.plan(setup)
    expected = planning.expected(setup)
    total = sum(p.seconds for p in phases)
    shared = sum(p.seconds_with(workers) for p in phases)
    if as_json:
        choice, first = planning.planned_choice(setup), planning.first_round(setup, phases)
        say_json(
            {
                "spec": setup.spec.model_dump(),
                "message": None if choice is None else choice.message,
                "phases": [vars(phase) for phase in phases],
                "first_round": None if first is None else vars(first),
                "memory": vars(forecast_memory(setup)),
                "form": setup.form,
                "seconds": total,
                "workers": {"count": workers, "seconds": shared},
                "noise": {split: vars(noise) for split, noise in expected.items()},
            }
        )
        return
    say(f"{setup.model!r}\n{setup.game!r}\n")
    print_plan(setup, phases)
    say(
        f"with 1 worker: {seconds_text(total)}; with {workers} workers like this one: {seconds_text(shared)}"
    )
    say("differences in accuracy that the questions can show; no accuracy was measured:")
    for split, noise in expected.items():
        say(
            f"{split} questions, {noise.questions}: {noise.differences}, assuming that "
            f"{noise.accuracy:.0%} of the answers are right, the worst case",
            indent="  ",
        )


def status(
    folder: Annotated[
        Path,
        typer.Argument(help="A run's folder, or one store of it.", autocompletion=complete_run),
    ] = Path("runs/demo"),
    verify: Annotated[
        bool, typer.Option(help="Read every shard and compare its checksum; a second per GB.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Print how far a run is and whether what it has stored is intact, without disturbing it."""
    from spex_mech.evaluation.store.status import run_status

    stores = run_status(folder, verify=verify)
    if as_json:
        say_json([vars(store) | {"folder": str(store.folder)} for store in stores])
        return
    say_table(
        [
            "store",
            "done",
            "stored",
            "size",
            "masks/s",
            "left",
            "last",
            "by",
            "state",
        ],
        [_store_row(store) for store in stores],
        "lrrrrrrll",
    )
    for store in stores:
        for line in _store_notes(store):
            say(line)


def _store_row(store: StoreStatus) -> list[str]:
    return [
        store.folder.name,
        f"{store.done:,} of {store.wanted:,}",
        f"{store.stored:,} in {store.shards} shard{'' if store.shards == 1 else 's'}",
        bytes_text(store.size),
        "" if store.rate is None else f"{store.rate:.3g}",
        seconds_text(store.seconds_left) if store.seconds_left else "",
        "" if store.last is None else f"{seconds_text(store.last)} ago",
        store.executor,
        store.writer,
    ]


def _store_notes(store: StoreStatus) -> list[str]:
    """What a store's row has no place for."""
    from spex_mech.evaluation.store.reading import damage_text

    name, notes = store.folder.name, []
    if store.noise_floor is not None:
        notes.append(f"{name}: scores differ by up to {store.noise_floor:.2g} with the batch")
    if store.damaged:
        notes.append(damage_text(store.folder, store.damaged, store.stored))
    notes += [f"{name}: was damaged or missing earlier: {shard}" for shard in store.lost]
    return notes
