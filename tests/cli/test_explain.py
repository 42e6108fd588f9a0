"""`spex-mech explain`: rounds up to a target, and other commands on what it leaves."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.run.designs import search_design
from spex_mech.run.opening import open_folder


@pytest.mark.usefixtures("undrawn")
def test_explaining_stops_at_its_target_and_others_go_on_from_there(ask, tmp_path):
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


def test_plan_says_how_far_rounds_may_go(ask, settings):
    rounds = ("--set", "design.budget=auto", "--set", "design.max_budget=60")
    printed = ask("plan", *settings, *rounds)
    assert "the first has 192 masks (231 answers" in printed
    assert "stays below 0.9" in printed
    assert re.search(r"^ *design .* 400 +480 ", printed, re.MULTILINE)  # all that may be spent
    assert "rounds" not in ask("plan", *settings)
