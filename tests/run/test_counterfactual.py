"""Counterfactual ablation in runs: by a spec and by the command line, with what has no partner left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spex_mech.cli.main import app
from spex_mech.evaluation.stored_run import open_run
from spex_mech.run.setup import prepare
from spex_mech.run.spec_file import read_spec

SMALL = ["game.examples=6", "design.budget=8", "design.keep_rate=0.6", "design.check=2"]


@pytest.fixture
def card(tmp_path, monkeypatch) -> Path:
    """Twelve of the embedded people, of which the second has a partner of another length."""
    from spex_mech.tasks.cards import _folder

    lines = (_folder() / "embedded" / "people.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    some = [row for s in ("search", "validation", "test") for row in rows if row["split"] == s]
    some = [r for s in ("search", "test") for r in [x for x in some if x["split"] == s][:6]]
    some[1]["partner"] = "too short"
    (tmp_path / "people.jsonl").write_text("\n".join(map(json.dumps, some)))
    text = (_folder() / "embedded" / "people.toml").read_text()
    (tmp_path / "people.toml").write_text(text.replace('"another"', '"options"'))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "people.toml"


def test_a_run_leaves_out_what_has_no_partner_where_asked_to(card):
    settings = [f"task={json.dumps(str(card))}", "game.ablation=counterfactual", *SMALL]
    with pytest.raises(ValueError, match=r"1 of 6 search questions .*game\.unpaired=leave_out"):
        prepare(read_spec(None, settings))
    with pytest.raises(ValueError, match=r"game\.unpaired is 'drop', expected 'refuse' or"):
        prepare(read_spec(None, [*settings, "game.unpaired=drop"]))
    game = prepare(read_spec(None, [*settings, "game.unpaired=leave_out"])).game
    assert len(game.question_ids) == 5
    assert [len(x) for x in game.prompts.partners] == [len(x) for x in game.prompts.tokens]


def test_the_command_line(card):
    out = ["--set", f"task={json.dumps(str(card))}", "--out", "runs/a"]
    settings = [x for s in SMALL for x in ("--set", s)]
    command = ["evaluate", "--ablation", "counterfactual", *settings, *out]
    result = CliRunner().invoke(app, [*command, "--set", "game.unpaired=leave_out"])
    assert result.exit_code == 0, result.output
    assert "counterfactual)" in result.output
    run = open_run("runs/a/masks")
    assert run.facts["game"]["ablation"] == "counterfactual" and "partners" in run.key
    spec = json.loads(Path("runs/a/spec.json").read_text())
    assert spec["game"]["ablation"] == "counterfactual"
    again = CliRunner().invoke(app, [*command, "--set", "game.unpaired=leave_out"])
    assert again.exit_code == 0 and again.output.count(", 0 evaluated now") == 2
    np.testing.assert_array_equal(open_run("runs/a/masks").values, run.values)
