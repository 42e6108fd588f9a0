"""`spex-mech specialise`: one command from a model and a task to a checkpoint, and what it says of it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.core.errors import OutputExistsError
from spex_mech.run.opening import open_folder
from spex_mech.run.specialise import prepare_specialise, specialise_spec
from spex_mech.tasks.prompts import encode

SMALL = {
    "players": "heads:0-1",
    "design.budget": "40",
    "design.check": "8",
    "prune.ablations": "8",
    "prune.tolerance": "2.0",
}


@pytest.fixture(scope="module")
def command(settings, tmp_path_factory):
    """The command on few questions, and its folder."""
    data = next(x for x in settings if x.startswith("asking.data="))
    rest = {k: v for k, v in SMALL.items() if k not in ("players", "design.budget")}
    values = [f"{key}={value}" for key, value in rest.items()]
    options = [part for value in (data, *values) for part in ("--set", value)]
    options += ["--players", SMALL["players"], "--budget", SMALL["design.budget"]]
    out = tmp_path_factory.mktemp("specialised") / "run"
    sizes = ("--keep", "0.75", "--keep", "8")
    task = ("--task", "embedded/people", "--other", "embedded/kinds")
    return ["specialise", "embedded", *task, *sizes, *options, "--out", str(out)], out


@pytest.fixture(scope="module")
def printed(command, ask):
    return ask(*command[0])


def test_it_says_what_it_will_cost_and_what_it_found(printed, command):
    _, out = command
    for text in (
        "embedded/kinds",  # a phase of the plan
        "memory: about",
        "loss on 8 validation questions, in margin:",
        "size chosen: ",
        "embedded/people, pruned for: 24 test questions; guessing is right on 25%",
        "embedded/kinds, not pruned for: 200 test questions",
        "calibration error",
        "KL to the full model",
        "form: own",
        "not gguf: GGUF cannot hold its tokenizer",
        "cache a token",
        f"report: {out / 'report.html'}",
    ):
        assert text in printed
    page = (out / "report.html").read_text()
    assert "<h3>embedded/kinds, not pruned for: 200 test questions" in page
    card = (out / "pruned" / "README.md").read_text()
    assert "## Before and after, on questions that no search saw" in card
    assert "embedded/kinds, not pruned for" in card and "## Measured costs" in card


def test_the_table_is_what_the_checkpoint_itself_answers(printed, command):
    """Plain Transformers on the test questions of both tasks, one prompt at a time."""
    out = command[1]
    spec = open_folder(out).spec
    small = sm.load_model(str(out / "pruned"))
    full = sm.load_model("embedded")
    for row, options in zip(
        json.loads((out / "comparison.json").read_text())["tasks"],
        ({"data": spec.asking.data}, {}),
        strict=True,
    ):
        task = sm.load_task(row["task"], **options)
        prompts = encode(task, "test", full.tokenizer, full.context)
        chosen = (
            np.linspace(0, len(prompts.ids) - 1, min(200, len(prompts.ids))).round().astype(int)
        )
        logps = []
        for model in (full, small):
            scores = []
            for i in chosen:
                logits = model.hf(torch.tensor([prompts.tokens[i]])).logits[0, -1].detach()
                scores.append(logits.numpy()[prompts.answers[i]])
            scores = torch.tensor(np.array(scores), dtype=torch.float64)
            logps.append(torch.log_softmax(scores, dim=1))
        right = torch.from_numpy(prompts.right[chosen])[:, None]
        expected = {"KL to the full model": [0.0, (logps[0].exp() * (logps[0] - logps[1])).sum(1)]}
        for logp in logps:
            others = logp.scatter(1, right, -torch.inf).amax(1)
            margin = logp.gather(1, right)[:, 0] - others
            expected.setdefault("margin", []).append(margin)
            expected.setdefault("accuracy", []).append((margin > 0).double())
        for measure in row["measures"]:
            if measure["name"] == "calibration error":
                continue  # tests/tasks/test_calibration.py
            before, after = (float(np.mean(np.asarray(x))) for x in expected[measure["name"]])
            assert measure["before"] == pytest.approx(before, abs=1e-4)
            assert measure["after"] == pytest.approx(after, abs=1e-4)
            assert measure["change"]["mean"] == pytest.approx(after - before, abs=1e-4)
            assert measure["change"]["low"] <= measure["change"]["high"]
            assert measure["change"]["n"] == row["questions"] == len(chosen)


def test_it_goes_on_where_it_stopped_and_refuses_a_finished_folder(
    printed, command, ask, tmp_path, undrawn
):
    words, out = command
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    again = [*words[:-1], str(copy)]
    with pytest.raises(OutputExistsError, match="its run is finished"):
        ask(*again)
    for name in ("report.html", "export.json", "comparison.json"):
        (copy / name).unlink()
    shutil.rmtree(copy / "pruned")
    stored = sorted(path.name for path in (copy / "masks" / "shards").iterdir())
    said = ask(*again)
    assert (
        said.split("size chosen")[1].split("measured")[0]
        == (printed.split("size chosen")[1].split("measured")[0])
    )
    assert sorted(path.name for path in (copy / "masks" / "shards").iterdir()) == stored
    with pytest.raises(OutputExistsError, match=r"another prune\.servable, prune\.form"):
        ask(*again, "--form", "own")


def test_a_dense_export_of_the_same_run_needs_no_other_options(printed, command, ask, tmp_path):
    said = ask("export", command[1], "--mode", "dense", "--out", tmp_path / "dense")
    written = f"written: {tmp_path / 'dense'} (its README.md says how to load it)"
    assert said.splitlines() == ["form: dense", written]
    small, dense = (sm.load_model(str(x)) for x in (command[1] / "pruned", tmp_path / "dense"))
    ids = torch.arange(1, 9)[None]
    torch.testing.assert_close(small.hf(ids).logits, dense.hf(ids).logits, atol=1e-4, rtol=0)


def test_the_plan_alone_leaves_no_folder(command, ask, tmp_path):
    words = [*command[0][:-1], str(tmp_path / "none"), "--plan", "--form", "family"]
    said = ask(*words, "--players", "heads")
    assert "only sets that the form family holds are searched" in said and "total" in said
    assert not (tmp_path / "none").exists()


def test_sizes_as_shares_are_lowered_to_what_the_form_can_have(tmp_path):
    spec = specialise_spec("embedded", "embedded/people", keep=[0.9, 0.8, 0.4], form="family")
    setup = prepare_specialise(spec, tmp_path / "out")
    # Four layers, of 1, 2, 4 or 8 heads: their number divides the width, as Llama's config wants it.
    assert setup.sizes == [16, 8] and setup.form == "family"
    assert setup.limits.allows(np.ones((1, 32), dtype=bool)).all()
    assert [task.name for task in setup.others] == ["embedded/boxes", "embedded/capitals"]
    exact = specialise_spec("embedded", "embedded/people", keep=25, form="family")
    with pytest.raises(ValueError, match="no set of 25 of 32 players fits the form 'family'"):
        prepare_specialise(exact, tmp_path / "out")
