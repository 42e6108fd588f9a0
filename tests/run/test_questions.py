"""A run whose masks are asked some questions each: what its folder says, and what is read off it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.evaluation.stored_answers import every_answer, stored_answers
from spex_mech.run.decode import decode_folder, decode_store, save_decoded
from spex_mech.run.designs import search_design
from spex_mech.run.opening import claim, open_folder
from spex_mech.run.plan import plan, planned_choice
from spex_mech.run.setup import prepare
from spex_mech.run.spec import DecodeSpec
from spex_mech.run.spec_file import read_spec
from spex_mech.run.steps import evaluate_step

SETTINGS = [
    "game.examples=6", "design.budget=40", "design.check=12", "design.keep_rate=[0.5,0.9]",
    "decode.method=walsh_gp", "circuit.subsets=0",
]  # fmt: skip


def prepared(*settings):
    return prepare(read_spec(None, [*SETTINGS, *settings]))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    setup = prepared()
    folder = claim(tmp_path_factory.mktemp("runs") / "run", setup.spec)
    return setup, folder, evaluate_step(setup, folder)


def test_a_budget_of_masks_is_spent_on_their_answers(evaluated):
    _, folder, (searched, checked) = evaluated
    choice = folder.choice()
    assert choice.each == 1 and choice.questions == 6 and choice.pilot == 0
    assert len(searched.design) == 200 and len(searched.answers) == 240  # 40 masks x 6 questions
    assert (checked.answers.counts == 2).all() and len(checked.answers) == 72


def test_what_was_evaluated_is_read_without_the_model(evaluated):
    _, folder, (searched, _) = evaluated
    stored = sm.open_run(folder.masks)
    run = stored_answers(stored, searched.design, folder.choice().counts(200))
    for name in ("mask", "question", "values"):
        np.testing.assert_array_equal(getattr(run.answers, name), getattr(searched.answers, name))
    decoded = decode_folder(folder)
    assert decoded.held_out.answers == 2 and decoded.held_out.r2.low < decoded.held_out.r2.mean
    save_decoded(decoded, folder)
    content = folder.load("question-effects.json")
    assert len(content["questions"]) == 6 and len(content["effects"]) == len(content["parts"])
    assert folder.load("spectrum.json")["settings"]["answers"] == 240


def test_another_metric_and_some_of_the_questions(evaluated):
    setup, folder, (searched, _) = evaluated
    right = sm.open_run(folder.masks, metric="accuracy")
    run = stored_answers(right, searched.design, folder.choice().counts(200))
    expected = setup.game.per_asked(
        searched.scores[:, None], searched.answers.question[:, None], metric="accuracy"
    )
    np.testing.assert_array_equal(run.answers.values, expected[:, 0])
    some = stored_answers(
        right.with_metric(examples=np.array([4, 1])), searched.design, folder.choice().counts(200)
    )
    kept = np.isin(searched.answers.question, [4, 1])
    assert len(some.answers) == kept.sum() and some.answers.questions == 2
    assert len(some.design) == len(np.unique(searched.answers.mask[kept]))


def test_a_store_is_decoded_with_all_of_its_answers(evaluated):
    _, folder, (searched, _) = evaluated
    every = every_answer(sm.open_run(folder.masks))
    full = 0 if searched.masks.all(axis=1).any() else 6  # the whole model, asked all
    assert len(every.answers) >= len(searched.answers) - 40 + full
    decoded = decode_store(folder.masks, settings=DecodeSpec(method="walsh_gp"), questions="0-3")
    assert decoded.run.answers.questions == 4


def test_going_on_asks_nothing_again_and_a_gap_is_told(evaluated, tmp_path):
    setup, folder, (searched, _) = evaluated
    again, _ = evaluate_step(setup, folder)
    assert again.evaluated == 0
    np.testing.assert_array_equal(again.values, searched.values)
    new = claim(tmp_path / "part", setup.spec)
    (new.path / "questions.json").write_text((folder.path / "questions.json").read_text())
    part = sm.MaskDesign(searched.masks[:50], searched.design.seed)
    sm.evaluate(setup.game, part, questions=folder.choice().counts(50), store=new.masks)
    with pytest.raises(sm.InputError, match=r"1(49|50) of 200 masks are not stored"):
        decode_folder(new)


def test_a_run_of_before_was_asked_all_questions(tmp_path):
    setup = prepared("design.questions=all", "design.budget=8", "design.check=0")
    folder = claim(tmp_path / "run", setup.spec)
    searched, _ = evaluate_step(setup, folder)
    assert searched.answers is None and not folder.has("questions.json")
    header = folder.path / "spec.json"
    content = json.loads(header.read_text())
    del content["design"]["questions"]
    header.write_text(json.dumps(content))
    assert open_folder(folder.path).spec.design.questions == "all"
    with pytest.raises(sm.InputError, match=r"another design\.questions"):
        claim(folder.path, prepared("design.budget=8", "design.check=0").spec)


@pytest.mark.parametrize("questions, each", [("3", 3), ("6", None), ("all", None)])
def test_a_number_of_questions_is_taken_as_it_is(questions, each, tmp_path):
    setup = prepared(f"design.questions={questions}", "design.check=0", "design.budget=10")
    choice = planned_choice(setup)
    assert (None if choice is None else choice.each) == each
    phase = next(p for p in plan(setup) if p.name == "design")
    assert phase.rows == 60 and phase.masks == 60 // (each or 6)
    assert len(search_design(setup.spec.design, 32, None, choice)) == phase.masks


def test_more_questions_than_there_are_and_coded_designs():
    with pytest.raises(sm.InputError, match="expected 1 to 6, the number of search questions"):
        prepared("design.questions=7")
    coded = prepared(
        "design.kind=spex", "design.budget=2000", "design.check=0", "design.keep_rate=auto"
    )
    assert planned_choice(coded) is None
    with pytest.raises(sm.InputError, match="a number of questions, 'all', or 'auto'"):
        prepared("design.questions=0")


def test_damaged_choices_are_told(evaluated):
    _, folder, _ = evaluated
    path = folder.path / "questions.json"
    content = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(content), "each": 9}))
        with pytest.raises(sm.InputError, match=r"questions\.json is not what this version writes"):
            decode_folder(folder)
    finally:
        path.write_text(content)
