"""Optimal ablation and several ablations side by side, in a run's folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import spex_mech as sm
from spex_mech.ablation import constant_fit
from spex_mech.cli.main import app
from spex_mech.core.players import PlayerSet
from spex_mech.pruning.circuit_files import circuit_from_json
from spex_mech.run import constants as run_constants
from spex_mech.run import plan as planning
from spex_mech.run import steps
from spex_mech.run.opening import claim
from spex_mech.run.setup import prepare
from spex_mech.run.spec_file import read_spec

SETTINGS = [
    *("players=kv", "game.examples=6", "design.budget=12", "design.keep_rate=0.6"),
    *("design.questions=all", "design.check=2", "prune.keep=[6]", "prune.export=none"),
    *("prune.ablations=2", "prune.baselines=[]", "circuit.questions=8", "circuit.subsets=2"),
]
KINDS = ("zero", "mean", "counterfactual", "optimal")


@pytest.fixture
def fits(monkeypatch) -> list:
    """Short fits, which are counted."""
    calls = []

    def fit(game, kept=None, **options):
        calls.append(kept)
        return constant_fit.fit_constants(game, kept, **options, steps=3)

    monkeypatch.setattr(run_constants, "fit_constants", fit)
    short = lambda game, kept=None, **o: constant_fit.fit_hash(game, kept, **o, steps=3)  # noqa: E731
    monkeypatch.setattr(run_constants, "fit_hash", short)
    return calls


def pruned(folder: Path, *settings: str):
    setup = prepare(read_spec(None, [*SETTINGS, *settings]), pruning=True)
    run = claim(folder, setup.spec)
    steps.evaluate_step(setup, run, progress=False)
    decoded = steps.decode_step(run)
    steps.prune_step(setup, run, decoded, progress=False)
    return setup, run


def test_one_kept_set_under_several_ablations(tmp_path, fits, undrawn):
    setup, run = pruned(tmp_path / "run")
    command = ["circuit", str(run.path)]
    for kind in KINDS:
        command += ["--ablation", kind]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "the same parts kept under several ablations, 8 questions:" in result.output
    content = json.loads((run.path / "circuit.json").read_text())
    players = PlayerSet(setup.players.players)
    tested = circuit_from_json(content, players)
    assert [row.ablation for row in tested.under] == [*KINDS[:3], "optimal, fitted for this set"]
    # Zero is the run's own ablation: the same numbers as the circuit's.
    zero = tested.under[0]
    assert (zero.full, zero.empty, zero.alone) == (tested.full, tested.empty, tested.alone)
    assert zero.loss == tested.loss and zero.faithfulness == tested.faithfulness
    assert len({row.empty.mean for row in tested.under}) == 4
    assert len({row.full.mean for row in tested.under}) == 1
    # Each kind by a game of its own, on the same questions.
    every = [x.id for x in setup.task.select("test")]
    chosen = {every[i] for i in np.linspace(0, len(every) - 1, 8).round().astype(int)}
    task = setup.task.without([x for x in every if x not in chosen])
    ends = np.stack([tested.mask, np.zeros_like(tested.mask), np.ones_like(tested.mask)])
    for row in tested.under[:3]:
        game = sm.TaskGame(setup.model, task, players, split="test", ablation=row.ablation)
        alone, empty, full = game(ends)
        assert [row.alone.mean, row.empty.mean] == pytest.approx([alone, empty], abs=1e-4)
        if row.faithfulness is not None:
            ratio = (alone - empty) / (full - empty)
            assert row.faithfulness.mean == pytest.approx(ratio, abs=1e-3)
    # Constants are fitted for the set and for nothing kept, and not again.
    assert [np.sum(kept) for kept in fits] == [0, 6]
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0 and again.output == result.output and len(fits) == 2
    page = sm.write_report(run.path).read_text()
    assert "The same parts under several ablations" in page
    assert len(re.findall(r"<tr><td>(zero|mean|counterfactual|optimal, fitted)", page)) == 4


def test_an_unknown_ablation_is_refused_before_the_model_is_loaded(tmp_path):
    spec = read_spec(None, ["circuit.ablations=['mean', 'none']"])
    with pytest.raises(ValueError, match="unknown ablation 'none'; expected one of zero, mean, "):
        prepare(spec, pruning=True)


def test_a_run_fits_its_constants_once_and_keeps_them(tmp_path, fits):
    setup, run = pruned(tmp_path / "run", "game.ablation=optimal")
    assert fits == [None]
    stored = sm.open_run(run.masks)
    constants = sm.Constants.load(run.path / "constants.safetensors")
    assert stored.key["constants"] == constants.digest
    # Another process goes on with the same constants, and evaluates nothing anew.
    again = prepare(setup.spec)
    searched, _ = steps.evaluate_step(again, run, progress=False)
    assert searched.evaluated == 0 and fits == [None]
    game = setup.game.with_constants(constants)
    masks = stored.masks[:3]
    np.testing.assert_allclose(game(masks), stored(masks), atol=1e-5)
    low, high = run_constants.fitted_rates(setup)
    assert 0.3 < low < 0.6 < high < 0.9
    # Constants of other questions are refused.
    other = prepare(read_spec(None, [*SETTINGS, "game.ablation=optimal", "game.examples=5"]))
    with pytest.raises(ValueError, match=r"constants\.safetensors was fitted for another model, "):
        run_constants.with_constants(other, run)


def test_plan_states_the_cost_of_the_fit(monkeypatch):
    monkeypatch.setattr(planning, "_PROBE_SECONDS", 0.0)
    monkeypatch.setattr(planning, "seconds_per_answer", lambda game: 0.5)
    for settings, rows in (
        (["game.ablation=optimal"], constant_fit.fit_cost(6)),
        (["circuit.ablations=['optimal']"], 2 * constant_fit.fit_cost(6, for_set=True)),
        (["game.ablation=mean"], None),
    ):
        setup = prepare(read_spec(None, [*SETTINGS, *settings]), pruning=True)
        phases = {phase.name: phase for phase in planning.plan(setup)}
        if rows is None:
            assert "constants" not in phases
            continue
        assert phases["constants"].rows == rows and phases["constants"].seconds == rows / 2
        assert setup.game.lacks_constants == ("game" in settings[0])
