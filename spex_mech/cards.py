"""Task cards: small TOML files that say where a task's questions are and how they are asked."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spex_mech.compat import tomllib
from spex_mech.errors import InputError, MissingFileError
from spex_mech.task import SPLITS, ChoiceTask, Example

_PACKAGE = Path(__file__).parent
_REQUIRED = {"version", "description", "data", "template", "options", "metric"}
_FIELDS = {"id", "split", "passage", "question", "choices", "answer"}


@dataclass(frozen=True)
class Card:
    """One task card, checked.

    Attributes:
        name: path of the card below the tasks folder, without ending: ``embedded/people``.
        path: the card's file; ``data`` is read relative to it.
        version: grows whenever data, template or scorer change.
        description: one line.
        data: JSON Lines file of questions.
        template: the prompt, with ``{passage}``, ``{question}`` and the options' letters as fields.
        options: what the model may answer, in order.
        metric: default metric.
    """

    name: str
    path: Path
    version: int
    description: str
    data: str
    template: str
    options: tuple[str, ...]
    metric: str

    def load(self) -> ChoiceTask:
        """Read the card's questions.

        Raises:
            MissingFileError: the data file is not there.
            InputError: a broken row; names file and row.
        """
        file = self.path.parent / self.data
        if not file.is_file():
            raise MissingFileError(f"task {self.name!r} has no data file {file}; restore it")
        lines = file.read_text(encoding="utf-8").splitlines()
        examples = tuple(self._example(f"{file.name}, row {i}", x) for i, x in enumerate(lines, 1))
        twice = [name for name, count in Counter(x.id for x in examples).items() if count > 1]
        if twice:
            raise InputError(
                f"{file.name} has questions with the same id: {twice[:3]}; make ids unique"
            )
        return ChoiceTask(
            self.name, self.version, examples, metric=self.metric, chance=1 / len(self.options)
        )

    def _example(self, where: str, line: str) -> Example:
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{where} is not JSON ({error}); expected one object a line") from None
        if not isinstance(row, dict) or not _FIELDS <= row.keys():
            raise InputError(f"{where} lacks some of {sorted(_FIELDS)}")
        choices, answer, split = row["choices"], row["answer"], row["split"]
        if len(choices) != len(self.options) or answer not in range(len(choices)):
            raise InputError(
                f"{where} has {len(choices)} choices and answer {answer!r}; expected "
                f"{len(self.options)} choices and an answer from 0 to {len(self.options) - 1}"
            )
        if split not in SPLITS:
            raise InputError(f"{where} has split {split!r}; expected one of {list(SPLITS)}")
        passage = row["passage"] + "\n" if row["passage"] else ""
        fields = dict(zip(self.options, choices, strict=True))
        prompt = self.template.format(passage=passage, question=row["question"], **fields)
        return Example(row["id"], prompt, answer, self.options, split)


def load_task(name: str) -> ChoiceTask:
    """Load a task by the name of its card, such as ``"embedded/people"``.

    Args:
        name: a name that `task_names` lists, or the path of a card file of your own (``*.toml``).

    Raises:
        InputError: no such task (near names are offered), or a broken card.
        MissingFileError: a card file or its data that is not there.
    """
    return load_card(name).load()


def load_card(name: str) -> Card:
    """Read and check the card of a task; see `load_task`."""
    own = Path(name)
    if own.suffix == ".toml":
        if not own.is_file():
            raise MissingFileError(
                f"task card {name!r} does not exist; give a card file or a task name"
            )
        return _read(own, own.stem)
    if name not in task_names():
        near = difflib.get_close_matches(name, task_names(), n=3, cutoff=0.3) or task_names()
        raise InputError(f"unknown task {name!r}; did you mean {' or '.join(near)}?")
    return _read(_folder() / f"{name}.toml", name)


def task_names() -> list[str]:
    """Names of the tasks that come with the library."""
    root = _folder()
    return sorted(p.relative_to(root).with_suffix("").as_posix() for p in root.rglob("*.toml"))


def _folder() -> Path:
    """Where the cards are: inside an installed package, or beside the package in a checkout."""
    installed = _PACKAGE / "_tasks"
    return installed if installed.is_dir() else _PACKAGE.parent / "tasks"


def _read(path: Path, name: str) -> Card:
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"task card {path} is not TOML: {error}") from None
    missing, unknown = _REQUIRED - raw.keys(), raw.keys() - _REQUIRED
    if missing or unknown:
        raise InputError(
            f"task card {path} lacks {sorted(missing)} and has unknown keys {sorted(unknown)}; "
            f"a card has exactly {sorted(_REQUIRED)}"
        )
    raw["options"] = tuple(raw["options"])
    return Card(name=name, path=path, **raw)
