"""A run's folder: the files that each step leaves for the next ones. Needs no model and no torch.

    spec.json             the run's spec, all keys resolved
    questions.json        how many questions each mask is asked, where it is not asked all
    pilot.json            the keep rates that a pilot has found, where the spec leaves them to it
    constants.safetensors what removed parts become under optimal ablation; others beside it, with a hash in
                          the name, are of one kept set each
    rounds.json           masks, answers and R² after each round, where there were rounds
    input.json            of an explained text or image: the input and the places of its parts
    masks check test      run stores: the design and pruning's ablations, held-out masks, test questions
    spectrum.json         the spectrum's terms, and the settings of the decoder
    interactions.json     the interactions, in the index of the spec
    question-effects.json what parts are worth to single questions, where masks were not asked all
    check.json            held-out masks: predicted, measured, R²
    kept.json             the kept sets that every method chose
    size.json             how the exported size was chosen on validation questions (store: validation)
    results.json          the kept sets' scores on the test questions
    comparison.json       tasks before and after pruning (stores: test, and other-TASK for other tasks)
    circuit.json          one kept set as a circuit; circuit.graphml the same for graph programs;
                          circuit-<questions> the store of its ablations, circuit-<questions>-<ablation> of
                          its comparison under several kinds of ablation
    seconds.json          wall-clock time of each step
    pruned                the exported checkpoint
    export.json           its form, why it has no other, and what it costs, where that was measured
    report.html figures   the report; interactions.csv its table of effects and interactions

Files are written whole or not at all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from spex_mech.core.errors import InputError, MissingFileError, OutputExistsError
from spex_mech.core.files import (
    check_folder,
    make_folder,
    read_regular,
    real_folder,
    remove_leftovers,
    write_whole,
)
from spex_mech.evaluation.questions import ALL, QuestionChoice
from spex_mech.run.designs import has_pilot
from spex_mech.run.spec import RunSpec, with_settings

CONSTANTS = "constants.safetensors"

_T = TypeVar("_T")
_COMMANDS = {  # that write a file
    "questions.json": "evaluate --out",
    "pilot.json": "evaluate --out",
    "rounds.json": "evaluate --out",
    "check.json": "decode",
    "question-effects.json": "decode",
    "spectrum.json": "decode",
    "interactions.json": "decode",
    "kept.json": "prune",
    "size.json": "prune",
    "results.json": "prune",
    "circuit.json": "circuit",
    "input.json": "explain --out",
}


@dataclass(frozen=True)
class RunFolder:
    """A run's folder and its spec.

    Attributes:
        path: the folder.
        spec: its ``spec.json``.
    """

    path: Path
    spec: RunSpec

    @property
    def masks(self) -> Path:
        """Store of the design and of pruning's ablations, on search questions."""
        return self.path / "masks"

    @property
    def check(self) -> Path:
        """Store of the held-out masks."""
        return self.path / "check"

    @property
    def test(self) -> Path:
        """Store of the kept sets' ablations on test questions."""
        return self.path / "test"

    def circuit(self, questions: int | None) -> Path:
        """Store of a circuit's ablations on a number of test questions; None for all of them."""
        return self.test if questions is None else self.path / f"circuit-{questions}"

    def circuit_under(self, questions: int, ablation: str) -> Path:
        """Store of a kept set's ablations of one kind, for the comparison of kinds."""
        return self.path / f"circuit-{questions}-{ablation}"

    def keep_rate(self) -> tuple[float, float] | None:
        """The range of keep rates that the pilot has found; None for a design without a pilot.

        Raises:
            MissingFileError: the pilot has not been evaluated.
            InputError: its file cannot be read.
        """
        if not has_pilot(self.spec.design):
            return None
        return self.read("pilot.json", lambda content: _range(content["keep_rate"]))

    def choice(self) -> QuestionChoice | None:
        """How many questions each mask is asked; None for all.

        Raises:
            MissingFileError: the pilot has not been evaluated.
            InputError: its file cannot be read.
        """
        return self.read("questions.json", _choice) if self.has("questions.json") else None

    def has(self, name: str) -> bool:
        """Whether the folder has a file or a store of this name."""
        path = self.path / name
        return path.is_file() or (path / "key.json").is_file()

    def load(self, name: str) -> Any:
        """The content of a JSON file.

        Raises:
            MissingFileError: the folder has no such file; names the command that writes it.
            InputError: it cannot be read.
        """
        path = self.path / name
        if not path.is_file():
            raise MissingFileError(
                f"{self.path} has no {name} yet; spex-mech {_command(name)} {self.path} writes it"
            )
        return _parse(path)

    def read(self, name: str, parse: Callable[[Any], _T]) -> _T:
        """The content of a JSON file as ``parse`` makes it.

        Raises:
            MissingFileError: as for `load`.
            InputError: it cannot be read, or lacks something.
        """
        content = self.load(name)
        try:
            return parse(content)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(
                f"{self.path / name} is not what this version writes: {reason}; remove it and run "
                f"spex-mech {_command(name)} {self.path} again"
            ) from None

    def save(self, name: str, content: Any) -> None:
        """Write a JSON file under a temporary name and rename it."""
        write_file(self.path / name, json.dumps(content, indent=1, allow_nan=True))

    def remove(self, *names: str) -> None:
        """Remove files that no longer follow from the others; a missing one is no error."""
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the wall-clock time of the ``with`` block to the step's seconds."""
        began = time.monotonic()
        yield
        seconds = self.seconds()
        seconds[step] = seconds.get(step, 0.0) + time.monotonic() - began
        self.save("seconds.json", seconds)

    def seconds(self) -> dict[str, float]:
        """Wall-clock seconds of the steps so far; a damaged record counts as none, it decides nothing."""
        try:
            content = _parse(self.path / "seconds.json")
        except InputError:
            return {}
        if not isinstance(content, dict):
            return {}
        return {k: float(v) for k, v in content.items() if isinstance(v, int | float)}


