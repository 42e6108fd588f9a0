"""``spex-mech tasks`` and ``players``: the tasks and players to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spex_mech.core.errors import InputError


def tasks(
    name: Annotated[
        str | None,
        typer.Argument(help="A task to show, or a folder of cards of your own to list."),
    ] = None,
    noise: Annotated[
        bool,
        typer.Option(
            "--noise", help="Also ask a model, and show how large a difference the task can show."
        ),
    ] = False,
    model: Annotated[
        str, typer.Option(help="'embedded', 'smollm2', a folder, a GGUF file or a hub id.")
    ] = "embedded",
    data: Annotated[Path | None, typer.Option(help="Folder with the task's data.")] = None,
    shots: Annotated[int, typer.Option(min=0, help="Worked examples before each question.")] = 0,
    chat: Annotated[bool, typer.Option("--chat", help="Use the chat template.")] = False,
) -> None:
    """List the task cards, or show one task: its splits, a prompt, and its noise."""
    from spex_mech.tasks.cards import cards, task_names

    if name is not None and (name in task_names() or not Path(name).is_dir()):
        _show_task(name, model if noise else None, data, shots, chat)
        return
    if noise:
        raise InputError("--noise needs a task: spex-mech tasks NAME --noise")
    listed = cards(name)
    width = max((len(card.name) for card in listed), default=0)
    for card in listed:
        typer.echo(f"{card.name:<{width}}  {card.description}")
        if card.groups:
            groups = ", ".join(card.groups)
            subjects = len(card.subjects(""))
            typer.echo(f"{'':<{width}}  {card.name}/SUBJECT ({subjects}), or a group: {groups}")


def players(
    model: Annotated[
        str, typer.Argument(help="'embedded', 'smollm2', a folder, a GGUF file or a hub id.")
    ] = "embedded",
    select: Annotated[str, typer.Argument(help="Such as 'heads:0-3 mlps'.")] = "heads",
) -> None:
    """List the players that a selection gives."""
    from spex_mech.core.players import select_players
    from spex_mech.models.outline import read_outline

    chosen = select_players(read_outline(model), select)
    typer.echo(f"{chosen.n} players: {' '.join(chosen.names)}")


def _show_task(name: str, model: str | None, data: Path | None, shots: int, chat: bool) -> None:
    """Print a task's sizes and first prompt; with a model also the differences that it can show."""
    from spex_mech.tasks.cards import load_card, load_task

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
        from spex_mech.models.loading import load_model
        from spex_mech.run.plan import task_noise

        for split, noise in task_noise(load_model(model), task).items():
            typer.echo(f"{split:<10} {noise}")
