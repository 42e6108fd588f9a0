"""What rankings add to the search, measured in its smallest setting on the embedded model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.shared.scripts import modules_of

FOLDER = Path(__file__).parents[2] / "analyses" / "real_models"


@pytest.fixture
def proposals():
    with modules_of(FOLDER, ["proposals"]) as module:
        yield module("proposals")


def test_every_variant_spends_the_same_and_is_told(tmp_path, proposals):
    settings = ["model=embedded", "task=embedded/people", "game.examples=4", "design.budget=24"]
    settings += ["design.check=0", "prune.keep=[20, 10]", "prune.ablations=12", "prune.export=none"]
    settings += ["prune.baselines=[]"]
    rows = list(proposals.searched(settings, "people", 0, tmp_path / "run"))
    names = [proposals.NONE, proposals.LASSO, proposals.BOTH, proposals.GRADIENTS]
    assert [(row["variant"], row["keep"]) for row in rows] == [
        (n, k) for n in names for k in (20, 10)
    ]
    assert {row["ablations"] for row in rows} == {48}
    assert all(len(row["margin"]) == len(row["accuracy"]) == 480 for row in rows)

    table = list(proposals.table_lines(rows))
    plain = np.mean(rows[1]["margin"])
    gain = np.mean(rows[3]["margin"]) - plain
    line = next(line for line in table if line.startswith("| people, 0 | 10 |"))
    assert f" {plain:.2f}, " in line and f"| {gain:+.2f} [" in line


def test_runs_with_and_without_gradients_spend_the_same(tmp_path):
    with modules_of(FOLDER, ["decoder_gradients", "proposals"]) as module:
        compared = module("decoder_gradients")
        settings = ["model=embedded", "task=embedded/people", "players=heads mlps"]
        settings += ["game.examples=4", "design.questions=auto", "design.check=0"]
        settings += ["design.budget=12"]
        settings += ["prune.keep=[18]", "prune.ablations=4", "prune.export=none"]
        settings += ["prune.baselines=[]"]
        rows = list(compared.searched(settings, "people", 0, tmp_path / "run"))
        table = list(compared.table_lines(rows))
    assert [row["decoder"] for row in rows] == [compared.WITH, compared.WITHOUT]
    assert {row["ablations"] for row in rows} == {20}  # 12, 4 for the gradients, 4 to check
    gain = np.mean(rows[0]["margin"]) - np.mean(rows[1]["margin"])
    assert f"| {gain:+.2f} [" in next(line for line in table if line.startswith("| people, 0 |"))
