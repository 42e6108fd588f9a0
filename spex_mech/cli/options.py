"""Options that several commands have, under the same names."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from spex_mech.core.errors import InputError

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
RunPath = Annotated[
    Path, typer.Argument(help="The folder that spex-mech evaluate or run wrote.", show_default=True)
]
Out = Annotated[Path, typer.Option(help="Folder to write to.")]

_EXECUTOR: dict[str, Any] = {
    "executor": (
        Annotated[
            str, typer.Option(help="'local' (processes of this machine) or 'ray' (a cluster).")
        ],
        "local",
    ),
    "workers": (
        Annotated[
            int | None,
            typer.Option(
                min=1, help="Number of workers; by default 1, or all that Ray has room for."
            ),
        ],
        None,
    ),
    "devices": (
        Annotated[
            str | None,
            typer.Option(help="local: what each worker's GPUs are, as in '0 1' or '0,1 2,3'."),
        ],
        None,
    ),
    "device_map": (
        Annotated[str | None, typer.Option(help="'auto': spread the model over a worker's GPUs.")],
        None,
    ),
    "ray_address": (
        Annotated[str | None, typer.Option(help="ray: the cluster, as in 'auto' or HEAD:6379.")],
        None,
    ),
    "cpus": (Annotated[float, typer.Option(help="ray: CPUs of a worker.")], 1),
    "gpus": (
        Annotated[
            float | None,
            typer.Option(help="ray: GPUs of a worker; by default 1 where there are any."),
        ],
        None,
    ),
}


def with_executor(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the executor's options; it gets the executor as ``hands``."""

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        own = {k: v for k, v in given.items() if k not in _EXECUTOR}
        command(**own, hands=_executor(**{k: given[k] for k in _EXECUTOR}))

    mine = [
        p
        for p in inspect.signature(command, eval_str=True).parameters.values()
        if p.name != "hands"
    ]
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
        )
        for name, (annotation, default) in _EXECUTOR.items()
    ]
    parameters = [*(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in mine), *shared]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    del wrapped.__wrapped__  # type: ignore[attr-defined]
    return wrapped


def chosen(settings: list[str] | None, **options: Any) -> list[str]:
    """``--set`` settings and the short options of a command, as settings; None is not given.

    Args:
        settings: what ``--set`` gave.
        **options: key of the spec, with ``__`` for the dot, to value.
    """
    short = [f"{k.replace('__', '.')}={_toml(v)}" for k, v in options.items() if v is not None]
    return [*(settings or []), *short]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, str):
        return value if value in ("none", "null") else json.dumps(value)
    return str(value)


def _executor(
    executor: str,
    workers: int | None,
    devices: str | None,
    device_map: str | None,
    ray_address: str | None,
    cpus: float,
    gpus: float | None,
) -> Any:
    from spex_mech.evaluation.executors import LocalExecutor, RayExecutor

    kinds = {
        "local": lambda: LocalExecutor(workers or 1, tuple((devices or "").split()), device_map),
        "ray": lambda: RayExecutor(ray_address, workers, cpus, gpus, device_map=device_map),
    }
    if executor not in kinds:
        raise InputError(f"unknown executor {executor!r}; expected one of {', '.join(kinds)}")
    return kinds[executor]()
