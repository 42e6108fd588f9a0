"""The main job on the embedded model, from spec to report, through the command line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

import spex_mech as sm
from spex_mech import cli
from spex_mech.report import write_report
from spex_mech.run.designs import check_design
from spex_mech.run.prune import kept_of
from spex_mech.run.setup import circuit_game, prepare
from spex_mech.run.spec_file import read_spec
from spex_mech.run.steps import run
from spex_mech.tasks.noise import expected_noise

SMALL = [
    "game.examples=12",
    "design.budget=48",
    "design.check=8",
    "prune.keep=[24, 12]",
    "prune.ablations=12",
    "prune.export=12",
    "circuit.questions=20",
    "circuit.subsets=3",
]


def run_cli(monkeypatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["spex-mech", *arguments])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code
    return 0


def flags(settings: list[str]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "out"
    setup = prepare(read_spec(None, SMALL))
    result = run(setup, folder, progress=False)
    write_report(result.folder)
    return folder, result


def test_everything_is_written(finished):
    folder, result = finished
    results = json.loads((folder / "results.json").read_text())
    assert {p["method"] for p in results["curve"]} == {"ours", "lasso ranking", "best of random"}
    assert results["looks at the test questions"] == 1
    for point in results["curve"]:
        assert len(point["kept"]) == point["keep"]
        assert point["accuracy"]["n"] == 480
        change = point["this minus the full model"]["margin"]
        full = results["full"]["margin"]["mean"]
        assert change["mean"] == pytest.approx(point["margin"]["mean"] - full)
        if point["method"] != "ours":
            gain = point["ours minus this"]["accuracy"]
            assert gain["low"] <= gain["mean"] <= gain["high"]
            assert 0 <= point["p of ours against this (McNemar)"] <= 1
    check = json.loads((folder / "check.json").read_text())
    assert check["r2"]["low"] < check["r2"]["mean"] < check["r2"]["high"]
    # 8 masks with 12 questions are 48 with 2; what all questions say of them is near what R² says.
    held = result.decoded.held_out
    assert check["questions asked"] == 2 and len(check["measured"]) == 48
    np.testing.assert_array_equal(check["measured"], held.measured)
    choice = result.folder.choice()
    masks = check_design(result.setup.spec.design, 32, result.folder.keep_rate(), choice).masks
    r2 = sm.faithfulness(result.decoded.spectrum, masks, result.setup.game(masks))
    assert held.r2.low < r2 < held.r2.high
    names = ("heads", "interactions", "pairs", "pilot", "by_question", "depth", "fidelity")
    names = (*names, "circuit", "circuit_tests", "circuit_curves", "attention_last")
    assert {p.name for p in (folder / "figures").iterdir()} == {
        f"{name}.{kind}"
        for name in (*names, "pruning_accuracy", "pruning_margin")
        for kind in ("png", "svg")
    }
    assert not list(folder.rglob("*.part"))


def test_the_spectrum_file_predicts_the_measured_masks(finished):
    folder, result = finished
    saved = json.loads((folder / "spectrum.json").read_text())
    place = {name: i for i, name in enumerate(saved["players"])}
    supports = [[place[p] for p in members] for members, _ in saved["terms"]]
    again = sm.Spectrum.from_supports(supports, [c for _, c in saved["terms"]], len(place))
    readout = replace(result.decoded.spectrum, predictor=None)
    masks = result.decoded.design.masks
    np.testing.assert_allclose(again(masks), readout(masks), atol=1e-9)
    assert saved["readout_loss"] == result.decoded.spectrum.info["readout_loss"] < 0.1


def test_the_circuit_is_the_exported_set(finished):
    folder, result = finished
    circuit = json.loads((folder / "circuit.json").read_text())
    kept = kept_of(result.folder, result.setup.players, 12)
    assert [node["id"] for node in circuit["nodes"]] == [
        name for name, k in zip(result.setup.players.names, kept.mask, strict=True) if k
    ]
    assert circuit["graph"]["alone"]["n"] == 20
    alone = result.setup.game.with_split("test")
    values = alone.per_example(alone.scores(kept.mask[None]))[0]
    ids = circuit_game(result.setup).prompts.ids
    chosen = [alone.prompts.ids.index(x) for x in ids]
    assert circuit["graph"]["alone"]["mean"] == pytest.approx(values[chosen].mean(), abs=1e-4)


def test_the_circuit_is_tested_on_questions_spread_over_all_test_questions(finished):
    setup = finished[1].setup
    every = [example.id for example in setup.task.select("test")]
    places = [every.index(x) for x in circuit_game(setup).prompts.ids]
    assert len(places) == 20 and places[0] == 0 and places[-1] == len(every) - 1
    steps = np.diff(places)
    assert steps.min() >= len(every) // 20 and steps.max() - steps.min() <= 1


def test_the_exported_model_answers_like_the_masked_one(finished):
    folder, result = finished
    setup = result.setup
    stock = transformers.AutoModelForCausalLM.from_pretrained(folder / "pruned").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "pruned")
    mask = kept_of(result.folder, setup.players, 12).mask
    scores = setup.game.scores(mask[None])[0]
    for example, expected in zip(setup.task.select("search"), scores, strict=True):
        ids = tokenizer(example.prompt, return_tensors="pt")["input_ids"]
        letters = [tokenizer(example.prompt + " " + o)["input_ids"][-1] for o in example.options]
        with torch.no_grad():
            logits = stock(ids).logits[0, -1, letters]
        np.testing.assert_allclose(logits.numpy(), expected, atol=1e-4)


def test_a_run_that_was_cut_off_is_taken_up_without_evaluating_anything_again(
    finished, tmp_path, monkeypatch
):
    folder, result = finished
    (folder / "results.json").unlink()
    (folder / "pruned").rename(tmp_path / "pruned")
    game = type(result.setup.game)
    for name in ("scores", "asked_scores"):
        monkeypatch.setattr(game, name, lambda *a: pytest.fail("evaluated again"))
    again = run(prepare(result.setup.spec), folder, progress=False)
    np.testing.assert_array_equal(again.decoded.run.values, result.decoded.run.values)
    for a, b in zip(again.scores.points, result.scores.points, strict=True):
        np.testing.assert_array_equal(a.kept.mask, b.kept.mask)
        assert a.metrics == b.metrics
    assert (folder / "pruned" / "model.safetensors").read_bytes() == (
        tmp_path / "pruned" / "model.safetensors"
    ).read_bytes()


def test_the_model_card_tells_the_run(finished):
    folder, result = finished
    card = (folder / "pruned" / "README.md").read_text()
    point = next(p for p in result.scores.points if p.kept.keep == 12 and not p.gains)
    for name in ("accuracy", "margin"):
        assert f"| test {name} | {point.metrics[name].mean:.4g} |" in card
    assert "embedded/people" in card and "FBII" in card and '"budget": 48' in card


def test_plan_prints_masks_tokens_and_time(monkeypatch, capsys):
    assert run_cli(monkeypatch, "plan", *flags(SMALL)) == 0
    out = capsys.readouterr().out
    lines = {line.strip().split("  ")[0]: line.split()[-5:] for line in out.splitlines()}
    masks_of, answers_of, tokens_of = -5, -4, -3
    # no masks, but the time of the engine's first answer
    assert lines["preparation"][masks_of : answers_of + 1] == ["0", "0"]
    assert lines["design"][masks_of : answers_of + 1] == ["480", "576"]  # 48 masks x 12 questions
    assert lines["pruning"][masks_of : answers_of + 1] == ["24", "288"]
    assert lines["baselines"][masks_of] == "72"
    curves = 3 * 2  # methods and sizes
    assert lines["circuit"][masks_of] == str(4 + 2 * 3 + 3 * 12 + curves)
    for split, questions in (("search", 12), ("test", 480)):
        differences = expected_noise(questions).differences
        said = f"{split} questions, {questions}: {differences}, assuming that 50% of the answers"
        assert said in " ".join(out.split())
    assert "no accuracy was measured" in out and "accuracy 0.5" not in out
    tokens = int(lines["design"][tokens_of].replace(",", ""))
    setup = prepare(read_spec(None, SMALL))
    assert tokens == int(576 * setup.game.asking_cost()[1])


def test_tasks_and_players_are_listed(monkeypatch, capsys):
    assert run_cli(monkeypatch, "tasks") == 0
    assert run_cli(monkeypatch, "players", "embedded", "kv:0 mlps:3") == 0
    out = capsys.readouterr().out
    assert "embedded/people" in out and "5 players: L0KV0 L0KV1 L0KV2 L0KV3 L3MLP" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "players=heads:9"], "this model has layers 0-3"),
        (["--set", "task=embedded/none"], "unknown task 'embedded/none'; did you mean"),
        (["--set", "prune.keep=[40]"], "expected sizes from 1 to 32"),
        (["--set", "prune.export=5"], r"prune.export is 5, expected one of [16, 10]"),
        (
            ["--set", "design.kind=gaussian"],
            "unknown design.kind 'gaussian'; expected one of biased",
        ),
        (["--set", "game.ablation=mean"], "only zero ablation can; set prune.export=none"),
        (["--set", "game.examples=999"], "cannot take the first 999 of the"),
        (["--set", "decode.method=magic"], "method is 'magic', expected one of auto"),
        (["--set", "interactions.index=XII"], "index is 'XII', expected one of"),
        (["none.toml"], "spec 'none.toml' does not exist"),
    ],
)
def test_mistakes_end_with_a_message_and_leave_nothing(
    monkeypatch, capsys, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert run_cli(monkeypatch, "run", "--out", "out", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("spex-mech: ") and message in error
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_exists_is_left_alone(monkeypatch, capsys, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert run_cli(monkeypatch, "run", *flags(SMALL), "--out", str(tmp_path / "out")) == 2
    assert "exists; choose a new folder" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]
