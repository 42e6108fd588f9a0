"""``spex-mech explain``: evaluate in rounds until the surrogate is as faithful as asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spex_mech.cli import words
from spex_mech.cli.options import Out, Settings, SpecFile, chosen


def explain(
    spec: SpecFile = None,
    settings: Settings = None,
    out: Out = Path("runs/explained"),
    target_r2: Annotated[
        float | None,
        typer.Option(help="Stop at this cross-validated R²; by default spend the whole budget."),
    ] = None,
    budget: Annotated[int | None, typer.Option(min=2, help="Most masks to spend.")] = None,
    method: Annotated[str | None, typer.Option(help="Decoder, as in decode.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of masks and decoder.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Interactions to print.")] = 8,
) -> None:
    """Evaluate and decode in rounds until the spectrum is faithful enough, a model's or a game's.

    The spec's task may be a synthetic game (games/peak). The folder is one of a run: decode, prune,
    circuit and report go on from it.
    """
    from spex_mech import explaining
    from spex_mech.spec import read_spec

    given = chosen(settings, design__budget=budget, decode__method=method)
    if seed is not None:
        given += chosen(None, design__seed=seed, decode__seed=seed)
    asked = read_spec(spec, given)
    found, decoded = explaining.explain_folder(asked, out, target_r2=target_r2)
    for one in found.rounds:
        typer.echo(f"{one.masks:>8} masks  R² {one.r2:.3f} to expect")
    typer.echo(found.message)
    words.decoded(decoded, top, told=True)
    typer.echo(f"written: {out / 'spectrum.json'}, {out / 'interactions.json'}")
