"""``spex-mech explain``: evaluate in rounds until the surrogate is faithful enough; or explain a text."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from spex_mech.cli import words
from spex_mech.cli.options import Out, Settings, SpecFile, chosen
from spex_mech.errors import InputError


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
    text: Annotated[
        str | None,
        typer.Option(help="Explain a text: the text, @FILE, or - for standard input."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="--text: 'embedded', a folder, a hub id, or with --url the name there."),
    ] = "embedded",
    level: Annotated[
        str, typer.Option(help="--text: token, word, sentence or paragraph.")
    ] = "sentence",
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="--text: a class, or an answer; several are compared, the first is asked about."
        ),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(help="--text: logit, margin, logprob, logodds, probability or similarity."),
    ] = None,
    removal: Annotated[
        str | None, typer.Option(help="--text: delete, mask, unknown or filler.")
    ] = None,
    template: Annotated[
        str, typer.Option(help="--text: what stands around it, as in '{text}\\nAnswer:'.")
    ] = "{text}",
    chat: Annotated[bool, typer.Option("--chat", help="--text: use the chat template.")] = False,
    url: Annotated[
        str | None, typer.Option(help="--text: an OpenAI-compatible endpoint's address.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="--text: folder that keeps the evaluations.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="--text: HTML page to write; must not exist.")
    ] = None,
) -> None:
    """Evaluate and decode in rounds until the spectrum is faithful enough: a model, a game or a text.

    The spec's task may be a synthetic game (games/peak). The folder is one of a run: decode, prune,
    circuit and report go on from it. With --text, the parts of a text are the players, and the options
    marked so apply.
    """
    if text is not None:
        from spex_mech.features import explain_text

        if spec is not None or settings:
            raise InputError("--text has no spec and no --set; leave them out")
        told = explain_text(
            text,
            model,
            level=level,
            target=target or (),
            value=value,
            removal=removal,
            template=template,
            chat=chat,
            url=url,
            budget=budget,
            target_r2=target_r2,
            top=top,
            method=method or "auto",
            store=store,
            out=page,
            seed=seed or 0,
        )
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        typer.echo(told.summary(shutil.get_terminal_size().columns if color else 88, color=color))
        if page is not None:
            typer.echo(f"page: {page}")
        return
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
