"""``spex-mech tasks`` and ``players``: the tasks and players to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spex_mech.cli.completion import complete_model, complete_task
from spex_mech.cli.options import AsJson
from spex_mech.cli.tables import say, say_json, say_table
from spex_mech.core.errors import InputError

if TYPE_CHECKING:
    from spex_mech.tasks.noise import Noise
    from spex_mech.tasks.sources.source import TaskCard
    from spex_mech.tasks.task import ChoiceTask

_MODELS = "'embedded', 'smollm2', a folder, a GGUF file or a hub id."


def tasks(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A task to show, or a folder of cards of your own to list.",
            autocompletion=complete_task,
        ),
    ] = None,
    noise: Annotated[
        bool,
        typer.Option(
            "--noise", help="Also ask a model, and show how large a difference the task can show."
        ),
    ] = False,
    model: Annotated[str, typer.Option(help=_MODELS, autocompletion=complete_model)] = "embedded",
    data: Annotated[Path | None, typer.Option(help="Folder with the task's data.")] = None,
    shots: Annotated[int, typer.Option(min=0, help="Worked examples before each question.")] = 0,
    chat: Annotated[bool, typer.Option("--chat", help="Use the chat template.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the task cards, or show one task: its splits, a prompt, and its noise."""
    from spex_mech.tasks.cards import cards, load_card, load_task, task_names

    if name is None or (name not in task_names() and Path(name).is_dir()):
        if noise:
            raise InputError("--noise needs a task: spex-mech tasks NAME --noise")
        _list(cards(name), as_json)
        return
    card = load_card(name)
    whole_card = bool(card.groups) and name == card.name and data is None
    task = None
    if card.kind != "game" and not whole_card:
        task = load_task(name, data=data, shots=shots, chat=chat)
    measured = _noise(task, model) if noise and task is not None else {}
    if as_json:
        say_json(_task_json(card, task, measured))
    else:
        _show(card, task, measured)


def players(
    model: Annotated[str, typer.Argument(help=_MODELS, autocompletion=complete_model)] = "embedded",
    select: Annotated[str, typer.Argument(help="Such as 'heads:0-3 mlps'.")] = "heads",
    as_json: AsJson = False,
) -> None:
    """List the players that a selection gives: the parts that are switched off."""
    from spex_mech.core.players import select_players
    from spex_mech.models.outline import read_outline

    chosen = select_players(read_outline(model), select)
    if as_json:
        say_json({"model": model, "select": select, "players": list(chosen.names)})
        return
    say(f"{chosen.n} players: {' '.join(chosen.names)}")


def _list(listed: list[TaskCard], as_json: bool) -> None:
    """Print the cards, each with the groups that may follow its name."""
    if as_json:
        say_json([_card_json(card) for card in listed])
        return
    rows = []
    for card in listed:
        rows.append([card.name, card.description])
        if card.groups:
            groups = ", ".join(card.groups)
            count = len(card.subjects(""))
            rows.append([f"{card.name}/SUBJECT", f"{count} subjects, or a group: {groups}"])
    say_table(["task", "what it asks"], rows, "ll")


def _show(card: TaskCard, task: ChoiceTask | None, measured: dict[str, Noise]) -> None:
    """Print a task's sizes and first prompt, or a card's groups; with a model also its noise."""
    say(card.description)
    if task is None:
        for group, subjects in card.groups.items():
            say(f"\n{group}: {' '.join(subjects)}")
        return
    say(f"{task!r}, metric {task.metric}, {task.scorer}")
    first = task.examples[0]
    typer.echo(f"\n{first.prompt}\n")
    if first.options:
        options = " | ".join(first.options)
        say(f"answers: {options}; right: {first.options[first.answer]}\n")
    for split, found in measured.items():
        say(f"{split:<10} {found}")


def _noise(task: ChoiceTask, model: str) -> dict[str, Noise]:
    from spex_mech.models.loading import load_model
    from spex_mech.run.plan import task_noise

    return task_noise(load_model(model), task)


def _card_json(card: TaskCard) -> dict[str, Any]:
    return {"name": card.name, "description": card.description, "groups": card.groups}


def _task_json(
    card: TaskCard, task: ChoiceTask | None, measured: dict[str, Noise]
) -> dict[str, Any]:
    content = _card_json(card)
    if task is not None:
        splits = [x.split for x in task.examples]
        content |= {
            "metric": task.metric,
            "scorer": task.scorer,
            "questions": {split: splits.count(split) for split in dict.fromkeys(splits)},
            "prompt": task.examples[0].prompt,
            "options": list(task.examples[0].options),
            "right": task.examples[0].answer,
        }
    if measured:
        content["noise"] = {split: vars(found) for split, found in measured.items()}
    return content
