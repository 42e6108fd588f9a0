"""The command line: ``spex-mech run | plan | status | tasks | players``."""

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
    executor: Annotated[
        str, typer.Option(help="'local' (processes of this machine) or 'ray' (a cluster).")
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Number of workers; by default 1, or all that Ray has room for."),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(help="local: what each worker's GPUs are, as in '0 1' or '0,1 2,3'."),
    ] = None,
    device_map: Annotated[
        str | None, typer.Option(help="'auto': spread the model over a worker's GPUs.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="ray: the cluster, as in 'auto' or HEAD:6379.")
    ] = None,
    cpus: Annotated[float, typer.Option(help="ray: CPUs of a worker.")] = 1,
    gpus: Annotated[
        float | None, typer.Option(help="ray: GPUs of a worker; by default 1 where there are any.")
    ] = None,
) -> None:
    """Ablate, decode, prune, export and write a report."""
    from spex_mech import pipeline
    from spex_mech.executors import LocalExecutor, RayExecutor
    from spex_mech.report import write_report
    from spex_mech.spec import read_spec

    kinds = {
        "local": lambda: LocalExecutor(workers or 1, tuple((devices or "").split()), device_map),
        "ray": lambda: RayExecutor(ray_address, workers, cpus, gpus, device_map=device_map),
    }
    if executor not in kinds:
        raise InputError(f"unknown executor {executor!r}; expected one of {', '.join(kinds)}")
    hands = kinds[executor]()
    setup = pipeline.prepare(read_spec(spec, settings or []))
    typer.echo(
        f"{setup.model!r}\n{setup.game!r}\n{len(setup.design)} {setup.spec.design.kind} masks"
    )
    result = pipeline.run(setup, out, executor=hands)
    _summary(result)
    typer.echo(f"report: {write_report(result, out)}")


@app.command()
def plan(
    spec: SpecFile = None,
    settings: Settings = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Also estimate the time with so many workers.")
    ] = 4,
) -> None:
    """Print masks, tokens, bytes and estimated time of a run, and stop."""
    from spex_mech import pipeline, planning
    from spex_mech.spec import read_spec

    setup = pipeline.prepare(read_spec(spec, settings or []))
    typer.echo(f"{setup.model!r}\n{setup.game!r}\n")
    phases = planning.plan(setup)
    typer.echo(f"{'phase':<18}{'stored':>10}{'masks':>10}{'tokens':>16}{'time':>12}")
    for phase in phases:
        typer.echo(
            f"{phase.name:<18}{_size(phase.size):>10}{phase.masks:>10,}{phase.tokens:>16,}"
            f"{_time(phase.seconds):>12}"
        )
    total = sum(p.seconds for p in phases)
    typer.echo(
        f"{'total':<18}{_size(sum(p.size for p in phases)):>10}{sum(p.masks for p in phases):>10,}"
        f"{sum(p.tokens for p in phases):>16,}{_time(total):>12}"
    )
    shared = sum(p.seconds_with(workers) for p in phases)
    typer.echo(
        f"with 1 worker: {_time(total)}; with {workers} workers like this one: {_time(shared)}"
    )


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(help="A run's folder, or one store of it.")] = Path(
        "runs/demo"
    ),
) -> None:
    """Print how far a run is, without disturbing it."""
    from spex_mech.status import run_status

    for store in run_status(folder):
        rate = "" if store.rate is None else f", {store.rate:.3g} masks/s"
        left = "" if not store.seconds_left else f", about {_time(store.seconds_left)} left"
        last = "" if store.last is None else f", last shard {_time(store.last)} ago"
        typer.echo(
            f"{store.folder}: {store.writer}\n"
            f"  {store.stored:,} masks stored in {store.shards} shards ({_size(store.size)})\n"
            f"  {store.done:,} of {store.wanted:,} masks of the last evaluation "
            f"({store.executor}){rate}{left}{last}"
        )
        if store.noise_floor is not None:
            typer.echo(f"  scores differ by up to {store.noise_floor:.2g} with the batch")
        for name in store.lost:
            typer.echo(f"  damaged or missing: {name}")


@app.command()
def tasks(
    name: Annotated[
        str | None,
        typer.Argument(help="A task to show, or a folder of cards of your own to list."),
    ] = None,
    noise: Annotated[
        bool, typer.Option("--noise", help="Ask a model, and show what the task can tell.")
    ] = False,
    model: Annotated[str, typer.Option(help="'embedded', a folder or a hub id.")] = "embedded",
    data: Annotated[Path | None, typer.Option(help="Folder with the task's data.")] = None,
    shots: Annotated[int, typer.Option(help="Worked examples before each question.")] = 0,
    chat: Annotated[bool, typer.Option("--chat", help="Use the chat template.")] = False,
) -> None:
    """List the task cards, or show one task: its splits, a prompt, and its noise."""
    from spex_mech.cards import cards, task_names

    if name is not None and (name in task_names() or not Path(name).is_dir()):
        _show_task(name, model if noise else None, data, shots, chat)
        return
    if noise:
        raise InputError("--noise needs a task: spex-mech tasks NAME --noise")
    found = cards(name)
    width = max((len(card.name) for card in found), default=0)
    for card in found:
        typer.echo(f"{card.name:<{width}}  {card.description}")
        if card.groups:
            groups = ", ".join(card.groups)
            subjects = len(card.subjects(""))
            typer.echo(f"{'':<{width}}  {card.name}/SUBJECT ({subjects}), or a group: {groups}")


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


def _show_task(name: str, model: str | None, data: Path | None, shots: int, chat: bool) -> None:
    """A task's sizes and first prompt; with a model also what differences it can show."""
    from spex_mech.cards import load_card, load_task

    card = load_card(name)
    typer.echo(card.description)
    if card.kind == "game":
        return
    if card.groups and name == card.name and data is None:
        for group, subjects in card.groups.items():
            typer.echo(f"\n{group}: {' '.join(subjects)}")
        return
    task = load_task(name, data=data, shots=shots, chat=chat)
    typer.echo(f"{task!r}, metric {task.metric}, {task.scorer}\n\n{task.examples[0].prompt}\n")
    if model is not None:
        from spex_mech.models import load_model
        from spex_mech.noise import task_noise

        for split, noise in task_noise(load_model(model), task).items():
            typer.echo(f"{split:<10} {noise}")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