def claim(path: str | Path, spec: RunSpec, *, last: Sequence[str] = ()) -> RunFolder:
    """Make a run's folder, or open the folder of an unfinished run of the same spec.

    An empty folder is taken as a new one. What killed processes left half-written is removed.

    Args:
        path: the folder.
        spec: the run's spec.
        last: names of the last files of a run; a folder that has them all is refused as finished.

    Raises:
        OutputExistsError: the folder holds something else, another spec (the keys that differ are
            named), or a finished run.
        InputError: it cannot be made, or holds links or files of other users.
    """
    folder = RunFolder(real_folder(path), spec)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {path}: {error.strerror or error}; give another place for the run"
        ) from error
    existing = taken(folder.path, spec, last=last)
    if existing is not None:
        return existing
    save_spec(folder)
    return folder


def taken(path: str | Path, spec: RunSpec, *, last: Sequence[str] = ()) -> RunFolder | None:
    """The unfinished run that `claim` would go on with; None where there is no folder, or an empty one.

    Nothing is written, so that it can be asked before a model is loaded.

    Args:
        path: the folder.
        spec: the run's spec.
        last: see `claim`.

    Raises:
        OutputExistsError, InputError: as for `claim`.
    """
    folder = real_folder(path)
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise OutputExistsError(f"{path} exists and is no folder; choose a new folder")
    prepare_folder(folder)
    if not any(folder.iterdir()):
        return None
    if not (folder / "spec.json").is_file():
        raise OutputExistsError(f"{path} exists; choose a new folder (it holds no run)")
    existing = open_folder(path)
    differing = _differing(existing.spec.model_dump(), spec.model_dump())
    differing = [key for key in differing if key != "design.first"]
    if differing:
        raise OutputExistsError(
            f"{path} exists; choose a new folder (its run has another {', '.join(differing)}; only the "
            "same spec continues a run)"
        )
    if last and all((folder / name).exists() for name in last):
        raise OutputExistsError(
            f"{path} exists; choose a new folder (its run is finished: spex-mech report {path} shows it, "
            "and the other commands go on from it)"
        )
    return existing


