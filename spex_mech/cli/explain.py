"""``spex-mech explain``: a game or a model in rounds until the surrogate is good enough, or a text."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from spex_mech.cli.examples import examples_of
from spex_mech.cli.options import Settings, SpecFile, as_settings, finite, seed_option
from spex_mech.cli.printing import print_decoded
from spex_mech.cli.tables import say, say_table
from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.text_files import read_text


class _ExplainGroup(TyperGroup):
    """Inserts the sub-command where it is left out: ``text`` where ``--text`` is given, else ``game``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, "--help"):
            text = any(arg.split("=")[0] == "--text" for arg in args)
            args = ["text" if text else "game", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ExplainGroup,
    rich_markup_mode=None,
    help="Evaluate and decode until the spectrum is faithful enough: a model or a game, or a text.\n\n"
    "Without game or text, it is text where --text is given and else game.",
)


def _target(value: float | None) -> float | None:
    """Refuse what no R² can reach."""
    if finite(value) is not None and not 0 < (value or 0) <= 1:
        raise InputError(f"target_r2 is {value}, expected a number above 0 and at most 1")
    return value


TargetR2 = Annotated[
    float | None,
    typer.Option(
        callback=_target,
        help="Stop at this R² on masks held out; by default spend the whole budget.",
    ),
]
BudgetOption = Annotated[int | None, typer.Option(min=2, help="Most masks to spend.")]
MethodOption = Annotated[str | None, typer.Option(help="Decoder, as in decode.")]
Seed = Annotated[int | None, seed_option("masks and decoder")]
Top = Annotated[int, typer.Option(min=1, help="Interactions to print.")]


@app.command(epilog=examples_of("explain game"))
def game(
    spec: SpecFile = None,
    settings: Settings = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/explained"),
    target_r2: TargetR2 = None,
    budget: BudgetOption = None,
    method: MethodOption = None,
    seed: Seed = None,
    top: Top = 8,
) -> None:
    """Evaluate and decode in rounds until the spectrum is faithful enough.

    The spec's task may be a synthetic game (games/peak). The folder is that of a run: decode, prune,
    circuit and report continue from it.
    """
    from spex_mech.run.explain import explain_folder
    from spex_mech.run.spec_file import read_spec

    changes = as_settings(settings, design__budget=budget, decode__method=method)
    if seed is not None:
        changes += as_settings(None, design__seed=seed, decode__seed=seed)
    explanation, decoded = explain_folder(read_spec(spec, changes), out, target_r2=target_r2)
    rows = [
        [
            str(step.masks),
            str(step.rows),
            f"{step.r2:.3f}",
            "expected, by cross-validation" if step.held_out is None else "on masks held out",
        ]
        for step in explanation.rounds
    ]
    say_table(["masks", "answers", "R²", ""], rows, "rrrl")
    say(explanation.message)
    print_decoded(decoded, top, message=False)
    typer.echo(f"written: {out / 'spectrum.json'}, {out / 'interactions.json'}")


@app.command(
    help="Explain a text: its words, sentences or other parts are the players.",
    epilog=examples_of("explain text"),
)
def text(
    context: typer.Context,
    text: Annotated[str, typer.Option(help="The text, @FILE, or - for standard input.")],
    model: Annotated[
        str,
        typer.Option(
            help="'embedded', 'smollm2', a folder, a GGUF file, a hub id, or with --url the name there."
        ),
    ] = "embedded",
    pair: Annotated[
        str | None,
        typer.Option(
            help="A second text, or @FILE, for models that read pairs (premise, hypothesis)."
        ),
    ] = None,
    level: Annotated[str, typer.Option(help="token, word, sentence or paragraph.")] = "sentence",
    target: Annotated[
        list[str] | None,
        typer.Option(help="A class, or an answer; several are compared, the first is asked about."),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(help="logit, margin, logprob, logodds, probability or similarity."),
    ] = None,
    removal: Annotated[str | None, typer.Option(help="delete, mask, unknown or filler.")] = None,
    template: Annotated[
        str, typer.Option(help="What stands around the text, as in '{text}\\nAnswer:'.")
    ] = "{text}",
    chat: Annotated[bool, typer.Option("--chat", help="Use the chat template.")] = False,
    url: Annotated[
        str | None,
        typer.Option(
            help="An OpenAI-compatible endpoint's address; its key is read from OPENAI_API_KEY."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; by default none, and it is only printed."),
    ] = None,
    target_r2: TargetR2 = None,
    budget: BudgetOption = None,
    method: MethodOption = None,
    check: Annotated[
        int | None,
        typer.Option(min=0, help="Masks held out on top, to measure R²; 40 by default."),
    ] = None,
    seed: Seed = None,
    top: Top = 8,
) -> None:
    """Explain a text; one parameter per option, since the options of a command are its interface."""
    from spex_mech.decoders.decode import decoder
    from spex_mech.features import Chat, Endpoint, ExplainOptions, Removal, TextPair, split_text
    from spex_mech.features import text as text_game
    from spex_mech.features.wording import stand_ins
    from spex_mech.run.explain_features import explain_features

    decoder(method or "auto")  # refused before a model is loaded, as is what follows
    endpoint = None if url is None else Endpoint(model, base_url=url)
    if endpoint is not None:
        context.params["url"] = endpoint.base_url  # without credentials, which no file may hold
    command = _command(context)
    whole = read_source(text)
    spans = split_text(whole, "word" if level == "token" else level)
    removed = Removal(removal, seed=seed or 0)
    stand_ins(removed, [whole[span.start : span.stop] for span in spans])
    around = template.replace("\\n", "\n")
    answers = target or []
    explained_game = text_game(
        endpoint or model,
        whole if pair is None else TextPair(whole, read_source(pair)),
        level=level,
        target=answers[0] if len(answers) == 1 else answers or None,
        value=value,
        template=Chat(around) if chat else around,
        removal=removed,
    )
    explained = explain_features(
        explained_game,
        out,
        budget=budget,
        target_r2=target_r2,
        method=method or "auto",
        seed=seed or 0,
        options=ExplainOptions(check=40 if check is None else check, command=command),
    )
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = shutil.get_terminal_size().columns if color else 88
    typer.echo(explained.summary(width, color=color, top=top))
    if out is None:
        typer.echo("nothing is kept; with --out FOLDER, spex-mech report FOLDER makes a page of it")
    else:
        typer.echo(f"written: {out}; next: spex-mech report {out}")


def read_source(source: str) -> str:
    """A text as the command line gives it: itself, ``@FILE``, or ``-`` for standard input.

    Raises:
        MissingFileError: a file that does not exist.
        InputError: a file that is not UTF-8 text.
    """
    if source == "-":
        return sys.stdin.read()
    if not source.startswith("@"):
        return source
    path = Path(source[1:])
    if not path.is_file():
        raise MissingFileError(f"text file {str(path)!r} does not exist; write --text @FILE")
    return read_text(path)


def _command(context: typer.Context) -> str:
    """The command line with the options that differ from their defaults, for the report."""
    line = ["spex-mech", "explain", "text"]
    for option in context.command.params:
        value = context.params.get(option.name)
        if option.name in ("out", "top") or value in (None, [], option.default):
            continue
        flag = option.opts[0]
        for item in value if isinstance(value, (list, tuple)) else [value]:
            line += [flag] if item is True else [flag, str(item)]
    return shlex.join(line)
