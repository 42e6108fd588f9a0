"""Commands run in this process, one small job, and its folder after every step."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pictures import leave_out_pictures
from typer.testing import CliRunner

from spex_mech import cli
from spex_mech.tasks.cards import load_card

SMALL = {
    "players": "heads:0-1",
    "game.examples": "8",
    "design.budget": "40",
    "design.check": "8",
    "prune.keep": "[12, 8]",
    "prune.ablations": "8",
    "prune.export": "8",
    "circuit.questions": "10",
    "circuit.subsets": "2",
}


def _ask(*arguments) -> str:
    done = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    if done.exception is not None:
        raise done.exception
    assert done.exit_code == 0
    return done.output


@pytest.fixture(scope="session")
def ask() -> Callable[..., str]:
    """Runs a command that must end well, or raise the package's error; what it prints."""
    return _ask


@pytest.fixture
def terminal(monkeypatch, capsys) -> Callable[..., tuple[int | str | None, str, str]]:
    """Runs a command as from a terminal; its exit code, and what it prints on both streams."""

    def run(*arguments: str) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["spex-mech", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        return stop.value.code, printed.out, printed.err

    return run


@pytest.fixture(scope="session")
def settings(tmp_path_factory) -> list[str]:
    """Options of a run on few of the embedded people's questions, so that tests take seconds."""
    card = load_card("embedded/people")
    lines = (card.path.parent / card.values["data"]).read_text().splitlines()
    few = [line for line in lines if '"search"' in line][:8]
    few += [line for line in lines if '"validation"' in line][:8]
    few += [line for line in lines if '"test"' in line][:24]
    file = tmp_path_factory.mktemp("data") / "few.jsonl"
    file.write_text("\n".join(few))
    values = {**SMALL, "asking.data": f"'{file}'"}
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(scope="session")
def job(tmp_path_factory, settings) -> tuple[Path, dict[str, str]]:
    """A run's folder after each step, with what the steps printed; without pictures, not to be written to."""
    folder = tmp_path_factory.mktemp("job") / "run"
    printed = {"evaluate": _ask("evaluate", *settings, "--out", folder)}
    with pytest.MonkeyPatch.context() as patch:
        leave_out_pictures(patch)
        for step in ("decode", "prune", "circuit", "export", "report"):
            printed[step] = _ask(step, folder)
    return folder, printed


@pytest.fixture
def copy(job, tmp_path) -> Path:
    """The job's folder to write to."""
    return Path(shutil.copytree(job[0], tmp_path / "copy"))
