"""Training examples × words × heads: effects by brute force, and the analysis in its smallest setting."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.core.masks import all_masks
from tests.shared.scripts import modules_of

ANALYSES = Path(__file__).parents[2] / "analyses"


@pytest.fixture
def module():
    names = ["training", "facts", "cross_effects"]
    with modules_of(ANALYSES / "joint", [*names, "drills", "words", "world"]) as found:
        yield found


def test_effects_are_expected_differences(module):
    rng = np.random.default_rng(0)
    values, rates = rng.normal(size=32), rng.uniform(0.2, 0.9, 5)
    spectrum, masks = sm.exact_spectrum(values), all_masks(5)
    differences = module("cross_effects").differences
    weight = np.where(masks, rates, 1 - rates)

    def by_hand(chosen, weight):
        rest = [i for i in range(5) if i not in chosen]
        sign = np.prod(np.where(masks[:, chosen], 1.0, -1.0), axis=1)
        return float((values * sign * weight[:, rest].prod(axis=1)).sum())

    assert differences(spectrum, rates, 1)[2] == pytest.approx(by_hand([2], weight))
    assert differences(spectrum, rates, 2)[1, 4] == pytest.approx(by_hand([1, 4], weight))
    assert differences(spectrum, rates, 3)[0, 2, 3] == pytest.approx(by_hand([0, 2, 3], weight))
    weight[:, 0] = masks[:, 0]  # certainly there
    found = differences(spectrum, rates, 1, {0: True})
    assert found[2] == pytest.approx(by_hand([2], weight))


def test_groups_are_the_generators_facts_and_absent_ones_weigh_nothing(module):
    facts = module("facts")
    groups = facts.groups_of(0)
    assert [g.kind for g in groups] == ["pet"] * 4 + ["fruit"] * 4
    assert [g.people for g in groups[:4]] == [g.people for g in groups[4:]]
    assert len({v for g in groups for v in g.values}) == 32
    start = sm.load_model("embedded")

    def weights(of, mask):
        network = sm.load_model("embedded").hf
        facts.training(of, seed=0, steps=2)(network, np.array(mask))
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    only_first = [True] + [False] * 7
    changed = [groups[0], *facts.groups_of(1)[1:]]  # other facts in the groups that are absent
    assert torch.equal(weights(groups, only_first), weights(changed, only_first))
    assert not torch.equal(weights(groups, only_first), weights(groups, [False] * 8))
    heads = sm.select_players(start, "heads")
    game = facts.FactsGame(start, groups[0], heads)
    assert game.players.n == 5 + 32 and game.sides[0].names[facts.PERSON] == "the person"


def test_smallest_setting(module, tmp_path, monkeypatch):
    size = ["--models", "6", "--held-out", "2", "--each", "4", "--asked", "1", "--steps", "1"]
    folders = ["--folder", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    monkeypatch.setattr(sys, "argv", ["training.py", *size, *folders])
    module("training").main()
    found = json.loads((tmp_path / "results" / "training.json").read_text())
    assert found["masks of each game"] == 24
    assert found["shares"]["triples: group × person × heads"]["chance"] == pytest.approx(
        1 / 160, abs=1e-4
    )
    files = list((tmp_path / "runs" / "models").glob("*.safetensors"))
    assert 8 <= len(files) <= 10  # also the one of all groups, and of all but one
    for name in ("heads", "names"):
        assert (tmp_path / "results" / f"training_{name}.png").stat().st_size > 5000
    written = {file: file.stat().st_mtime_ns for file in files}
    module("training").main()
    assert written == {file: file.stat().st_mtime_ns for file in files}  # none is trained again
