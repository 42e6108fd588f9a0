"""`spex-mech run MODEL TASK --keep ...`: how words and options become a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from spex_mech.cli.naming import folder_for, spec_of, split_words
from spex_mech.core.errors import InputError
from spex_mech.run.spec import RunSpec
from spex_mech.run.spec_file import read_spec


def test_nothing_is_the_demo():
    assert spec_of() == RunSpec() and folder_for([]) == Path("runs/demo")


def test_a_model_and_a_task_with_options():
    spec = spec_of(
        ["smollm2", "circuits/ioi"],
        players="kv",
        budget="2000",
        examples="12",
        metric="logprob",
        ablation="zero",
        keep=[0.8, 0.5],
        settings=["design.seed=3"],
    )
    settings = ["model=smollm2", "task=circuits/ioi", "players=kv", "design.budget=2000"]
    settings += ["game.examples=12", "game.metric=logprob", "game.ablation=zero", "design.seed=3"]
    settings += ["prune.keep=[0.8, 0.5]", "prune.export=0.5", "circuit.subsets=0"]
    settings += ["prune.baselines=['lasso ranking']"]
    assert spec == read_spec(None, settings)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], (None, None, None)),
        (["my.toml"], (Path("my.toml"), None, None)),
        (["a/My.YAML", "m"], (Path("a/My.YAML"), "m", None)),
        (["my.yml", "m", "card.toml"], (Path("my.yml"), "m", "card.toml")),
        (["m", "card.toml"], (None, "m", "card.toml")),
        (["embedded"], (None, "embedded", None)),
    ],
)
def test_the_first_word_says_which(words, expected):
    assert split_words(words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["smollm2"], r"a task is missing after model 'smollm2'; write MODEL TASK"),
        (["m", "t", "x"], r"'x' is one word too many; write \[SPEC\] \[MODEL \[TASK\]\]"),
        (["s.toml", "m", "t", "x"], "'x' is one word too many"),
    ],
)
def test_other_words_are_refused(words, message):
    with pytest.raises(InputError, match=message):
        split_words(words)


def test_words_and_options_replace_what_a_spec_says_and_set_replaces_both(tmp_path):
    (tmp_path / "s.toml").write_text(
        'model = "a"\ntask = "b"\n[design]\nbudget = 7\nseed = 2\n[prune]\nkeep = [3]\nexport = 3\n'
    )
    file = str(tmp_path / "s.toml")
    assert spec_of([file]) == read_spec(file)
    changed = spec_of([file, "m", "t"], budget="9", players="kv")
    assert (changed.model, changed.task, changed.design.budget) == ("m", "t", 9)
    assert (changed.design.seed, changed.prune.keep, changed.prune.export) == (2, [3], 3)
    assert spec_of([file], budget="9", settings=["design.budget=8"]).design.budget == 8


@pytest.mark.parametrize(
    ("options", "sizes", "exported"),
    [
        ({"words": ["m", "games/peak"]}, [0.5], 0.5),
        ({"players": "kv"}, [0.5], 0.5),
        ({"keep": [24.0, 16.0]}, [24, 16], 16),
        ({"keep": [0.5], "export": "none"}, [0.5], None),
        ({"keep": [24.0, 16.0], "export": "auto"}, [24, 16], "auto"),
        ({"keep": [24.0, 16.0], "settings": ["prune.export=24"]}, [24, 16], 24),
        ({"words": ["m", "games/peak"], "settings": ["prune.keep=[4]", "prune.export=4"]}, [4], 4),
    ],
)
def test_the_last_size_is_exported_unless_something_else_is_said(options, sizes, exported):
    prune = spec_of(**options).prune
    assert prune.keep == sizes and prune.export == exported


def test_a_circuit_is_tested_where_it_is_asked_for():
    assert spec_of().circuit.subsets == RunSpec().circuit.subsets > 0
    assert spec_of(["m", "games/peak"]).circuit.subsets == 0
    assert spec_of(["m", "games/peak"], circuit=True).circuit.subsets == RunSpec().circuit.subsets
    assert spec_of(["m", "games/peak"], settings=["circuit.subsets=2"]).circuit.subsets == 2


def test_the_baseline_that_costs_no_ablation_is_the_only_one_without_a_spec():
    assert spec_of().prune.baselines == RunSpec().prune.baselines
    assert spec_of(["m", "games/peak"]).prune.baselines == ["lasso ranking"]
    asked = "prune.baselines=['best of random']"
    assert spec_of(["m", "games/peak"], settings=[asked]).prune.baselines == ["best of random"]


@pytest.mark.parametrize("budget", ["0", "-3", "many", "1.5", "nan", "[3]"])
def test_a_budget_is_checked_as_in_a_spec(budget):
    with pytest.raises(InputError, match=r"'design\.budget' is "):
        spec_of(budget=budget)


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        (["smollm2", "circuits/ioi"], "runs/smollm2-ioi"),
        (["./some where/model/", "my/Questions.csv"], "runs/model-Questions"),
        (["org/Name-1.7B", "mmlu/anatomy"], "runs/Name-1.7B-anatomy"),
        (["specs/mine.toml"], "runs/mine"),
        (["specs/mine.toml", "smollm2"], "runs/smollm2"),
        (["embedded"], "runs/embedded"),
        (["../..", "/"], "runs/run-run"),
    ],
)
def test_where_a_run_goes(words, folder):
    assert folder_for(words) == Path(folder)


def test_a_short_table_is_used_whole(tmp_path):
    rows = [f"Which is {i}?,one,two,{'AB'[i % 2]}" for i in range(40)]
    (tmp_path / "short.csv").write_text("\n".join(["question,A,B,answer", *rows]) + "\n")
    words = ["embedded", str(tmp_path / "short.csv")]
    assert spec_of(words).game.examples is None
    assert spec_of(words, examples="7").game.examples == 7
    assert spec_of(["embedded", "embedded/people"]).game.examples == 60
    assert spec_of(["embedded", "arc/easy"]).game.examples == 60  # is not fetched to be counted


def test_a_run_of_words_is_the_run_of_its_spec(ask, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = ask(
        *("evaluate", "embedded", "embedded/people", "--players", "heads:0-1", "--budget", "12"),
        *("--keep", "0.5", *settings[4:]),
    )
    folder = tmp_path / "runs" / "embedded-people"
    assert f"next: spex-mech decode {Path('runs/embedded-people')}" in printed
    spec = RunSpec.model_validate_json((folder / "spec.json").read_text())
    assert spec.players == "heads:0-1" and spec.model == "embedded"


def test_a_command_line_without_options_is_the_demo(monkeypatch, terminal):
    seen = []
    monkeypatch.setattr("spex_mech.run.setup.prepare", lambda spec, **_: seen.append(spec) or 1 / 0)
    for line in (["plan"], ["run"], ["evaluate"]):
        with pytest.raises(ZeroDivisionError):
            terminal(*line)
    assert seen == [RunSpec()] * 3
