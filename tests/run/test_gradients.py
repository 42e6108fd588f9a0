"""The gradients of a run: taken once, kept in its folder, given to its decoder, and counted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.report import write_report
from spex_mech.run import gradients, prune
from spex_mech.run.decode import decode_folder, save_decoded
from spex_mech.run.explain import explain_folder
from spex_mech.run.folder import GRADIENTS
from spex_mech.run.opening import claim, open_folder
from spex_mech.run.plan import plan
from spex_mech.run.setup import prepare
from spex_mech.run.spec_file import read_spec
from spex_mech.run.steps import decode_step, evaluate_step, rounds_step

SETTINGS = [
    "players=heads mlps", "game.examples=4", "design.budget=40", "design.check=0", "design.keep_rate=0.8",
    "decode.method=walsh_gp", "circuit.subsets=0", "prune.keep=[20]", "prune.ablations=6",
    "prune.export=none",
]  # fmt: skip


def spec_of(*settings):
    return read_spec(None, [*SETTINGS, *settings])


@pytest.fixture(scope="module")
def setup():
    """A run of 36 players."""
    return prepare(spec_of("prune.baselines=[]"), pruning=True)


@pytest.fixture(scope="module")
def evaluated(setup, tmp_path_factory):
    folder = claim(tmp_path_factory.mktemp("runs") / "run", setup.spec)
    return folder, evaluate_step(setup, folder, progress=False)[0]


def test_a_run_gives_its_decoder_the_gradients_of_all_search_questions(setup, evaluated):
    folder, run = evaluated
    expected = sm.gate_gradients(setup.game).mean(axis=0)
    np.testing.assert_allclose(folder.gradients(setup.players), expected, rtol=1e-4, atol=1e-6)
    assert "4 questions" in folder.gradients_message()
    decoded = decode_step(folder)
    given = sm.decode(run.design, run, method="walsh_gp", seed=0, gradients=expected)
    without = sm.decode(run.design, run, method="walsh_gp", seed=0)
    masks = sm.designs.biased(36, 50, keep_rate=0.8, seed=5).masks
    np.testing.assert_allclose(decoded.spectrum(masks), given(masks), rtol=1e-3, atol=1e-4)
    assert np.abs(decoded.spectrum(masks) - without(masks)).max() > 1e-2
    assert folder.load("spectrum.json")["settings"]["gradients"] is True
    assert "Before any ablation, gradients on 4 questions" in write_report(folder).read_text()


def test_they_are_taken_once_and_can_be_left_aside_later(setup, evaluated, monkeypatch, tmp_path):
    folder, run = evaluated
    kept = (folder.path / GRADIENTS).read_bytes()
    monkeypatch.setattr(gradients, "gate_gradients", pytest.fail)
    assert evaluate_step(setup, folder, progress=False)[0].evaluated == 0
    assert (folder.path / GRADIENTS).read_bytes() == kept
    plain = type(folder)(folder.path, spec_of("prune.baselines=[]", "decode.gradients=false"))
    decoded = decode_folder(plain)
    assert not decoded.gradients
    expected = sm.decode(run.design, run, method="walsh_gp", seed=0)
    assert decoded.spectrum.top(30) == expected.top(30)
    save_decoded(decoded, type(folder)(tmp_path, plain.spec))
    assert "gradients" not in json.loads((tmp_path / "spectrum.json").read_text())["settings"]


@pytest.mark.parametrize(
    "settings", [["players=heads"], ["decode.method=lasso"], ["decode.gradients=false"]]
)
def test_where_they_would_not_help_they_are_not_taken(settings, monkeypatch, tmp_path):
    monkeypatch.setattr(gradients, "gate_gradients", pytest.fail)
    setup = prepare(spec_of(*settings))
    folder = claim(tmp_path / "run", setup.spec)
    evaluate_step(setup, folder, progress=False)
    assert not folder.has(GRADIENTS) and setup.budget == len(setup.design) + 6
    assert "gradients" not in [phase.name for phase in plan(setup)]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (sm.InputError("metric 'margin' has no slope at the full model; ..."), "has no slope"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried\nto allocate"),
            "CUDA out of memory. Tried",
        ),
        (None, "they are not finite"),
    ],
)
def test_a_run_without_gradients_goes_on_and_says_why(error, says, setup, monkeypatch, tmp_path):
    def refuse(game):
        if error is not None:
            raise error
        return np.full((4, 36), np.nan)

    monkeypatch.setattr(gradients, "gate_gradients", refuse)
    folder = claim(tmp_path / "run", setup.spec)
    run, _ = evaluate_step(setup, folder, progress=False)
    message = folder.gradients_message()
    assert (
        message.startswith("no gradients were taken: ") and says in message and "\n" not in message
    )
    monkeypatch.setattr(gradients, "gate_gradients", pytest.fail)  # nor does it try again
    evaluate_step(setup, folder, progress=False)
    decoded = decode_folder(folder)
    assert not decoded.gradients
    assert decoded.spectrum.top(9) == sm.decode(run.design, run, method="walsh_gp", seed=0).top(9)


@pytest.mark.parametrize("change", [{"players": ["a", "b"]}, {"gradients": "many"}])
def test_a_file_that_does_not_belong_to_the_run_is_refused(change, evaluated, tmp_path):
    folder, _ = evaluated
    other = type(folder)(tmp_path, folder.spec)
    other.save(GRADIENTS, {**folder.load(GRADIENTS), **change})
    players = sm.PlayerSet.from_names(folder.load(GRADIENTS)["players"])
    with pytest.raises(sm.InputError, match=r"gradients\.json is not what this version writes"):
        other.gradients(players)


def test_they_count_as_four_ablations(setup, evaluated):
    folder, _ = evaluated
    decoded = decode_folder(folder)
    assert setup.budget == len(setup.design) + 4 + 6
    (phase,) = (phase for phase in plan(setup) if phase.name == "gradients")
    assert (phase.masks, phase.rows) == (4, 16)
    (ours,) = prune.choose_kept_sets(setup, folder, decoded, progress=False)
    assert len(setup.design) + 4 < ours.ablations <= setup.budget


def test_rounds_take_them_before_the_first(tmp_path):
    spec = spec_of(
        "design.budget=auto", "design.max_budget=60", "design.target_r2=1", "design.check=8"
    )
    setup = prepare(spec)
    folder = claim(tmp_path / "run", spec)
    taken = rounds_step(setup, folder, progress=False)
    decoded = decode_folder(open_folder(folder.path))
    assert decoded.gradients
    assert decoded.spectrum.top(30) == taken.spectrum.top(30)
    rounds = [round.r2 for round in taken.rounds]
    explained, again = explain_folder(
        spec, folder.path, progress=False
    )  # goes on, decodes no round again
    assert [round.r2 for round in explained.rounds] == rounds and again.gradients
    assert again.spectrum.top(30) == taken.spectrum.top(30)
