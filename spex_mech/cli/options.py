"""Options that several commands have, under the same names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from spex_mech.cli.completion import complete_run
from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted
from spex_mech.core.seeds import MOST_SEED


def finite(value: float | None) -> float | None:
    """Refuse NaN and infinity, which Typer reads as numbers."""
    if value is not None and not isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


def seed_option(of: str) -> Any:
    """The option of a seed of something."""
    return typer.Option(min=0, max=MOST_SEED, help=f"Seed of {of}.")


def _devices(value: str | None) -> str | None:
    """Refuse what names no GPUs."""
    wrong = [x for x in (value or "").replace(",", " ").split() if not _DEVICE.fullmatch(x)]
    if wrong:
        raise typer.BadParameter(
            f"{quoted(wrong[0])} is no GPU; write their numbers, as in '0 1' or '0,1 2,3'."
        )
    return value


_DEVICE = re.compile(r"[0-9]{1,4}|(GPU|MIG)-[0-9A-Za-z/-]+")

SpecFile = Annotated[
    Path | None,
    typer.Argument(help="A .toml or .yaml spec; without one, the embedded model's demo."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change any key of the spec, as in design.seed=1."
    ),
]
Positions = Annotated[
    str | None, typer.Option(help="Of a store: only these questions, as in '0-29,40'.")
]
RunPath = Annotated[
    Path,
    typer.Argument(
        help="The folder that spex-mech evaluate or run wrote.",
        show_default=True,
        autocompletion=complete_run,
    ),
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        help="Folder to write to; by default runs/demo, runs/SPEC or runs/MODEL-TASK.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs, and nothing else.")]
KeptSizes = Annotated[
    list[float] | None,
    typer.Option(
        "--keep", help="Players to keep, a number or a share such as 0.5; once for every size."
    ),
]
KeptSize = Annotated[
    float | None,
    typer.Option(
        "--keep",
        help="Which size, a number or a share such as 0.5; by default the one to be exported, or else the "
        "smallest.",
    ),
]


def executor_of(
    executor: Annotated[
        str, typer.Option(help="'local' (processes of this machine) or 'ray' (a cluster).")
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            help="Number of workers; by default 1, or one per entry of --devices; with Ray, all that "
            "the cluster has room for.",
        ),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(
            callback=_devices, help="local: the GPUs of each worker, as in '0 1' or '0,1 2,3'."
        ),
    ] = None,
    device_map: Annotated[
        str | None, typer.Option(help="'auto': spread the model over a worker's GPUs.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="ray: the cluster, as in 'auto' or HEAD:6379.")
    ] = None,
    batch_seconds: Annotated[
        float | None,
        typer.Option(
            callback=finite, help="Time limit of a batch: a worker that takes longer is replaced."
        ),
    ] = None,
    cpus: Annotated[float, typer.Option(min=0, callback=finite, help="ray: CPUs per worker.")] = 1,
    gpus: Annotated[
        float | None,
        typer.Option(
            min=0,
            callback=finite,
            help="ray: GPUs per worker; by default 1 where the cluster has any.",
        ),
    ] = None,
) -> Any:  # an `Executor`; Typer evaluates annotations, and that import is slow
    """The executor that these options describe; see `ExecutorCommand`.

    Raises:
        InputError: an unknown executor, or options that it refuses.
    """
    from spex_mech.evaluation.executors import LocalExecutor, RayExecutor

    kinds = {
        "local": lambda: LocalExecutor(
            workers or 1,
            tuple((devices or "").split()),
            device_map,
            batch_seconds=batch_seconds,
        ),
        "ray": lambda: RayExecutor(
            ray_address, workers, cpus, gpus, device_map=device_map, batch_seconds=batch_seconds
        ),
    }
    if executor not in kinds:
        raise InputError(f"unknown executor {quoted(executor)}; expected one of {', '.join(kinds)}")
    return kinds[executor]()


class ExecutorCommand(TyperCommand):
    """A command with the options of `executor_of` besides its own; ``context.obj`` is the executor."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **kwargs: Any) -> None:
        self._shared = parameters_of(executor_of)
        super().__init__(*args, params=[*(params or []), *self._shared], **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command with its own options, after making the executor of the shared ones."""
        ctx.obj = executor_of(**{str(p.name): ctx.params.pop(p.name) for p in self._shared})
        return super().invoke(ctx)


def parameters_of(function: Callable[..., Any]) -> list[Any]:
    """The arguments and options that Typer reads off a function, for commands that share them."""
    alone = typer.Typer(add_completion=False)
    alone.command()(function)
    return typer.main.get_command(alone).params


def as_settings(settings: list[str] | None, **options: Any) -> list[str]:
    """``--set`` settings and a command's short options, all as ``key=value``; an option of None is left out.

    Args:
        settings: the values of ``--set``.
        **options: key of the spec, with ``__`` for the dot, to value.
    """
    short = [f"{k.replace('__', '.')}={_toml(v)}" for k, v in options.items() if v is not None]
    return [*(settings or []), *short]


def whole(number: float | None) -> int | float | None:
    """16.0 as 16; shares stay as they are."""
    return int(number) if number is not None and number.is_integer() and number >= 1 else number


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, str):
        return value if value in ("none", "null") else json.dumps(value)
    return str(value)
