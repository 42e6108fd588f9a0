"""The smallest setting of each analysis of the published figures runs, and writes what it says."""

from __future__ import annotations

import csv
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import spex_mech as sm

ANALYSES = Path(__file__).parents[2] / "analyses"
OWN = ("figures", "documents", "roles", "needed", "planted", "table_rows", "questions", "words")
SMALLEST = {
    "depth": "--model embedded --tasks kinds --groups 2-3 --questions 4 --rows 60 --held-out 12 --splits 1",
    "hierarchy": "--paper --masks 60 --planted 8",
    "fewer_ablations": "--paper --players 20 --seeds 1 --most 2000 --methods spex proxyspex",
    "head_pruning_real": "--model embedded --group all --tasks embedded/kinds --search 4 --test 8 "
    "--budget 40 --keep 0.75 --splits 2",
    "long_text": "--model rule --players 12 --kinds review --seeds 1 --each 3 --held-out 20",
    "negation": "--model rule --every 9 --masks 16",
    "trolley": "--model rule --every 11 --masks 24",
    "rag": "--model embedded --documents 4 --questions 2 --masks 16 --wrong",
}


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run a script of the analyses in a folder of the test, with modules of its own.

    Under another name than that of a program, it only defines its functions.
    """

    def run(script: str, *options: str, name: str = "__main__") -> dict:
        monkeypatch.setattr(sys, "argv", [script, *options])
        monkeypatch.setattr(sys, "path", list(sys.path))
        for own in OWN:
            monkeypatch.delitem(sys.modules, own, raising=False)
        monkeypatch.chdir(tmp_path)
        return runpy.run_path(str(ANALYSES / script), run_name=name)

    return run


@pytest.mark.parametrize("name", sorted(SMALLEST))
def test_the_smallest_setting_runs_and_is_not_measured_twice(name, call, tmp_path, capsys):
    options = (*SMALLEST[name].split(), "--results", str(tmp_path / "results.csv"))
    call(f"{name}/run.py", *options)
    first = capsys.readouterr().out
    table = (tmp_path / "results.md").read_text()
    assert "|---" in table and table.strip() in first
    assert any(path.stat().st_size > 5000 for path in tmp_path.glob("*.png"))
    with (tmp_path / "results.csv").open(newline="") as file:
        assert list(csv.DictReader(file))
    saved = (tmp_path / "results.csv").read_bytes()
    call(f"{name}/run.py", *options)
    assert (tmp_path / "results.csv").read_bytes() == saved
    assert capsys.readouterr().out.strip() == table.strip()


def test_the_smallest_joint_game_runs(call, tmp_path):
    options = f"--masks 40 --questions 2 --splits 2 --results {tmp_path}"
    call("joint/run.py", *options.split())
    found = json.loads((tmp_path / "two_hop.json").read_text())
    assert np.shape(found["table"]) == (8, 32)
    assert all(len(values) == 2 for values in found["of each split"].values())
    assert (tmp_path / "two_hop.png").stat().st_size > 5000


def test_effects_are_expected_second_differences(call):
    effects = call("joint/run.py", name="joint")["effects"]
    # f = (x0 + 2 x1) x2 (1 + x3): of player 1 with player 2, 2 (1 + rate of player 3).
    masks = np.array([[bool(i >> k & 1) for k in range(4)] for i in range(16)])
    x = masks.astype(float)
    table = (x[:, 0] + 2 * x[:, 1]) * x[:, 2] * (1 + x[:, 3])
    sides = (sm.PlayerSet.from_names("ab"), sm.PlayerSet.from_names("cd"))
    found = effects(sm.exact_spectrum(table), sides, 0.8)
    np.testing.assert_allclose(found, [[1.8, 0.8], [3.6, 1.6]])


def test_shares_of_names_and_of_a_circuit(call):
    shares = call("joint/run.py", name="joint")["shares"]
    table, roles = np.array([[1.0, 2.0, 0.0], [0.0, 2.0, 4.0]]), ["first", "and"]
    heads = ["L0H0", "L0H1", "L0H2"]
    found = shares(table, roles, heads, ("L0H1",))
    assert found == {"names": 0.2, "heads of the circuit": 0.32, "both": 0.16}
    assert shares(table, roles, heads, ()) == {"names": 0.2}
    chance = shares(np.ones((2, 3)), roles, heads, ("L0H1",))
    assert list(chance.values()) == pytest.approx([1 / 2, 1 / 3, 1 / 6])


@pytest.mark.parametrize("documents", [4, 10, 64])
def test_the_needed_documents_are_the_synergy_of_a_reader_who_follows_the_chain(call, documents):
    space = call("rag/run.py", name="rag")
    question = space["generate"](documents, 0)
    first, second = (question.documents[i].split(". ")[1].strip() for i in question.needed)
    room = question.answers[0].strip()
    assert second.endswith(f"in the {room}.") and len(question.documents) == documents
    assert first.split(" is in the ")[1].rstrip(".") == second[4:].split(" is in the ")[0]
    assert sum(room in text for text in question.documents) == 1
    assert question == space["generate"](documents, 0) != space["generate"](documents, 1)
    longer = space["generate"](documents, 0, fillers=True)
    assert longer.needed == question.needed
    for text, more in zip(question.documents, longer.documents, strict=True):
        assert more.startswith(text.strip() + " ")

    def reader(texts):
        return [float(first in text and second in text) for text in texts]

    for level, of in (("document", question), ("sentence", longer)):
        text = list(of.documents) if level == "document" else "".join(of.documents)
        game = sm.features.text(reader, text, level=level, template=of.template)
        pair = space["needed_players"](game, of)
        masks = np.zeros((2, game.players.n), dtype=bool)
        masks[0, list(pair)] = True
        masks[1] = ~masks[0]
        assert game(masks).tolist() == [1.0, 0.0]
