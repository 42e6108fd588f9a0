"""The report's answer in words, its glossary and its downloads, against the run's own files."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.index_weights import WEIGHTS
from spex_mech.report.answer import answer
from spex_mech.report.contents import Contents, read_contents
from spex_mech.report.downloads import files_of, interactions_csv
from spex_mech.report.words import glossary, method_words, metric_words, noun
from spex_mech.run.opening import open_folder
from spex_mech.tasks.metrics import CHOICE_METRICS

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run of sixteen heads that an earlier version wrote."""
    return Path(shutil.copytree(FIXTURE, tmp_path_factory.mktemp("answer") / "run"))


@pytest.fixture(scope="module")
def contents(folder) -> Contents:
    return read_contents(open_folder(folder))


def saved(folder: Path, name: str):
    return json.loads((folder / name).read_text())


def test_the_answer_names_what_the_files_hold(contents, folder):
    said = dict(answer(contents, "margin"))
    assert list(said) == [
        "Which attention heads matter?",
        "Which work together?",
        "How sure is that?",
        "Can the model be smaller?",
        "What did it cost?",
    ]
    effects = sm.interactions(contents.spectrum, "Banzhaf", 1).values
    ranked = [contents.players.names[i] for (i,) in sorted(effects, key=lambda s: -effects[s])]
    parts = said["Which attention heads matter?"]
    assert parts.startswith(
        f"{ranked[0]} (+{effects[contents.players.names.index(ranked[0]),]:.2f})"
    )
    assert ranked[-1] in parts.partition("lower it")[2]
    layer, head = ranked[0][1:].split("H")
    assert f"({ranked[0]} is head {head} of layer {layer}; both are counted from 0.)" in parts
    joint = contents.interactions.joint(20)
    more, _, less = said["Which work together?"].partition("Partly replacing each other")
    std = contents.interactions.std
    sure = [(s, v) for s, v in joint if abs(v) > 2 * std[s]]
    for members, value in sure[:4]:
        assert contents.players.label(members) in (more if value > 0 else less)
    unsure = next(s for s, v in joint if abs(v) <= 2 * std[s])
    assert contents.players.label(unsure) not in more + less
    r2 = saved(folder, "check.json")["r2"]
    assert (
        f"(R² {r2['mean']:.3f}, 95 % interval {r2['low']:.3f} to {r2['high']:.3f})"
        in said["How sure is that?"]
    )
    assert (
        f"Of the {len(joint)} strongest interactions, {len(sure)} differ from 0"
        in said["How sure is that?"]
    )
    for point in saved(folder, "results.json")["curve"]:
        if point["method"] == "ours":
            (metric, *_) = saved(folder, "results.json")["full"]
            assert (
                f"with {point['keep']} of 16 kept it is {point[metric]['mean']:.3f}"
                in said["Can the model be smaller?"]
            )
    stored = sum(len(sm.open_run(p.parent).masks) for p in folder.glob("*/key.json"))
    assert said["What did it cost?"].startswith(f"{stored:,} versions of the model")


def test_an_unfinished_run_answers_what_it_can(contents):
    none = {"scores": None, "kept": [], "circuit": None, "held_out": None}
    said = dict(answer(replace(contents, **none), "margin"))
    assert "Can the model be smaller?" not in said
    assert said["How sure is that?"].startswith("Not measured: no masks were held out")
    none |= {"spectrum": None, "interactions": None}
    assert list(dict(answer(replace(contents, **none), "margin"))) == ["What did it cost?"]


def test_pairs_that_may_be_chance_are_not_claimed(contents):
    found = contents.interactions
    wide = replace(found, deviations=lambda: np.abs(list(found.values.values())))
    said = dict(answer(replace(contents, interactions=wide), "margin"))["Which work together?"]
    assert said.startswith("No pair can be told from chance") and "Worth more" not in said
    strongest = found.joint(1)[0][0]
    assert contents.players.label(strongest) in said
    unknown = dict(
        answer(replace(contents, interactions=replace(found, deviations=None)), "margin")
    )
    assert contents.players.label(strongest) in unknown["Which work together?"]


def test_without_interactions_it_says_so(contents):
    alone = sm.Spectrum.from_supports([(), (3,)], [1.0, -0.5], contents.players.n)
    changed = replace(contents, spectrum=alone, interactions=sm.interactions(alone, "FBII", 2))
    said = dict(answer(changed, "margin"))
    assert said["Which attention heads matter?"].startswith("L2H3 (+1.00) adds most to the margin")
    assert said["Which work together?"].startswith("No two of them")
    constant = sm.Spectrum.from_supports([()], [1.0], contents.players.n)
    said = dict(answer(replace(changed, spectrum=constant), "margin"))
    assert said["Which attention heads matter?"].startswith(
        "None: no single one changes the margin"
    )


def test_every_metric_and_index_has_its_meaning(contents):
    for name in CHOICE_METRICS:
        assert metric_words(name) and metric_words(f"{name}_norm").endswith("divided by its length")
    assert metric_words("my own") is None
    for index in WEIGHTS:
        changed = replace(contents, interactions=replace(contents.interactions, index=index))
        assert "how interactions are counted" in dict(glossary(changed, "margin"))[index]
    words = dict(glossary(contents, "margin"))
    assert words["player"].startswith("one of the 16 attention heads")
    assert "its output is set to zero" in words["mask"]
    assert [name for name, _ in method_words(contents)] == ["ours", "lasso ranking"]


def test_players_are_called_by_their_kind():
    model = sm.load_model("embedded")
    for select, called in (
        ("heads", "attention heads"),
        ("kv", "key/value groups"),
        ("layers", "layers"),
    ):
        assert noun(sm.select_players(model, select)) == called
    assert noun(sm.select_players(model, "heads mlps")) == "parts"


def test_the_table_holds_every_interaction(contents):
    rows = list(csv.DictReader(io.StringIO(interactions_csv(contents))))
    found = contents.interactions
    of_index = [row for row in rows if row["index"] == found.index]
    assert len(of_index) == len(found.values)
    place = {name: i for i, name in enumerate(contents.players.names)}
    for row in of_index:
        members = tuple(place[row[f"player {k}"]] for k in (1, 2) if row[f"player {k}"])
        assert float(row["value"]) == found.values[members] and int(row["order"]) == len(members)
        assert float(row["standard deviation"]) == found.std[members]
    values = [abs(float(row["value"])) for row in of_index]
    assert values == sorted(values, reverse=True)
    assert sum(row["index"] == "Banzhaf" for row in rows) == 16
    assert interactions_csv(replace(contents, spectrum=None)) is None


def test_no_name_is_a_formula_to_a_spreadsheet(contents):
    names = [f"{sign}cmd|' /C calc'!A{i}" for i, sign in enumerate("=+-@=+-@=+-@=+-@")]
    changed = replace(contents, players=sm.PlayerSet.from_names(names))
    for row in csv.DictReader(io.StringIO(interactions_csv(changed))):
        cells = [row["player 1"], row["player 2"]]
        assert all(cell == "" or cell.startswith("'") for cell in cells)


def test_files_are_those_that_are_there(contents, folder):
    listed = [name for name, _ in files_of(contents)]
    assert "spectrum.json" in listed and "size.json" not in listed
    assert all((folder / name).is_file() for name in listed)
