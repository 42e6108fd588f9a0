"""The command line: ``spex-mech run | plan | tasks | players``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spex_mech.errors import InputError

if TYPE_CHECKING:
    from spex_mech.pipeline import Result

app = typer.Typer(
    name="spex-mech",
    help="Find the few interactions inside a large model that matter, with few ablations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SpecFile = Annotated[
    Path | None,
    typer.Argument(help="A .toml or .yaml spec; without one, the embedded model's demo."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the spec, as in design.budget=500."
    ),
]


@app.command()
def run(
    spec: SpecFile = None,
    settings: Settings = None,
    out: Annotated[Path, typer.Option(help="Folder to write to; must not exist.")] = Path(
        "runs/demo"
    ),
) -> None:
    """Ablate, decode, prune, export and write a report."""
    from spex_mech import pipeline
    from spex_mech.report import write_report
    from spex_mech.spec import read_spec

    setup = pipeline.prepare(read_spec(spec, settings or []))
    typer.echo(
        f"{setup.model!r}\n{setup.game!r}\n{len(setup.design)} {setup.spec.design.kind} masks"
    )
    result = pipeline.run(setup, out)
    _summary(result)
    typer.echo(f"report: {write_report(result, out)}")


@app.command()
def plan(spec: SpecFile = None, settings: Settings = None) -> None:
    """Print masks, tokens and estimated time of a run, and stop."""
    from spex_mech import pipeline, planning
    from spex_mech.spec import read_spec

    setup = pipeline.prepare(read_spec(spec, settings or []))
    typer.echo(f"{setup.model!r}\n{setup.game!r}\n")
    phases = planning.plan(setup)
    typer.echo(f"{'phase':<18}{'masks':>10}{'tokens':>16}{'time':>12}")
    for phase in phases:
        typer.echo(
            f"{phase.name:<18}{phase.masks:>10,}{phase.tokens:>16,}{_time(phase.seconds):>12}"
        )
    total = sum(p.seconds for p in phases)
    typer.echo(
        f"{'total':<18}{sum(p.masks for p in phases):>10,}"
        f"{sum(p.tokens for p in phases):>16,}{_time(total):>12}"
    )


@app.command()
def tasks() -> None:
    """List the task cards."""
    from spex_mech.cards import load_card, task_names

    width = max(len(name) for name in task_names())
    for name in task_names():
        typer.echo(f"{name:<{width}}  {load_card(name).description}")


@app.command()
def players(
    model: Annotated[str, typer.Argument(help="'embedded', a folder or a hub id.")] = "embedded",
    select: Annotated[str, typer.Argument(help="Such as 'heads:0-3 mlps'.")] = "heads",
) -> None:
    """List the players that a selection gives."""
    from spex_mech.models import load_model
    from spex_mech.players import select_players

    chosen = select_players(load_model(model), select)
    typer.echo(f"{chosen.n} players: {' '.join(chosen.names)}")


def main() -> None:
    """Run the command line; bad input ends it with a message and exit code 2."""
    try:
        app()
    except InputError as error:
        print(f"spex-mech: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(
            "spex-mech: stopped; finished ablations are kept, run again to go on", file=sys.stderr
        )
        sys.exit(130)


def _summary(result: Result) -> None:
    setup = result.setup
    if result.heldout_r2 is not None and setup.check is not None:
        typer.echo(f"faithfulness: R² {result.heldout_r2:.3f} on {len(setup.check)} held-out masks")
    typer.echo(f"strongest interactions ({result.interactions.index}):")
    for members, value in result.interactions.joint(8):
        typer.echo(f"  {value:+.4f}  {setup.players.label(members)}")
    full = result.full["accuracy"]
    typer.echo(f"test accuracy of the full model: {full.mean:.3f} ({full.n} questions)")
    typer.echo("kept models, with ours minus the baseline in brackets (95 % paired interval):")
    for point in result.curve:
        line = f"{point.choice.keep:>6}  {point.choice.method:<16}"
        for name, estimate in point.metrics.items():
            gain = f"({point.gains[name]})" if point.gains else ""
            line += f"{name} {estimate.mean:6.3f} {gain:<27}"
        typer.echo(line.rstrip())
    if result.exported:
        typer.echo(f"pruned model: {result.exported}")


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
