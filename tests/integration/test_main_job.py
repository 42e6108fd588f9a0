"""The main job on the embedded model, from spec to report, through the command line."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

import spex_mech as sm
from spex_mech import cli, pipeline
from spex_mech.report import write_report
from spex_mech.spec import read_spec

SMALL = [
    "game.examples=12",
    "design.budget=48",
    "design.check=8",
    "prune.keep=[24, 12]",
    "prune.ablations=12",
    "prune.export=12",
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
    setup = pipeline.prepare(read_spec(None, SMALL))
    result = pipeline.run(setup, folder, progress=False)
    write_report(result, folder)
    return folder, result


def test_everything_is_written(finished):
    folder, result = finished
    results = json.loads((folder / "results.json").read_text())
    assert results["heldout_r2"] == result.heldout_r2
    assert {p["method"] for p in results["curve"]} == {"ours", "lasso ranking", "best of random"}
    for point in results["curve"]:
        assert len(point["kept"]) == point["keep"]
        assert point["accuracy"]["n"] == 480
        if point["method"] != "ours":
            gain = point["ours minus this"]["accuracy"]
            assert gain["low"] <= gain["mean"] <= gain["high"]
    assert {p.name for p in (folder / "figures").iterdir()} == {
        f"{name}.png"
        for name in ("heads", "interactions", "fidelity", "pruning_accuracy", "pruning_margin")
    }


def test_the_spectrum_file_predicts_the_measured_masks(finished):
    folder, result = finished
    saved = json.loads((folder / "spectrum.json").read_text())
    place = {name: i for i, name in enumerate(saved["players"])}
    supports = [[place[p] for p in members] for members, _ in saved["terms"]]
    again = sm.Spectrum.from_supports(supports, [c for _, c in saved["terms"]], len(place))
    readout = replace(result.spectrum, predictor=None)
    np.testing.assert_allclose(again(result.run.masks), readout(result.run.masks), atol=1e-9)
    assert saved["readout_loss"] == result.spectrum.info["readout_loss"] < 0.1


def test_the_exported_model_answers_like_the_masked_one(finished):
    folder, result = finished
    setup = result.setup
    stock = transformers.AutoModelForCausalLM.from_pretrained(folder / "pruned").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "pruned")
    mask = next(
        p.choice.pruned.mask
        for p in result.curve
        if (p.choice.method, p.choice.keep) == (pipeline.OURS, 12)
    )
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
    (folder / "results.json").rename(folder / "results.done")
    (folder / "pruned").rename(tmp_path / "pruned")
    game = type(result.setup.game)
    monkeypatch.setattr(game, "scores", lambda *a: pytest.fail("evaluated again"))
    again = pipeline.run(pipeline.prepare(result.setup.spec), folder, progress=False)
    np.testing.assert_array_equal(again.run.values, result.run.values)
    for a, b in zip(again.curve, result.curve, strict=True):
        np.testing.assert_array_equal(a.choice.pruned.mask, b.choice.pruned.mask)
        assert a.metrics == b.metrics


def test_names_from_data_are_escaped_in_the_report(finished, tmp_path):
    folder, result = finished
    task = result.setup.task
    evil = [
        type(x)(x.id, "<script>alert(1)</script>" + x.prompt, x.answer, x.options, x.split)
        for x in task.examples[:20]
    ]
    setup = dataclasses.replace(result.setup, task=dataclasses.replace(task, examples=tuple(evil)))
    (tmp_path / "check").symlink_to(folder / "check")
    page = write_report(dataclasses.replace(result, setup=setup), tmp_path).read_text()
    assert "<script>" not in page and "&lt;script&gt;alert(1)" in page


def test_plan_prints_masks_tokens_and_time(monkeypatch, capsys):
    assert run_cli(monkeypatch, "plan", *flags(SMALL)) == 0
    lines = {
        line.split("  ")[0]: line.split()[-4:] for line in capsys.readouterr().out.splitlines()
    }
    assert lines["design"][-4] == "48"
    assert lines["pruning"][-4] == "24"
    assert lines["random baseline"][-4] == "72"
    tokens = int(lines["design"][-3].replace(",", ""))
    setup = pipeline.prepare(read_spec(None, SMALL))
    assert tokens == 48 * sum(len(t) for t in setup.game.prompts.tokens)


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
