"""``spex-mech specialise``: a model is cut down to one task, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spex_mech.cli.options import Settings, as_settings
from spex_mech.cli.printing import (
    print_comparisons,
    print_decoded,
    print_exported,
    print_kept,
    print_plan,
    print_size_choice,
)
from spex_mech.cli.tables import say
from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted


def specialise(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="'embedded', 'smollm2', a folder, a GGUF file or a hub id.")
    ],
    task: Annotated[
        str,
        typer.Option(
            help="A task (see spex-mech tasks), a card, or a table of questions: .csv, .jsonl, .parquet."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("runs/specialised"),
    players: Annotated[
        str | None, typer.Option(help="What may be removed, as in run; by default 'heads'.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="MASKS", help="Masks to spend, as if each were asked all questions."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="auto, or players to keep, a number or a share such as 0.5; of several the smallest "
            "that loses nothing beyond noise."
        ),
    ] = None,
    form: Annotated[
        str, typer.Option(help="Who reads the checkpoint: auto, family, laguna, gguf or own.")
    ] = "auto",
    other: Annotated[
        list[str] | None,
        typer.Option(
            help="A task to show the damage on; once for each; 'none' for none. By default two."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the task's data.")] = None,
    settings: Settings = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what it will cost, and stop.")
    ] = False,
) -> None:
    """Prune a model for one task, export it and compare before and after; one option per choice.

    The folder is that of a run. A call that was stopped goes on when it is repeated.
    """
    from spex_mech.report import write_report
    from spex_mech.run import plan as planning
    from spex_mech.run.specialise import REPORT, prepare_specialise, specialise_spec
    from spex_mech.run.steps import run

    budgets = [] if budget is None else [f"design.budget={budget}"]
    spec = specialise_spec(
        model,
        task,
        keep=_sizes(keep),
        form=form,
        others=[] if other == ["none"] else other,
        settings=as_settings(
            [*(settings or []), *budgets],
            players=players,
            asking__data=None if data is None else str(data),
        ),
    )
    setup = prepare_specialise(spec, out, finished_with=[REPORT])
    say(f"{setup.model!r}\n{setup.game!r}\n")
    print_plan(setup, planning.plan(setup))
    if plan:
        return
    result = run(setup, out, executor=context.obj, finished_with=[REPORT])
    print_decoded(result.decoded, 4)
    print_kept([point.kept for point in result.scores.points], setup.game.metric.name)
    print_size_choice(result.folder)
    print_comparisons(result.comparisons)
    if result.exported:
        print_exported(result.exported)
        typer.echo(f"pruned model: {result.exported.folder} (its README.md says how to load it)")
    typer.echo(f"report: {write_report(result.folder)}")
    typer.echo(f"next: spex-mech open {out}")


def _sizes(keep: list[str] | None) -> str | list[int | float]:
    """Sizes as `specialise` takes them.

    Raises:
        InputError: a size that is no number.
    """
    if keep in (None, ["auto"]):
        return "auto"
    sizes: list[int | float] = []
    for text in keep or []:
        try:
            sizes.append(int(text) if text.isdigit() else float(text))
        except ValueError:
            raise InputError(
                f"--keep is {quoted(text)}; expected auto, a number of players, or a share such as 0.5"
            ) from None
    return sizes
