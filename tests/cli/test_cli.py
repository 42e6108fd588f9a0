"""The commands one after the other on one small job, and what they say to mistakes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from typer.testing import CliRunner

import spex_mech as sm
from spex_mech import cli
from spex_mech.core.errors import DamagedStoreWarning, InputError
from spex_mech.run.designs import search_design
from spex_mech.run.folder import open_folder
from spex_mech.run.spec import CircuitSpec

SMALL = {
    "players": "heads:0-1",
    "game.examples": "8",
    "design.budget": "40",
    "design.check": "8",
    "prune.keep": "[12, 8]",
    "prune.ablations": "8",
    "prune.export": "8",
    "circuit.questions": "10",
    "circuit.subsets": "2",
}
FLAGS = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]


def ask(*arguments) -> str:
    """What a command prints; it must end well."""
    done = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    if done.exception is not None:
        raise done.exception
    assert done.exit_code == 0
    return done.output


@pytest.fixture(scope="module")
def task_cut(tmp_path_factory):
    """The embedded people's questions, few of them, so that tests take seconds."""
    from spex_mech.tasks.cards import load_card

    card = load_card("embedded/people")
    lines = (card.path.parent / card.values["data"]).read_text().splitlines()
    few = [line for line in lines if '"search"' in line][:8]
    few += [line for line in lines if '"validation"' in line][:8]
    few += [line for line in lines if '"test"' in line][:24]
    file = tmp_path_factory.mktemp("data") / "few.jsonl"
    file.write_text("\n".join(few))
    return file


@pytest.fixture(scope="module")
def job(tmp_path_factory, task_cut):
    """A run's folder after each step, with what the steps printed."""
    folder = tmp_path_factory.mktemp("job") / "run"
    data = ("--set", f"asking.data='{task_cut}'")
    printed = {"evaluate": ask("evaluate", *FLAGS, *data, "--out", folder)}
    for step in ("decode", "prune", "circuit", "export", "report"):
        printed[step] = ask(step, folder)
    return folder, printed


@pytest.fixture
def copy(job, tmp_path):
    """The job's folder to write to."""
    return Path(shutil.copytree(job[0], tmp_path / "copy"))


def test_every_step_says_what_it_did(job):
    folder, printed = job
    design = search_design(open_folder(folder).spec.design, 16)
    new = len(np.unique(design.masks, axis=0)) + (not design.masks.all(axis=1).any())
    assert f"40 biased masks, {new} evaluated now" in printed["evaluate"]
    assert "decoder: " in printed["decode"] and "on 8 held-out masks" in printed["decode"]
    assert "strongest interactions (FBII" in printed["decode"]
    assert "test accuracy of the full model" in printed["prune"]
    assert printed["prune"].count("best of random") == 4
    assert "circuit of 8 of 16 players; margin on 10 questions" in printed["circuit"]
    assert f"written: {folder / 'pruned'}" in printed["export"]
    assert f"report: {folder / 'report.html'}" in printed["report"]


def test_help_and_spec_say_which_questions_a_circuit_is_tested_on():
    help_text = " ".join(ask("circuit", "--help").replace("│", " ").split())
    assert "How many test questions, spread over all of them" in help_text
    assert "test questions to use, spread over all of them" in str(CircuitSpec.__doc__)


