"""The commands one after the other on one small job."""

from __future__ import annotations

import shutil

import pytest

from spex_mech.core.errors import DamagedStoreWarning, InputError
from spex_mech.run.designs import search_design
from spex_mech.run.opening import open_folder


def test_every_step_says_what_it_did(job):
    folder, printed = job
    run = open_folder(folder)
    choice = run.choice()
    design = search_design(run.spec.design, 16, run.keep_rate(), choice)
    answers = int(choice.counts(len(design)).sum())
    assert f"{len(design)} biased masks with {answers} answers, " in printed["evaluate"]
    assert (
        "decoder: " in printed["decode"] and "held-out masks, 2 questions each" in printed["decode"]
    )
    assert "strongest interactions (FBII" in printed["decode"]
    assert "test accuracy on 24 questions" in printed["prune"]
    assert (
        printed["prune"].count("best of random") == 2 + 2 * 2
    )  # kept sets, and a table for each metric
    assert "circuit of 8 of 16 players; margin on 10 questions" in printed["circuit"]
    assert f"written: {folder / 'pruned'}" in printed["export"]
    assert f"report: {folder / 'report.html'}" in printed["report"]


@pytest.mark.usefixtures("undrawn")
def test_steps_leave_what_a_whole_run_leaves(ask, job, tmp_path, settings):
    folder, _ = job
    ask("run", *settings, "--out", tmp_path / "run")
    names = {p.name for p in folder.iterdir()}
    assert {p.name for p in (tmp_path / "run").iterdir()} == names
    assert {"circuit.html", "attention.json", "circuit-curves.json"} <= names
    for name in ("spectrum.json", "interactions.json", "check.json", "kept.json", "results.json"):
        assert (folder / name).read_text() == (tmp_path / "run" / name).read_text()
    weights = "pruned/model.safetensors"
    assert (folder / weights).read_bytes() == (tmp_path / "run" / weights).read_bytes()
    assert (folder / "circuit.json").read_text() == (tmp_path / "run" / "circuit.json").read_text()
    with pytest.raises(InputError, match=r"exists; choose a new folder .its run is finished"):
        ask("run", *settings, "--out", tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()  # as if it had been killed there
    assert "report: " in ask("run", *settings, "--out", tmp_path / "run")
    assert {p.name for p in (tmp_path / "run").iterdir()} == names


def test_evaluating_again_evaluates_nothing(ask, job, settings):
    folder, _ = job
    words = ask("evaluate", *settings, "--out", folder).split()  # lines break where a path is long
    assert " ".join(words).count(" 0 evaluated now") == 2
    with pytest.raises(InputError, match=r"its run has another game\.metric"):
        ask("evaluate", *settings, "--set", "game.metric=accuracy", "--out", folder)


def test_a_step_before_its_turn_says_which_comes_first(ask, copy):
    (copy / "kept.json").unlink()
    for step in ("export", "circuit"):
        with pytest.raises(
            InputError, match=f"has no kept.json yet; spex-mech prune {copy} writes it"
        ):
            ask(step, copy)
    shard = max((copy / "masks" / "shards").glob("*.parquet"), key=lambda p: p.stat().st_size)
    shard.rename(copy / "shard")
    unfinished = r"is not finished, or a shard is damaged: .* not stored"
    with pytest.warns(DamagedStoreWarning), pytest.raises(InputError, match=unfinished):
        ask("decode", copy)
    (copy / "shard").rename(shard)
    shutil.rmtree(copy / "check")
    with pytest.raises(InputError, match="is no run store"):
        ask("decode", copy)
