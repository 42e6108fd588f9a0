"""A run's folder: the files that each step leaves for the next ones. Needs no model and no torch.

    spec.json             the run's spec, all keys resolved
    questions.json        how many questions each mask is asked, where it is not asked all
    pilot.json            the keep rates that a pilot has found, where the spec leaves them to it
    gradients.json        derivatives of the metric by the players' gates, for the decoder, or why there are
                          none
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
    circuit-curves.json   the faithfulness of all methods' kept sets on the circuit's questions
    attention.json        what the circuit's strongest heads attend to in two of these questions
    seconds.json          wall-clock time of each step
    pruned                the exported checkpoint
    export.json           its form, why it has no other, and what it costs, where that was measured
    report.html figures   the report; interactions.csv its table of effects and interactions;
                          circuit.html the circuit on a page of its own

Files are written whole or not at all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float64

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.files import (
    make_folder,
    read_regular,
    write_whole,
)
from spex_mech.core.players import PlayerSet
from spex_mech.evaluation.questions import QuestionChoice
from spex_mech.run.designs import has_pilot
from spex_mech.run.spec import RunSpec

CONSTANTS = "constants.safetensors"
CURVES, ATTENTION = "circuit-curves.json", "attention.json"
GRADIENTS = "gradients.json"

_T = TypeVar("_T")
_COMMANDS = {  # that write a file
    "questions.json": "evaluate --out",
    "pilot.json": "evaluate --out",
    "rounds.json": "evaluate --out",
    GRADIENTS: "evaluate --out",
    "check.json": "decode",
    "question-effects.json": "decode",
    "spectrum.json": "decode",
    "interactions.json": "decode",
    "kept.json": "prune",
    "size.json": "prune",
    "results.json": "prune",
    "circuit.json": "circuit",
    CURVES: "circuit",
    ATTENTION: "circuit",
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

    def gradients(self, players: PlayerSet) -> Float64[np.ndarray, " n"] | None:
        """The gradients that were taken before the evaluation; None where the folder has none.

        Args:
            players: the run's players.

        Raises:
            InputError: gradients of other players, or a file that cannot be read.
        """
        if not self.has(GRADIENTS):
            return None

        def parse(content: Any) -> Float64[np.ndarray, " n"] | None:
            if content["players"] != players.names:
                raise ValueError("its gradients are of other players")
            found = content["gradients"]
            return None if found is None else np.array(found, dtype=np.float64)

        return self.read(GRADIENTS, parse)

    def gradients_message(self) -> str | None:
        """One line on these gradients, or on why there are none; None of a run that was to take none."""
        if not self.has(GRADIENTS):
            return None
        return self.read(GRADIENTS, lambda content: str(content["message"]))

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
        return read_json(path)

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
            content = read_json(self.path / "seconds.json")
        except InputError:
            return {}
        if not isinstance(content, dict):
            return {}
        return {k: float(v) for k, v in content.items() if isinstance(v, int | float)}


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


def read_json(path: Path) -> Any:
    """The content of a JSON file of a run.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return json.loads(read_regular(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read {path}: {error}; put it back from a copy, or run its step again"
        ) from None