def open_folder(path: str | Path) -> RunFolder:
    """Open a run's folder.

    Raises:
        MissingFileError: no such folder, or one without a run.
        InputError: its ``spec.json`` cannot be read.
    """
    folder = real_folder(path)
    header = folder / "spec.json"
    if not header.is_file():
        is_store = (folder / "key.json").is_file()
        content = (
            "is a store, not a run's folder" if is_store else "holds no run (it has no spec.json)"
        )
        parent = f", such as {folder.parent}" if (folder.parent / "spec.json").is_file() else ""
        raise MissingFileError(
            f"{str(path)!r} {content}; give a folder that spex-mech evaluate or run writes to{parent}"
        )
    raw = _parse(header)
    if isinstance(raw, dict) and isinstance(design := raw.get("design"), dict):
        design.setdefault("questions", ALL)  # as every run of before
    return RunFolder(folder, with_settings(raw, ()))


def changed(
    folder: RunFolder, settings: Sequence[str], allowed: Collection[str], step: str
) -> RunFolder:
    """The folder with other settings of one step; nothing is written, see `save_spec`.

    Args:
        folder: the run's folder.
        settings: ``key=value``, as in ``decode.method=lasso``.
        allowed: keys, or whole sections, that this step may change.
        step: name of the command.

    Raises:
        InputError: an unknown key, or one that an earlier step has used; or a step that does not exist for
            the parts of an input, for which decode is the only one.
    """
    if step != "decode" and folder.has("input.json"):
        raise InputError(
            f"the players of {folder.path} are parts of an input, and {step} is for parts of a model; "
            f"spex-mech decode {folder.path} and report go on from it"
        )
    before = folder.spec.model_dump()
    after = with_settings(folder.spec.model_dump(), settings)
    differing = _differing(before, after.model_dump())
    fixed = [k for k in differing if k not in allowed and k.partition(".")[0] not in allowed]
    if fixed:
        raise InputError(
            f"{folder.path} was evaluated with another {', '.join(fixed)}; {step} can change "
            f"{', '.join(allowed)}. Evaluate anew into another folder: spex-mech evaluate --set ... --out"
        )
    prepare_folder(folder.path)
    return replace(folder, spec=after)


def prepare_folder(path: Path) -> None:
    """Make sure that nothing in a folder leads elsewhere, and remove what killed processes left."""
    check_folder(path)
    remove_leftovers(path)


def save_spec(folder: RunFolder) -> None:
    """Write the folder's ``spec.json``."""
    write_file(folder.path / "spec.json", folder.spec.model_dump_json(indent=1))


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file of a run whole or not at all; it may hold prompts, so it is this user's to read.

    Raises:
        InputError: it cannot be written.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        make_folder(path.parent)
        write_whole(path, data, private=True)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; make room, or make the folder writable"
        ) from error


def _command(name: str) -> str:
    """The command that writes a file."""
    return _COMMANDS.get(name, "run")


def _choice(content: Any) -> QuestionChoice:
    choice = QuestionChoice(
        int(content["each"]),
        int(content["questions"]),
        str(content["message"]),
        int(content["pilot"]),
        tuple((int(start), int(each)) for start, each in content.get("later", ())),
    )
    asked = (choice.each, *(each for _, each in choice.later))
    if not (all(1 <= each <= choice.questions for each in asked) and choice.pilot >= 0):
        raise ValueError(f"each is {choice.each} of {choice.questions} questions")
    return choice


def _range(content: Any) -> tuple[float, float]:
    low, high = (float(end) for end in content)
    if not 0.0 < low < high < 1.0:
        raise ValueError(f"keep_rate is {content}, expected [low, high] between 0 and 1")
    return low, high


def _parse(path: Path) -> Any:
    try:
        return json.loads(read_regular(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read {path}: {error}; put it back from a copy, or run its step again"
        ) from None


def _differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Keys of two specs with different values, as ``section.key``."""
    keys = []
    for key in a:
        if isinstance(a[key], dict):
            keys += [f"{key}.{sub}" for sub in a[key] if a[key][sub] != b[key][sub]]
        elif a[key] != b[key]:
            keys.append(key)
    return keys
