"""Hundreds of bad command lines, specs, cards and folders: each ends with one message and leaves nothing.

Commands run in this process, on folders that earlier versions wrote; the one model is loaded once.
"""

from __future__ import annotations

import functools
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
import yaml

from spex_mech import cli
from spex_mech.run import plan as planning
from spex_mech.run import setup
from spex_mech.run.spec import RunSpec

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run"
NUMBERS = ["-1", "0", "nan", "inf", "-inf", "1e309", "9" * 30, "1.5", "", "x", "²", "0x10", "1_0"]
TEXTS = [
    *("", " ", "a\0b", "a\nb", "\udcff", "\ud800", "\x1b[31mred\x1b[0m", "x" * 5000, "../" * 40),
    *("none", "{", "[" * 3000, "null", "-", "--", "=", "%s{0}", "/dev/null", ".", "🦙", "nan"),
]
OPTIONS = {  # of commands that fail before they would load a model
    "run": {
        "numbers": ["--workers", "--cpus", "--gpus", "--batch-seconds"],
        "texts": ["--executor", "--devices", "--set"],
        "always": ["none.toml"],
    },
    "plan": {
        "numbers": ["--workers", "--budget", "--examples", "--keep"],
        "texts": ["--set", "--players", "--metric", "--ablation", "--export"],
        "always": [],
    },
    "plan embedded": {"numbers": [], "texts": ["--players"], "always": []},
    "decode": {
        "numbers": ["--seed", "--order", "--top"],
        "texts": ["--method", "--metric", "--questions", "--index", "--set"],
        "always": ["store", "--method=lasso", "--out=new"],
    },
    "prune": {
        "numbers": [
            "--keep",
            "--ablations",
            "--per-layer",
            "--kv-groups",
            "--parameters",
            "--seed",
        ],
        "texts": ["--baseline", "--set"],
        "always": ["nothing"],
    },
    "circuit": {
        "numbers": ["--keep", "--subsets", "--seed"],
        "texts": ["--questions", "--set"],
        "always": ["nothing"],
    },
    "export": {
        "numbers": ["--keep"],
        "texts": ["--mode", "--form", "--out"],
        "always": ["nothing"],
    },
    "report": {"numbers": [], "texts": ["--metric"], "always": ["nothing"]},
    "tasks": {"numbers": ["--shots"], "texts": ["--data"], "always": ["embedded/people"]},
    "explain": {
        "numbers": ["--target-r2", "--budget", "--seed", "--top"],
        "texts": ["--method", "--set"],
        "always": ["none.toml"],
    },
    "explain text": {
        "numbers": ["--target-r2", "--budget", "--check", "--seed", "--top"],
        "texts": ["--text"],
        "always": ["--text", "@nowhere"],
    },
}
HOSTILE = [None, [], {}, [[[]]], {"a": {"b": []}}, True, 10**30, -1, 1.5, float("nan"), "", "a\0b"]


def hostile_lines() -> Iterator[list[str]]:
    """Command lines: every option of every command with hostile values, and hostile paths."""
    draw = random.Random(0)
    for command, options in OPTIONS.items():
        words = command.split()
        for option in options["numbers"]:
            for value in draw.sample(NUMBERS, 9):
                yield [*words, *options["always"], f"{option}={value}"]
        for option in options["texts"]:
            for value in draw.sample(TEXTS, 8):
                yield [*words, *options["always"], f"{option}={value}"]
        if command not in ("explain text", "tasks"):
            for value in draw.sample([v for v in TEXTS if v not in ("-", "--")], 4):
                yield [*words, value, *(["--out", "new"] if command == "decode" else [])]


def leaves(section: type = RunSpec, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of a spec, sections too."""
    for name, field in section.model_fields.items():
        yield (*path, name)
        if hasattr(field.annotation, "model_fields"):
            yield from leaves(field.annotation, (*path, name))


@pytest.fixture
def failures(monkeypatch, capsys, tmp_path, undrawn) -> Callable[..., list[str]]:
    """Runs a command line; what is wrong with how it ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(setup, "load_model", _MODEL)
    monkeypatch.setattr(sys.modules["spex_mech.cli.main"], "app", _COMMAND)
    monkeypatch.setattr(planning, "plan", lambda prepared: [])

    def contents() -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}

    def run(arguments: list[str], *, refused: bool = False) -> list[str]:
        before = contents()
        monkeypatch.setattr(sys, "argv", ["spex-mech", *arguments])
        what = f"{arguments!r}"[:200]
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        except BaseException as error:
            return [f"{what}: {type(error).__name__}: {str(error)[:200]}"]
        err = capsys.readouterr().err
        wrong = []
        if code not in ((2,) if refused else (0, 1, 2)):
            wrong.append(f"{what}: exit {code}")
        if code and (not err.startswith("spex-mech: ") or len(err) > 630 or "Traceback" in err):
            wrong.append(f"{what}: says {err[:300]!r}")
        if code and contents() != before:
            wrong.append(f"{what}: left {sorted(p.name for p in set(contents()) - set(before))}")
        shutil.rmtree(tmp_path / "new", ignore_errors=True)
        return wrong

    return run


_MODEL = functools.cache(setup.load_model)
_COMMAND = typer.main.get_command(cli.app)  # which Typer makes anew for every call


def test_command_lines(failures, tmp_path):
    shutil.copytree(FIXTURE / "check", tmp_path / "store")
    lines = list(hostile_lines())
    assert len(lines) > 300
    assert [wrong for line in lines for wrong in failures(line)] == []


