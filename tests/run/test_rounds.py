"""A run with ``design.budget = "auto"``: rounds until the spectrum is good enough, recorded in its folder."""

from __future__ import annotations

import json

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.report import write_report
from spex_mech.run.decode import decode_folder
from spex_mech.run.designs import search_design
from spex_mech.run.explain import explain_folder
from spex_mech.run.opening import claim, open_folder
from spex_mech.run.outline import outline
from spex_mech.run.plan import first_round, plan, planned_choice
from spex_mech.run.prune import _budget
from spex_mech.run.rounds import ROUNDS, rounds_from_json
from spex_mech.run.setup import prepare
from spex_mech.run.spec_file import read_spec
from spex_mech.run.steps import decode_step, evaluate_step, rounds_step

SETTINGS = [
    "players=heads:0-1", "game.examples=6", "design.budget=auto", "design.max_budget=75", "design.check=16",
    "design.keep_rate=[0.3,0.9]", "decode.method=walsh_gp", "circuit.subsets=0", "prune.keep=[12, 8]",
    "prune.export=none",
]  # fmt: skip


def spec_of(*settings):
    return read_spec(None, [*SETTINGS, *settings])


@pytest.fixture(scope="module")
def setup():
    return prepare(spec_of("design.target_r2=1.0"), pruning=True)


@pytest.fixture(scope="module")
def spent(setup, tmp_path_factory):
    """A run that never reaches its target."""
    folder = claim(tmp_path_factory.mktemp("runs") / "run", setup.spec)
    return folder, rounds_step(setup, folder)


def test_rounds_go_on_until_the_largest_budget_is_spent(setup, spent):
    folder, taken = spent
    record = folder.read(ROUNDS, rounds_from_json)
    assert record.rounds == taken.rounds and record.target_r2 == 1.0
    assert [found.masks for found in record.rounds] == [192, 288, 375]
    assert [found.rows for found in record.rounds] == [231, 346, 450]  # 75 x 6 answers at most
    assert all(found.held_out.low < found.r2 == found.held_out.mean for found in record.rounds)
    assert "spent all 450 of 450 answers under 375 masks in 3 rounds" in record.message
    used = open_folder(folder.path)
    assert used.spec.design.first == 375 and taken.run.answers is not None
    # What is read off the folder later is what was found here.
    decoded = decode_folder(used)
    np.testing.assert_array_equal(decoded.spectrum.coefficients, taken.spectrum.coefficients)
    assert decoded.held_out.r2 == record.rounds[-1].held_out
    assert _budget(setup, decoded) == 75 + 2 * 15


def test_a_target_in_reach_stops_the_run_and_what_follows_uses_its_masks_only(tmp_path, undrawn):
    setup = prepare(spec_of("design.target_r2=0.02"))
    folder = claim(tmp_path / "run", setup.spec)
    searched, checked = evaluate_step(setup, folder)
    record = folder.read(ROUNDS, rounds_from_json)
    assert record.rounds[-1].held_out.low >= 0.02 and "reached R²" in record.message
    assert len(searched.design) == record.rounds[-1].masks < 375 and len(checked.design) == 48
    again, _ = evaluate_step(setup, folder)
    assert again.evaluated == 0 and again.values.tobytes() == searched.values.tobytes()
    folder = open_folder(folder.path)
    decoded = decode_step(folder)
    assert len(decoded.design) == record.rounds[-1].masks
    later = prepare(folder.spec, pruning=True)  # as `spex-mech prune` does, from the folder's spec
    assert later.spec.design.first == record.rounds[-1].masks and _budget(later, decoded) < 75
    assert _budget(setup, decoded) == -(-record.rounds[-1].rows // 6) + 2 * 15
    page = write_report(folder).read_text()
    assert "Rounds: reached R²" in page and "design.budget=auto" in page
    assert "design.first" not in page.split("How this was made")[1].split("</pre>")[0]


def test_masks_of_later_rounds_are_fresh_and_none_is_asked_twice(setup, spent):
    _, taken = spent
    choice = planned_choice(setup)
    whole = search_design(setup.spec.design, 16, None, choice)
    np.testing.assert_array_equal(taken.run.masks, whole.masks)
    counts = choice.counts(len(whole))
    np.testing.assert_array_equal(taken.run.answers.counts, counts)
    design = sm.MaskDesign(whole.masks, setup.spec.design.seed)
    straight = sm.evaluate(setup.game, design, questions=counts)
    np.testing.assert_allclose(taken.run.values, straight.values, atol=1e-5)


def test_plan_shows_the_first_round_and_the_largest(setup):
    phases = plan(setup)
    whole = next(phase for phase in phases if phase.name == "design")
    first = first_round(setup, phases)
    assert (whole.masks, whole.rows) == (375, 450) and (first.masks, first.rows) == (192, 231)
    assert 0 < first.seconds < whole.seconds and first.tokens < whole.tokens
    fixed = prepare(spec_of("design.budget=10"))
    assert first_round(fixed, plan(fixed)) is None


def test_explain_asks_few_questions_and_takes_the_target_of_the_spec(tmp_path):
    spec = spec_of("design.target_r2=0.02")
    found, decoded = explain_folder(spec, tmp_path / "run")
    assert found.reached and found.choice.each == 1 and found.run.answers is not None
    assert decoded.held_out.r2 == found.rounds[-1].held_out
    whole, _ = explain_folder(
        spec_of("design.budget=40", "design.check=0"), tmp_path / "other", target_r2=0.999
    )
    assert not whole.reached and whole.rounds[-1].held_out is None
    assert "below the target 0.999" in whole.message and len(whole.run.answers) == 240


def test_rounds_of_other_settings_are_not_taken_for_these(spent, setup, tmp_path):
    folder, taken = spent
    record = json.loads((folder.path / ROUNDS).read_text())
    new = claim(tmp_path / "new", setup.spec)
    record["rounds"][0]["masks"] = 7
    (new.path / ROUNDS).write_text(json.dumps(record))
    with pytest.raises(sm.InputError, match="rounds of other masks"):
        rounds_step(setup, new)
    record["settings"]["decode"]["method"] = "lasso"
    (new.path / ROUNDS).write_text(json.dumps(record))
    assert [f.masks for f in rounds_step(setup, new).rounds] == [f.masks for f in taken.rounds]


@pytest.mark.parametrize(
    "settings, message",
    [
        (["design.kind=uniform"], "expected biased or stratified, or a number for design.budget"),
        (["design.kind=spex"], "expected biased or stratified"),
        (["design.budget=most"], "a valid integer or 'auto'"),
        (["design.target_r2=0"], r"design\.target_r2"),
        (["design.target_r2=1.2"], r"design\.target_r2"),
        (["design.max_budget=0"], r"design\.max_budget"),
    ],
)
def test_what_makes_no_sense_is_refused_before_a_model_is_loaded(settings, message):
    with pytest.raises(sm.InputError, match=message):
        outline(spec_of(*settings))
