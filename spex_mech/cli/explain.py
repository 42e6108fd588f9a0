"""``spex-mech explain``: evaluate in rounds until the surrogate is faithful enough; or explain a text."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from spex_mech.cli.options import Settings, SpecFile, as_settings
from spex_mech.cli.printing import print_decoded
from spex_mech.core.errors import InputError, MissingFileError

_OUT = Path("runs/explained")
# what the options of --text are when they are not given; others are None
_USUAL = {
    "model": "embedded",
    "level": "sentence",
    "target": [],
    "template": "{text}",
    "chat": False,
}


def explain(
    spec: SpecFile = None,
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help=f"Folder of the run; by default {_OUT}, and none for a text, which is only printed."
        ),
    ] = None,
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
    pair: Annotated[
        str | None,
        typer.Option(
            help="--text: a second text, or @FILE, for models that read pairs (premise, hypothesis)."
        ),
    ] = None,
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
    check: Annotated[
        int | None,
        typer.Option(help="--text: masks held out on top, to measure R²; 40 by default."),
    ] = None,
) -> None:
    """Evaluate and decode in rounds until the spectrum is faithful enough: a model, a game or a text.

    The spec's task may be a synthetic game (games/peak). The folder is one of a run: decode, prune,
    circuit and report go on from it. With --text, the parts of a text are the players, and the options
    marked so apply.
    """
    asked = {
        "text": text,
        "pair": pair,
        "model": model,
        "level": level,
        "target": target or [],
        "value": value,
        "removal": removal,
        "template": template,
        "chat": chat,
        "url": url,
    }
    if text is not None:
        if spec is not None or settings:
            raise InputError("--text has no spec and no --set; leave them out")
        how = {
            "budget": budget,
            "target_r2": target_r2,
            "method": method,
            "check": check,
            "seed": seed,
        }
        _explain_text(asked, {k: v for k, v in how.items() if v is not None}, out, top)
        return
    if alone := [name for name, v in {**asked, "check": check}.items() if v != _USUAL.get(name)]:
        raise InputError(f"--{alone[0]} goes with --text; a spec has --set KEY=VALUE")
    home = out or _OUT
    from spex_mech.run import explain as explaining
    from spex_mech.run.spec import read_spec

    given = as_settings(settings, design__budget=budget, decode__method=method)
    if seed is not None:
        given += as_settings(None, design__seed=seed, decode__seed=seed)
    found, decoded = explaining.explain_folder(read_spec(spec, given), home, target_r2=target_r2)
    for one in found.rounds:
        typer.echo(f"{one.masks:>8} masks  R² {one.r2:.3f} to expect")
    typer.echo(found.message)
    print_decoded(decoded, top, message=False)
    typer.echo(f"written: {home / 'spectrum.json'}, {home / 'interactions.json'}")


def read_source(source: str) -> str:
    """A text as the command line gives it: itself, ``@FILE``, or ``-`` for standard input.

    Raises:
        MissingFileError: a file that is not there.
        InputError: a file that is not UTF-8 text.
    """
    if source == "-":
        return sys.stdin.read()
    if not source.startswith("@"):
        return source
    path = Path(source[1:])
    if not path.is_file():
        raise MissingFileError(f"text file {str(path)!r} does not exist; write --text @FILE")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error.reason}); convert it") from error


def _explain_text(asked: dict[str, Any], how: dict[str, Any], out: Path | None, top: int) -> None:
    """Explain a text and print it; the command is kept as it was asked, for the report."""
    from spex_mech.features import Endpoint, split_text
    from spex_mech.features import text as text_game
    from spex_mech.run.explain_features import explain_features

    given = dict(asked)
    whole, url, target = read_source(given.pop("text")), given.pop("url"), given.pop("target")
    split_text(whole, "word")  # refuses an empty text before a model is loaded
    name, pair = given.pop("model"), given.pop("pair")
    game = text_game(
        name if url is None else Endpoint(name, base_url=url),
        whole,
        pair=None if pair is None else read_source(pair),
        target=target[0] if len(target) == 1 else target or None,
        **{**given, "template": given["template"].replace("\\n", "\n")},
        seed=how.get("seed", 0),
    )
    options = {k: v for k, v in {**asked, **how}.items() if v != _USUAL.get(k)}
    told = explain_features(game, out, **how, command=_command(options))
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = shutil.get_terminal_size().columns if color else 88
    typer.echo(told.summary(width, color=color, top=top))
    if out is not None:
        typer.echo(f"written: {out}; next: spex-mech report {out}")


def _command(options: dict[str, Any]) -> str:
    """The command with these options."""
    line = ["spex-mech", "explain"]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        for one in value if isinstance(value, list) else [value]:
            line += [flag] if one is True else [flag, str(one)]
    return shlex.join(line)
