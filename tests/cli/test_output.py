"""What commands print: tables of 100 columns, JSON, help with examples, completion, the next step."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import webbrowser

import numpy as np
import pytest
import typer

from spex_mech import cli
from spex_mech.cli.completion import MODELS, complete_run, complete_task, complete_words
from spex_mech.cli.examples import _EXAMPLES
from spex_mech.cli.printing import print_scores
from spex_mech.cli.tables import COLUMNS, say, say_table
from spex_mech.core.estimates import Estimate
from spex_mech.models.loading import NAMED
from spex_mech.pruning.prune import Pruned
from spex_mech.run.records import ScoredSet, ScoreTable


def _commands() -> dict[str, object]:
    group = typer.main.get_command(cli.app)
    explain = group.commands.pop("explain")
    return group.commands | {f"explain {name}": c for name, c in explain.commands.items()}


COMMANDS = _commands()


def _wide(printed: str) -> list[str]:
    """Lines of more columns than a terminal has, those of a path apart."""
    return [line for line in printed.splitlines() if len(line) > COLUMNS and "/" not in line]


def test_alone_it_says_in_five_lines_what_to_do(terminal):
    code, out, _ = terminal()
    assert code == 0 and len(out.splitlines()) == 5 and not _wide(out)
    named = {words[1] for words in (line.split() for line in out.splitlines())}
    assert {"run", "open", "tasks", "--help"} == named


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_text_fits_and_ends_with_examples_that_are_understood(
    terminal, monkeypatch, command
):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = terminal(*command.split(), "--help")
    assert code == 0 and not [line for line in out.splitlines() if len(line) > COLUMNS]
    examples = re.findall(r"^    (spex-mech .*)$", out[out.index("Example") :], re.M)
    assert tuple(examples) == _EXAMPLES[command]
    options = {name for p in COMMANDS[command].params for name in (*p.opts, *p.secondary_opts)}
    for example in examples:
        assert set(re.findall(r"(?<= )--[a-z0-9-]+", example)) <= options
        assert example.startswith(f"spex-mech {command}")


def test_every_step_prints_lines_that_fit(job):
    for step, printed in job[1].items():
        assert _wide(printed) == [], step


@pytest.mark.parametrize("line", ["tasks", "tasks mmlu", "players", "players embedded kv"])
def test_lists_fit(terminal, line):
    code, out, _ = terminal(*line.split())
    assert code == 0 and _wide(out) == []


def test_tables_and_paragraphs(capsys):
    say_table(["n", "what"], [["1", "word " * 40], ["10", "x"]], "rl")
    first, *_ = printed = capsys.readouterr().out.splitlines()
    assert first == "   n  what" and printed[-1] == "  10  x"
    assert all(line.startswith(("   1  word", "      word")) for line in printed[1:-1])
    say("a " * 90 + "\n  b")
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith("  a") and printed[-1] == "  b" and not _wide("\n".join(printed))


def test_status_as_json(ask, job):
    stores = json.loads(ask("status", job[0], "--json"))
    assert stores[0]["folder"] == str(job[0] / "masks")
    assert all(s["writer"] == "finished" and s["damaged"] == [] for s in stores)
    table = ask("status", job[0]).splitlines()
    assert [line.split()[0] for line in table] == [
        "store",
        *(s["folder"].rsplit("/")[-1] for s in stores),
    ]


def test_a_plan_as_json(ask, settings):
    plan = json.loads(ask("plan", *settings, "--json"))
    table = ask("plan", *settings)
    assert _wide(table) == []
    assert [p["name"] for p in plan["phases"]][:2] == ["preparation", "design"]
    for phase in plan["phases"]:
        row = next(line for line in table.splitlines() if line.startswith(f"  {phase['name']} "))
        assert f" {phase['masks']:,} " in row and f" {phase['tokens']:,} " in row
    assert plan["seconds"] == pytest.approx(sum(p["seconds"] for p in plan["phases"]))
    assert plan["spec"]["design"]["budget"] == 40 and plan["workers"]["count"] == 4


def test_tasks_and_players_as_json(ask):
    assert "embedded/people" in [card["name"] for card in json.loads(ask("tasks", "--json"))]
    people = json.loads(ask("tasks", "embedded/people", "--json"))
    assert people["questions"] == {"search": 240, "validation": 240, "test": 480}
    shown = ask("tasks", "embedded/people")
    right = people["options"][people["right"]]
    assert people["prompt"] in shown and f"answers: A | B | C | D; right: {right}" in shown
    assert json.loads(ask("tasks", "games/peak", "--json"))["name"] == "games/peak"
    players = json.loads(ask("players", "embedded", "kv:0", "--json"))["players"]
    assert players == ["L0KV0", "L0KV1", "L0KV2", "L0KV3"]


def test_a_decoded_run_as_json(ask, copy):
    found = json.loads(ask("decode", copy, "--json", "--top", "3"))
    saved = json.loads((copy / "interactions.json").read_text())
    assert found["index"] == saved["index"] and len(found["interactions"]) == 3
    strongest = found["interactions"][0]
    table = ask("decode", copy)
    assert (
        f"{strongest['value']:+.4f}  {strongest['std']:.4f}  {' × '.join(strongest['players'])}"
        in table
    )
    check = json.loads((copy / "check.json").read_text())
    assert found["held_out"]["r2"] == check["r2"]["mean"]


def test_opening_a_report(terminal, monkeypatch, copy, tmp_path):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: not opened.append(url))
    code, out, _ = terminal("open", str(copy))
    assert code == 0 and opened == [(copy / "report.html").as_uri()]
    assert out == f"report: {copy / 'report.html'}\n"
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    code, out, err = terminal("open", str(copy))
    assert code == 2 and str(copy / "report.html") in out and "no browser was found here" in err
    (copy / "report.html").unlink()
    code, _, err = terminal("open", str(copy))
    assert code == 2 and f"has no report.html yet; spex-mech report {copy} writes it" in err
    code, _, err = terminal("open", str(tmp_path / "nowhere"))
    assert code == 2 and "holds no run" in err


def test_what_a_shell_offers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.toml", "b.csv", "c.txt", ".d.toml"):
        (tmp_path / name).write_text("")
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "spec.json").write_text("{}")

    def offered(*words: str, incomplete: str = "") -> list[str]:
        return (
            complete_words(typer.Context(COMMANDS["run"]), incomplete)
            if not words
            else _after(words, incomplete)
        )

    def _after(words: tuple[str, ...], incomplete: str) -> list[str]:
        context = typer.Context(COMMANDS["run"])
        context.params["words"] = list(words)
        return complete_words(context, incomplete)

    assert offered() == [*MODELS, "runs/", "a.toml"]
    assert offered("a.toml", incomplete="smo") == ["smollm2"]
    assert offered("smollm2", incomplete="circuits/i") == ["circuits/ioi"]
    assert complete_task("b") == [
        *(n for n in complete_task("b") if n.startswith(("blimp", "boolq"))),
        "b.csv",
    ]
    assert complete_run("") == ["runs/mine"] == complete_run("runs/m")
    assert MODELS == NAMED


def test_a_shell_gets_its_completion():
    environment = os.environ | {
        "_SPEX_MECH_COMPLETE": "complete_bash",
        "COMP_WORDS": "spex-mech st",
        "COMP_CWORD": "1",
    }
    line = [sys.executable, "-m", "spex_mech"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["status"]


def test_scores_without_baselines_speak_of_none(capsys):
    r2 = Estimate(0.5, 0.4, 0.6, 9, 0.95)
    kept = Pruned(np.ones(3, dtype=bool), 0.5, 0.5, 0)
    print_scores(
        ScoreTable({"margin": r2}, [ScoredSet(kept, {"margin": r2}, {}, {}, None)], None, 1)
    )
    printed = capsys.readouterr().out
    assert "test margin on 9 questions [95 % intervals]:" in printed and "ours minus" not in printed
    rival = ScoredSet(kept, {"margin": r2}, {}, {"margin": r2}, None)
    print_scores(ScoreTable({"margin": r2}, [rival], None, 1))
    assert "ours minus each baseline" in capsys.readouterr().out