def test_steps_leave_what_a_whole_run_leaves(job, tmp_path, task_cut):
    folder, _ = job
    data = ("--set", f"asking.data='{task_cut}'")
    ask("run", *FLAGS, *data, "--out", tmp_path / "run")
    names = {p.name for p in folder.iterdir()}
    assert {p.name for p in (tmp_path / "run").iterdir()} == names
    for name in ("spectrum.json", "interactions.json", "check.json", "kept.json", "results.json"):
        assert (folder / name).read_text() == (tmp_path / "run" / name).read_text()
    weights = "pruned/model.safetensors"
    assert (folder / weights).read_bytes() == (tmp_path / "run" / weights).read_bytes()
    assert (folder / "circuit.json").read_text() == (tmp_path / "run" / "circuit.json").read_text()
    with pytest.raises(InputError, match=r"exists; choose a new folder .its run is finished"):
        ask("run", *FLAGS, *data, "--out", tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()  # as if it had been killed there
    assert "report: " in ask("run", *FLAGS, *data, "--out", tmp_path / "run")
    assert {p.name for p in (tmp_path / "run").iterdir()} == names


def test_evaluating_again_evaluates_nothing(job, task_cut):
    folder, _ = job
    out = ask("evaluate", *FLAGS, "--set", f"asking.data='{task_cut}'", "--out", folder)
    assert out.count("0 evaluated now") == 2
    with pytest.raises(InputError, match=r"its run has another game\.metric, asking\.data|another"):
        ask("evaluate", *FLAGS, "--set", "game.metric=accuracy", "--out", folder)


def test_another_metric_and_decoder_from_the_store_alone(job, tmp_path):
    folder, _ = job
    options = ("--metric", "accuracy", "--method", "lasso", "--seed", "3", "--questions", "0-4,6")
    out = ask(
        "decode", folder / "masks", *options, "--index", "Shapley", "--order", 1, "--out", tmp_path
    )
    assert "no interaction of two or more players (Shapley)" in out
    saved = json.loads((tmp_path / "spectrum.json").read_text())
    assert saved["settings"] == {
        "store": "masks",
        "metric": "accuracy",
        "questions": [0, 1, 2, 3, 4, 6],
        "masks": len(sm.open_run(folder / "masks").masks),
        "method": "lasso",
        "seed": 3,
    }
    stored = sm.open_run(folder / "masks").with_metric(
        "accuracy", examples=np.array([0, 1, 2, 3, 4, 6])
    )
    again = sm.decode(stored.design, stored.values, method="lasso", seed=3)
    expected = [[[saved["players"][i] for i in s], c] for s, c in again.top(99, include_empty=True)]
    assert saved["terms"] == expected


def test_another_spectrum_of_a_run_goes_elsewhere_once_kept_sets_follow_from_it(copy, tmp_path):
    before = (copy / "spectrum.json").read_text()
    with pytest.raises(InputError, match="holds kept sets that follow from its present spectrum"):
        ask("decode", copy, "--method", "lasso")
    assert (copy / "spectrum.json").read_text() == before
    ask("decode", copy, "--method", "lasso", "--out", tmp_path / "other")
    assert (
        json.loads((tmp_path / "other" / "spectrum.json").read_text())["settings"]["method"]
        == "lasso"
    )
    assert open_folder(copy).spec.decode.method == "auto"
    (copy / "kept.json").unlink()
    ask("decode", copy, "--method", "lasso")
    assert open_folder(copy).spec.decode.method == "lasso"


def test_pruning_again_to_other_sizes_is_counted_as_another_look(copy):
    out = ask("prune", copy, "--keep", 5, "--ablations", 4)
    assert "scored for 2 choices of kept sets" in out
    spec = open_folder(copy).spec
    assert spec.prune.keep == [5] and spec.prune.export is None
    kept = json.loads((copy / "kept.json").read_text())
    assert {len(row["kept"]) for row in kept} == {5}
    assert not (copy / "circuit.json").exists()
    with pytest.raises(InputError, match=r"keep is 8, expected one of the sizes .* \[5\]"):
        ask("export", copy, "--keep", 8, "--out", copy / "other")


def test_the_size_is_chosen_on_validation_questions(copy, task_cut):
    out = ask(
        "prune",
        copy,
        "--keep",
        0.9,
        "--keep",
        8,
        "--choose",
        "--ablations",
        4,
        "--baseline",
        "none",
    )
    chosen = json.loads((copy / "size.json").read_text())
    assert "on 8 validation questions" in out and f"size chosen: {chosen['keep']}" in out
    passed = [row["keep"] for row in chosen["sizes"] if row["passed"]]
    assert chosen["keep"] == min(passed) and [row["keep"] for row in chosen["sizes"]] == [14, 8]
    for row in chosen["sizes"]:
        loss = row["full minus this"]["mean"]
        assert row["passed"] <= (loss <= row["standard error"] + 1e-9)
    shutil.rmtree(copy / "pruned")
    ask("export", copy)
    assert f"{chosen['keep']} of 16 parts kept" in (copy / "pruned" / "README.md").read_text()
    assert {k["method"] for k in json.loads((copy / "kept.json").read_text())} == {"ours"}


def test_limits_are_kept_at_every_size(copy):
    ask("prune", copy, "--keep", 8, "--per-layer", 4, "--ablations", 6, "--no-test")
    (kept,) = json.loads((copy / "kept.json").read_text())
    layers = [name[:2] for name in kept["kept"]]
    assert sorted(layers) == ["L0"] * 4 + ["L1"] * 4


def test_compact_checkpoints_with_measured_costs(job, tmp_path):
    folder, _ = job
    target = tmp_path / "small"
    ask("export", folder, "--keep", 12, "--mode", "compact", "--measure", "--out", target)
    card = (target / "README.md").read_text()
    assert "Measured costs" in card and "| parameters |" in card and "test margin" in card
    kept = next(
        row
        for row in json.loads((folder / "kept.json").read_text())
        if row["method"] == "ours" and row["keep"] == 12
    )
    ids = torch.arange(1, 9)[None]
    dense = tmp_path / "dense"
    ask("export", folder, "--keep", 12, "--out", dense)
    a = sm.load_model(str(target)).hf(ids).logits
    b = transformers.AutoModelForCausalLM.from_pretrained(dense).eval()(ids).logits
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert len(kept["kept"]) == 12 and open_folder(folder).spec.prune.mode == "dense"


def test_a_report_needs_neither_model_nor_torch(copy):
    (copy / "report.html").unlink()
    (copy / "circuit.json").unlink()
    shutil.rmtree(copy / "figures")
    code = (
        "import sys\n"
        "from spex_mech.report import write_report\n"
        f"write_report({str(copy)!r}, metrics=['logprob'])\n"
        "print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    page = (copy / "report.html").read_text()
    assert "Test logprob" in page and "Test margin" not in page
    assert (copy / "figures" / "pruning_logprob.png").stat().st_size > 1000


def test_decoding_needs_no_torch(copy):
    code = (
        "import sys\n"
        "from spex_mech.cli import app\n"
        f"app(['decode', {str(copy / 'masks')!r}, '--method', 'lasso'], standalone_mode=False)\n"
        "print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_half_finished_runs_have_a_report(copy):
    for name in ("circuit.json", "results.json", "kept.json"):
        (copy / name).unlink()
    page = Path(ask("report", copy).split("report: ")[1].strip()).read_text()
    assert f"spex-mech prune {copy}" in page and "Strongest interactions" in page
    assert "Pruned models" not in page
    for name in ("spectrum.json", "interactions.json", "check.json"):
        (copy / name).unlink()
    page = Path(ask("report", copy).split("report: ")[1].strip()).read_text()
    assert f"spex-mech decode {copy}" in page and "Strongest interactions" not in page
    assert sm.open_run(copy / "masks").texts[0][0].splitlines()[0] in page


def test_text_from_data_is_escaped(copy):
    for name in ("circuit.json", "results.json", "check.json"):
        (copy / name).unlink()
    evil = "<script>alert(1)</script>"
    spec = json.loads((copy / "spec.json").read_text())
    (copy / "spec.json").write_text(json.dumps({**spec, "model": evil, "task": evil}))
    saved = json.loads((copy / "spectrum.json").read_text())
    saved["info"]["message"] = evil
    (copy / "spectrum.json").write_text(json.dumps(saved))
    page = Path(ask("report", copy).split("report: ")[1].strip()).read_text()
    assert "<script>" not in page and page.count("&lt;script&gt;alert(1)") >= 4


def test_explaining_stops_at_its_target_and_others_go_on_from_there(tmp_path):
    (tmp_path / "easy.toml").write_text(
        'version = 1\ndescription = "easy"\nplayers = 12\nsets = 4\ndegrees = [1, 2]\n'
    )
    out = tmp_path / "game"
    options = (
        *("--set", f"task={tmp_path / 'easy.toml'}", "--set", "design.keep_rate=0.5"),
        *("--set", "design.check=16", "--method", "walsh_gp", "--out", out),
    )
    printed = ask("explain", *options, "--budget", 150, "--target-r2", 0.9)
    assert "reached R²" in printed and "on 16 held-out masks" in printed
    spec = open_folder(out).spec
    assert spec.design.first == 96  # rounds of 64, 96, 144, 150
    before = (out / "spectrum.json").read_text()
    ask("decode", out)
    assert (out / "spectrum.json").read_text() == before
    # Without a target it goes on from the masks that are there, up to the budget.
    ask("explain", *options, "--budget", 150)
    assert open_folder(out).spec.design.first == 150
    stored = sm.open_run(out / "masks")
    design = search_design(open_folder(out).spec.design, 12)
    assert len(stored.masks) == len(np.unique(design.masks, axis=0))
    truth = sm.load_game(tmp_path / "easy.toml")
    np.testing.assert_allclose(stored(design.masks), truth(design.masks))
    page = Path(ask("report", out).split("report: ")[1].strip()).read_text()
    assert "on 16 masks held out" in page and "Strongest interactions" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["decode", "{run}", "--method", "magic", "--out", "new"],
            "method is 'magic', expected one of auto",
        ),
        (["decode", "{run}", "--metric", "speed", "--out", "new"], "unknown metric 'speed'"),
        (["decode", "{run}", "--set", "players=kv"], "was evaluated with another players"),
        (["decode", "{run}", "--set", "decode.sed=3"], r"did you mean 'decode.seed'"),
        (["decode", "{run}", "--questions", "0-3"], "--questions goes with a store"),
        (["decode", "{run}/masks", "--questions", "three"], "cannot read questions 'three'"),
        (["decode", "{run}/masks", "--questions", "0-99999999999"], "from 0, below 10 million"),
        (["decode", "{run}/masks", "--questions", "²"], "from 0, below 10 million"),
        (["decode", "{run}/masks", "--questions", "99"], r"examples \[99\] of 8"),
        (["decode", "{run}/masks", "--index", "XII"], "index is 'XII', expected one of"),
        (["decode", "nothing"], "'nothing' holds no run"),
        (["prune", "{run}/masks"], "is a store, not a run's folder; give .* such as"),
        (["prune", "{run}", "--keep", "17"], "expected sizes from 1 to 16"),
        (["prune", "{run}", "--set", "design.budget=9"], "another design.budget; prune can change"),
        (
            ["prune", "{run}", "--baseline", "magic"],
            "prune.baselines has 'magic', expected any of 'lasso",
        ),
        (["prune", "{run}", "--per-layer", "0"], "no set"),
        (["prune", "{run}", "--per-layer", "3", "--baseline", "random"], "do not keep"),
        (["prune", "{run}", "--set", "prune.keep=[]"], "expected sizes from 1 to 16"),
        (["prune", "nothing"], "'nothing' holds no run"),
        (["export", "{run}"], "exists; choose a new folder"),
        (
            ["export", "{run}", "--keep", "9", "--out", "new"],
            r"keep is 9, expected one of .*\[8, 12\]",
        ),
        (["export", "{run}", "--mode", "tiny", "--out", "new"], "prune.mode is 'tiny'"),
        (["export", "{run}", "--even", "--out", "new"], "prune.even goes with"),
        (["export", "{run}", "--measure", "--out", "new"], "prune.measure goes with"),
        (["circuit", "{run}", "--keep", "3"], "keep is 3, expected one of"),
        (["circuit", "{run}", "--questions", "few"], "'circuit.questions' is 'few'"),
        (["circuit", "{run}", "--questions", "1"], "circuit.questions 1; expected"),
        (["decode", "{run}/masks", "--out", "{run}"], "holds a run or a spectrum"),
        (["evaluate", "--set", "design.check=1", "--out", "new"], "design.check is 1, expected 0"),
        (["run", "--set", "circuit.subsets=-1", "--out", "new"], "'circuit.subsets' is -1"),
        (["run", "--set", "design.keep_rate=often", "--out", "new"], "design.keep_rate is 'often'"),
        (
            ["run", "--set", "prune.keep=[1.5]", "--set", "prune.export=none", "--out", "new"],
            "or a share of them",
        ),
        (["circuit", "{run}", "--set", "prune.keep=[3]"], "circuit can change circuit"),
        (["report", "nothing"], "'nothing' holds no run"),
        (["report", "{run}", "--metric", "speed"], "unknown metric 'speed'"),
        (["evaluate", "none.toml", "--out", "new"], "spec 'none.toml' does not exist"),
        (["evaluate", "--set", "players=heads:9", "--out", "new"], "this model has layers 0-3"),
        (["evaluate", "--executor", "magic", "--out", "new"], "unknown executor 'magic'"),
        (["evaluate", "--set", "design.first=999", "--out", "new"], "design.first is 999"),
        (["explain", "--target-r2", "2", "--out", "new"], "target_r2 is 2.0, expected"),
        (
            ["explain", "--set", "design.kind=paired", "--out", "new"],
            "expected biased or stratified",
        ),
        (["explain", "--set", "decode.seed=3", "--out", "new"], "one seed for both; give --seed"),
        (["run", "--set", "prune.mode=tiny", "--out", "new"], "prune.mode is 'tiny'"),
    ],
)
def test_mistakes_end_with_a_message_and_leave_nothing(
    job, monkeypatch, tmp_path, arguments, message
):
    folder, _ = job
    monkeypatch.chdir(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    with pytest.raises(InputError, match=message):
        ask(*(a.format(run=folder) for a in arguments))
    assert list(tmp_path.iterdir()) == []
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_damaged_files_are_named(copy):
    (copy / "results.json").write_text('{"full": {}}')
    with pytest.raises(
        InputError, match=r"results\.json is not what this version writes: it has no"
    ):
        ask("report", copy)
    (copy / "results.json").write_text("{")
    with pytest.raises(InputError, match=r"cannot read .*results\.json"):
        ask("report", copy)
    (copy / "spec.json").write_text('{"model": 3}')
    with pytest.raises(InputError, match="'model' is 3"):
        ask("report", copy)


def test_a_step_before_its_turn_says_which_comes_first(copy):
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


def damage(store):
    """Flip a byte of a store's largest shard; its name, and how many masks are lost."""
    shard = max((store / "shards").glob("*.parquet"), key=lambda p: p.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    lines = map(json.loads, (store / "journal.jsonl").read_text().splitlines())
    return shard.name, next(entry["rows"] for entry in lines if entry.get("shard") == shard.name)


def test_every_reader_says_what_is_damaged_and_what_that_costs(copy, tmp_path):
    masks = copy / "masks"
    stored = len(sm.open_run(masks).masks)
    name, lost = damage(masks)
    told = rf"1 shard is damaged or missing \({name}\), and with that {lost} of {stored} masks"
    with pytest.raises(InputError, match=rf"{told}; evaluating again .* --allow-damaged"):
        ask("decode", masks, "--out", tmp_path / "out")
    with pytest.warns(DamagedStoreWarning, match=told):
        ask("decode", masks, "--out", tmp_path / "out", "--allow-damaged")
    used = json.loads((tmp_path / "out" / "spectrum.json").read_text())["settings"]["masks"]
    assert used == stored - lost
    with pytest.warns(DamagedStoreWarning, match=told), pytest.raises(InputError, match="damaged"):
        ask("decode", copy)
    shown = ask("status", copy)
    assert re.search(told, shown) and f"{stored - lost:,} masks stored" in shown
    assert "damaged" not in ask("status", copy, "--no-verify")
    with pytest.warns(DamagedStoreWarning, match=told):
        ask("report", copy)
    page = (copy / "report.html").read_text()
    assert f"<b>{lost} masks are missing</b>" in page and name in page


def test_damage_is_a_sentence_on_the_terminal(copy, monkeypatch, capsys):
    damage(copy / "masks")
    monkeypatch.setattr(sys, "argv", ["spex-mech", "report", str(copy)])
    with warnings.catch_warnings(), pytest.raises(SystemExit) as stop:
        warnings.simplefilter("default")
        cli.main()
    assert stop.value.code == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"spex-mech: warning: {copy / 'masks'}: 1 shard is damaged")


@pytest.mark.parametrize("where", ["report.html.part", "figures", "masks/lock", "spectrum.json"])
@pytest.mark.parametrize("command", ["report", "decode", "circuit"])
def test_a_received_folder_with_a_link_in_it_is_refused(copy, tmp_path, where, command):
    outside = tmp_path / "outside"
    outside.write_text("precious")
    path = copy / where
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(outside)
    with pytest.raises(InputError, match=f"{path} is a link"):
        ask(command, copy)
    assert outside.read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["run"], True),
        (["explain", "game"], True),
        (["explain", "text", "--text", "a", "--out", "x"], True),
        (["explain", "text", "--text", "a"], False),
        (["plan"], False),
        (["report"], False),
    ],
)
def test_only_a_command_that_stores_says_that_something_is_kept(
    arguments, kept, monkeypatch, capsys
):
    def stopped(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["spex_mech.cli.main"], "app", stopped)
    monkeypatch.setattr(sys, "argv", ["spex-mech", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 130
    assert ("are kept, run again" in capsys.readouterr().err) == kept


@pytest.mark.parametrize("command", ["report", "export"])
def test_a_full_disk_while_pages_and_checkpoints_are_written_is_one_sentence(
    command, copy, monkeypatch
):
    shutil.rmtree(copy / "pruned")
    before = sorted(p.name for p in copy.iterdir())

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        patch.setattr("transformers.LlamaForCausalLM.save_pretrained", full)
        with pytest.raises(InputError, match=r"cannot write .*No space left on device.*make room"):
            ask(command, copy)
    assert sorted(p.name for p in copy.iterdir()) == before
    ask(command, copy)  # room was made


def test_a_full_disk_ends_with_a_message(monkeypatch, capsys, copy):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    command = ["decode", str(copy / "masks"), "--method", "lasso"]
    monkeypatch.setattr(sys, "argv", ["spex-mech", *command])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "No space left on device; make room" in capsys.readouterr().err
    assert not list((copy / "masks").glob("spectrum*"))