def test_specs(failures, tmp_path):
    draw = random.Random(1)
    wrong = []
    for path in leaves():
        for value in draw.sample(HOSTILE, 4):
            raw: dict = {}
            inner = raw
            for key in path[:-1]:
                inner = inner.setdefault(key, {})
            inner[path[-1]] = value
            (tmp_path / "spec.yaml").write_text(yaml.safe_dump(raw))
            wrong += [f"{path} = {value!r:.60}: {w}" for w in failures(["plan", "spec.yaml"])]
    for text in ("[]", "3", "{", "a: &a [*a]", "1: 2", "\x00", "? [a]\n: b", "- " * 3000):
        (tmp_path / "spec.yaml").write_text(text)
        wrong += failures(["run", "spec.yaml"], refused=True)
    assert wrong == []


CARDS = [
    'version = 1\ndescription = "d"\ndata = "rows.jsonl"\ntemplate = "{question}"\n'
    'options = ["A", "B"]\nmetric = "margin"\nform = "letters"\nintro = "i"\nlayout = "rows"\n',
    'version = 1\ndescription = "d"\ngenerator = "ioi"\nmetric = "margin"\ncount = 2\nseed = 0\n'
    'templates = ["{first} {second} {giver}"]\nwords = {names = ["A", "B"]}\nform = "pairs"\n',
    'version = 1\ndescription = "d"\nplayers = 4\nsets = 1\ndegrees = [1]\nseed = 0\n'
    "hierarchy = true\n",
    'version = 1\ndescription = "d"\nhub = "a/b"\nrevision = "r"\nlayout = "mmlu"\npart = "test"\n'
    'template = "{question}"\nmetric = "margin"\ngroups = {a = ["b"]}\nconfig = "c"\n'
    'published = {parts = ["test"], search = 3}\nshots_from = "dev"\n',
]
TOML = ["[]", "{}", "[[[]]]", "{a = {b = []}}", "true", "9" * 19, "-1", "1.5", "nan", '""', "0"]
TOML += ['"\\u0000"', '"{a:>999999999}"', '"{"', '["x", 3]', "[" * 3000, '"../../x"', "1000000000"]


def test_cards(failures, tmp_path):
    draw = random.Random(2)
    (tmp_path / "rows.jsonl").write_text('{"question": "?", "choices": ["x", "y"], "answer": 0}')
    (tmp_path / "data" / "a").mkdir(parents=True)
    wrong = []
    for card in CARDS:
        lines = card.splitlines()
        for i, line in enumerate(lines):
            for value in draw.sample(TOML, 5):
                changed = [*lines[:i], f"{line.partition(' =')[0]} = {value}", *lines[i + 1 :]]
                (tmp_path / "card.toml").write_text("\n".join(changed))
                options = ["--data", "data"] if "hub" in card else []
                found = failures(["tasks", "card.toml", *options])
                if "players" in card:
                    found += failures(["explain", "--set", "task=card.toml", "--target-r2", "2"])
                wrong += [f"{changed[i][:60]}: {w}" for w in found]
    rows = ["", "[]", "3", "null", "{", "{}", '{"question": 3}', "[" * 3000, '"\\ud800"', "nan"]
    (tmp_path / "card.toml").write_text(CARDS[0])
    for row in rows:
        (tmp_path / "rows.jsonl").write_text(row)
        wrong += failures(["tasks", "card.toml"], refused=True)
    assert wrong == []


BROKEN = ["", "{", "[]", "null", "3", '"x"', "{}", "[null]", "[" * 3000, "\ufeff["]


@pytest.mark.parametrize("name", ["spec.json", "check/key.json", "masks/key.json"])
def test_folders_with_broken_files(failures, tmp_path, name):
    shutil.copytree(FIXTURE, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "figures", ignore_errors=True)
    file = tmp_path / "run" / name
    whole = file.read_text()
    wrong = []
    for text in [*BROKEN, whole[: len(whole) // 2]]:
        file.write_text(text)
        line = ["decode", "run", "--method=lasso", "--out=new"]
        wrong += [f"{text[:20]!r}: {w}" for w in failures(line, refused=True)]
        if name == "spec.json":
            wrong += failures(["circuit", "run"], refused=True)
            wrong += failures(["report", "run"], refused=True) if text != "{}" else []
        wrong += failures(["status", "run"])
    file.unlink()
    file.mkdir()
    wrong += [w for c in ("report", "status", "decode") for w in failures([c, "run"])]
    assert wrong == []


@pytest.mark.parametrize(
    "name", ["spectrum", "interactions", "check", "kept", "results", "circuit"]
)
def test_reports_of_broken_files(failures, tmp_path, name):
    shutil.copytree(FIXTURE, tmp_path / "run")
    file = tmp_path / "run" / f"{name}.json"
    wrong = []
    for text in ("", "3", "null", "[" * 3000, file.read_text()[:-9]):
        file.write_text(text)
        wrong += failures(["report", "run"], refused=True)
    assert wrong == []


def test_files_that_may_not_be_read(failures, tmp_path):
    (tmp_path / "spec.toml").write_text("")
    (tmp_path / "spec.toml").chmod(0)
    try:
        (tmp_path / "spec.toml").read_text()
    except PermissionError:
        assert failures(["plan", "spec.toml"], refused=True) == []
    else:
        pytest.skip("this user may read everything")
