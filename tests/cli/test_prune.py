"""`spex-mech prune`: other sizes, their choice, and limits of layers."""

from __future__ import annotations

import json
import shutil

import pytest

from spex_mech.core.errors import InputError
from spex_mech.run.opening import open_folder


def test_pruning_again_to_other_sizes_is_counted_as_another_look(ask, copy):
    out = ask("prune", copy, "--keep", 5, "--ablations", 4)
    assert "scored for 2 choices of kept sets" in out
    spec = open_folder(copy).spec
    assert spec.prune.keep == [5] and spec.prune.export is None
    kept = json.loads((copy / "kept.json").read_text())
    assert {len(row["kept"]) for row in kept} == {5}
    assert not (copy / "circuit.json").exists()
    with pytest.raises(InputError, match=r"keep is 8, expected one of the sizes .* \[5\]"):
        ask("export", copy, "--keep", 8, "--out", copy / "other")


def test_the_size_is_chosen_on_validation_questions(ask, copy):
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


def test_limits_are_kept_at_every_size(ask, copy):
    ask("prune", copy, "--keep", 8, "--per-layer", 4, "--ablations", 6, "--no-test")
    (kept,) = json.loads((copy / "kept.json").read_text())
    layers = [name[:2] for name in kept["kept"]]
    assert sorted(layers) == ["L0"] * 4 + ["L1"] * 4


def test_sets_are_kept_to_what_a_form_of_export_holds(ask, copy):
    """Of two layers' heads alone, only all leave every layer equally many."""
    with pytest.raises(
        InputError, match=r"no set of 8 of 16 players fits the form 'family'.* keep 16"
    ):
        ask("prune", copy, "--keep", 8, "--servable", "family", "--no-test")
    with pytest.raises(
        InputError, match="can hold no set of this model: GGUF cannot hold its token"
    ):
        ask("prune", copy, "--keep", 8, "--servable", "gguf", "--no-test")
    out = ask("prune", copy, "--keep", 16, "--servable", "family", "--ablations", 4, "--no-test")
    header, row = out.splitlines()[1:3]
    assert header.endswith("less than any form's best") and row.endswith(" 0.0000")
    (kept,) = json.loads((copy / "kept.json").read_text())
    assert kept["cost of the form"] == 0.0
    ask("export", copy, "--mode", "compact", "--form", "family", "--out", copy / "whole")
