"""Task cards: small TOML files that say where a task's questions are and how they are asked."""

from __future__ import annotations

import difflib
from pathlib import Path

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.quoting import quoted
from spex_mech.tasks.building import Asking, build
from spex_mech.tasks.card_files import read_card
from spex_mech.tasks.generated import partner_rules
from spex_mech.tasks.own_tables import table_card
from spex_mech.tasks.partners import RULES
from spex_mech.tasks.sources import SOURCES
from spex_mech.tasks.sources.source import TaskCard, TaskRequest
from spex_mech.tasks.synthetic import SyntheticGame, plant
from spex_mech.tasks.tables import ENDINGS
from spex_mech.tasks.task import ChoiceTask

_PACKAGE = Path(__file__).parents[1]
_CUTS = ("seeded", "published")


def load_task(
    name: str | Path,
    *,
    data: str | Path | None = None,
    shots: int = 0,
    seed: int = 0,
    cut: str = "seeded",
    chat: bool | str | None = None,
    form: str | None = None,
    partner: str | None = None,
) -> ChoiceTask:
    """Load a task by the name of its card, such as ``"mmlu/high_school_us_history"``.

    Args:
        name: a name that `task_names` lists; the path of a card of your own, with or without
            ``.toml`` (``"my/tasks/history"``); or a table of questions, see `table_card`. A card with
            groups is loaded whole (``"mmlu"``), by group (``"mmlu/stem"``) or by subject.
        data: folder with the dataset's files, or the file of a card with ``data``; default the hub at
            the card's revision, or the card's own file.
        shots: worked examples before each question, the first of the card's ``shots_from`` part in
            order (of each subject its own).
        seed: seed of the splits, where the card's data decides none.
        cut: ``seeded``: the card's part, half to search, a tenth to validation, the rest to test;
            ``published``: the parts and the number of search questions of the card's ``published``
            table (MMLU: ProxySPEX's 120 of all of a subject's questions; the other 111 of
            high_school_us_history to test), chosen by ``seed``.
        chat: True or ``"turns"`` to put prompts through the chat template of the model's tokenizer as
            lm-evaluation-harness does by default, ``"single"`` with all shots in one message.
        form: answer form in place of the card's; see `ChoiceTask`.
        partner: how the corrupted partners of counterfactual ablation are made, in place of the card's rule:
            ``options`` or ``another`` (see `partners`), or what the card's generator knows (see `generated`).

    Raises:
        InputError: no such task (similar names are offered), a broken card, a broken row (file and row
            are named), more shots than the card has, or an option that this card does not have.
        MissingFileError: a card or data that is not there, or no network; says what to put where.
    """
    card, member = _find(str(name), form)
    source = next(source for source in SOURCES if source.name == card.kind)
    if source.pools is None:
        raise InputError(
            f"{card.name!r} is a synthetic game and has no questions; load it with load_game"
        )
    if cut not in _CUTS:
        raise InputError(f"unknown cut {quoted(cut)}; expected one of {', '.join(_CUTS)}")
    request = TaskRequest(
        data=None if data is None else Path(data),
        shots=shots,
        seed=seed,
        cut=cut,
        chat="turns" if chat is True else chat or None,
        form=form,
        partner=partner or card.values.get("partner"),
    )
    _check_partner(card, request.partner)
    pools = source.pools(card, member, request)
    values = card.values
    asking = Asking(
        name=f"{card.name}/{member}" if member else card.name,
        version=values["version"],
        template=values.get("template", "{text}"),
        intro=values.get("intro", ""),
        metric=values["metric"],
        form=request.form or values.get("form", "letters"),
        shots=request.shots,
        seed=request.seed,
        chat=request.chat,
        partner=request.partner,
    )
    return build(asking, pools)


def _check_partner(card: TaskCard, rule: str | None) -> None:
    """Refuse a rule for partners that neither every card nor this one's generator knows."""
    known = (*partner_rules(card.values.get("generator", "")), *RULES)
    if rule is not None and rule not in known:
        raise InputError(
            f"task {card.name!r} has no partners {quoted(rule)}; expected one of {', '.join(known)}"
        )


def load_game(name: str | Path) -> SyntheticGame:
    """Load a synthetic game by the name of its card, such as ``"games/peak"``.

    Returns:
        A value function with its true ``spectrum``; `evaluate` takes it as it is.

    Raises:
        InputError: no such card, or one with questions.
    """
    card, _ = _find(str(name))
    if card.kind != "game":
        raise InputError(f"{card.name!r} has questions; load it with load_task")
    values = card.values
    spectrum = plant(
        players=values["players"],
        sets=values["sets"],
        degrees=tuple(values["degrees"]),
        hierarchy=values.get("hierarchy", False),
        seed=values.get("seed", 0),
    )
    return SyntheticGame(card.name, spectrum)


def load_card(name: str | Path) -> TaskCard:
    """Read and check the card of a task; see `load_task`."""
    return _find(str(name))[0]


def cards(folder: str | Path | None = None) -> list[TaskCard]:
    """All cards that come with the library, or those of a folder, by name.

    Raises:
        InputError: a broken card.
        MissingFileError: a folder that is not there.
    """
    root = _folder() if folder is None else Path(folder)
    if not root.is_dir():
        raise MissingFileError(f"task folder {str(root)!r} does not exist; give a folder of cards")
    names = sorted(p.relative_to(root).with_suffix("").as_posix() for p in root.rglob("*.toml"))
    return [_read(root / f"{name}.toml", name) for name in names]


def task_names(folder: str | Path | None = None) -> list[str]:
    """Names of the tasks that come with the library (or of a folder's), groups and subjects too."""
    return [
        name
        for card in cards(folder)
        for name in (card.name, *(f"{card.name}/{member}" for member in card.members))
    ]


def _find(name: str, form: str | None = None) -> tuple[TaskCard, str]:
    """The card of a name, and the group or subject asked for."""
    path = Path(name)
    if path.suffix in ENDINGS:
        return table_card(path, form), ""
    if path.suffix == ".toml":
        return _read(path, path.stem), ""
    with_ending = path.parent / f"{path.name}.toml"
    if path.name and with_ending.is_file():
        return _read(with_ending, path.name), ""
    for card in cards():
        if name == card.name:
            return card, ""
        member = name.removeprefix(card.name + "/")
        if member != name and member in card.members:
            return card, member
    near = difflib.get_close_matches(name[:100], task_names(), n=3, cutoff=0.3)
    raise InputError(
        f"unknown task {quoted(name)}; did you mean {' or '.join(near or [c.name for c in cards()])}?"
    )


def _folder() -> Path:
    """Where the cards are: inside an installed package, or beside the package in a checkout."""
    installed = _PACKAGE / "_tasks"
    return installed if installed.is_dir() else _PACKAGE.parent / "tasks"


def _read(path: Path, name: str) -> TaskCard:
    kind, values = read_card(path)
    return TaskCard(name, path, kind, values)
