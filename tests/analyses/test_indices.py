"""analyses/benchmarks/indices: references by a large sample, and the heads of a model."""

from __future__ import annotations

import csv
import json
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from spex_mech.core.interactions import interactions
from spex_mech.core.masks import all_masks
from spex_mech.decoders.decode import decode
from spex_mech.designs import MaskDesign
from tests.shared.scripts import modules_of

HERE = Path(__file__).parents[2] / "analyses" / "benchmarks" / "indices"
NAMES = ("heads", "large", "scores", "planted")


@pytest.fixture
def benchmark_of():
    with modules_of(HERE, NAMES) as module:
        yield module


def wavy(masks: np.ndarray) -> np.ndarray:
    """A game of 8 players that no small model fits."""
    masks = np.asarray(masks, dtype=bool)
    weights = np.random.default_rng(5).normal(size=8)
    return masks @ weights + 2.0 * masks[:, :3].all(axis=1) - np.sin(3 * masks[:, 3:].sum(axis=1))


INDICES = {"SV": ("Shapley", 1)} | {name: (name, 2) for name in ("SII", "FSII", "STII", "BII")}


def exact(n: int, name: str) -> np.ndarray:
    """An index of `wavy`, by its whole table and terms of all orders."""
    masks = all_masks(n)
    whole = decode(MaskDesign(masks, 0), wavy(masks), method="exact", seed=0)
    index, size = INDICES[name]
    values = interactions(whole, index, size).values
    return np.array([values.get(players, 0.0) for players in combinations(range(n), size)])


def sample_of(heads, seed: int):
    """Another draw of the sample of `wavy`, with the same fitted masks."""
    first = heads.draw(8, 40, 30)
    drawn = np.random.default_rng(seed).permuted(first.drawn, axis=1)
    masks = heads.Sample(first.fitted, drawn, np.zeros(0)).masks
    return heads.Sample(first.fitted, drawn, wavy(masks))


def test_the_reference_is_unbiased_and_knows_its_error(benchmark_of):
    heads = benchmark_of("heads")
    found = [heads.reference(sample_of(heads, seed)) for seed in range(24)]
    assert found[0]["r2_of_the_models"] < 0.9  # so that there is something to correct
    for index in INDICES:
        off = np.array([each[index]["values"] for each in found]) - exact(8, index)
        errors = [each[index]["standard_error"] for each in found]
        variance = np.square(errors).mean(axis=0)
        assert np.abs(off.mean(axis=0) / np.sqrt(variance / 24)).max() < 4
        assert 0.7 < np.mean(np.square(off) / variance) < 1.4
        if index == "SV":
            assert np.abs(off.sum(axis=1)).max() < 1e-10  # efficiency


@pytest.mark.parametrize("index", INDICES)
def test_the_shares_of_all_masks_give_the_index(benchmark_of, index):
    heads = benchmark_of("heads")
    masks = all_masks(8)
    weighted = heads.weighted(masks, wavy(masks), index)
    by_size = [weighted[masks.sum(axis=1) == present].mean(axis=0) for present in range(9)]
    np.testing.assert_allclose(np.sum(by_size, axis=0), exact(8, index), atol=1e-10)


def test_a_stopped_evaluation_goes_on(benchmark_of, tmp_path):
    heads = benchmark_of("heads")
    calls = []

    def stopping(masks: np.ndarray) -> np.ndarray:
        calls.append(len(masks))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return wavy(masks)

    with pytest.raises(KeyboardInterrupt):
        heads.evaluate(stopping, 8, tmp_path / "some.npz", 40, 30, step=50)
    heads.evaluate(stopping, 8, tmp_path / "some.npz", 40, 30, step=50)
    with np.load(tmp_path / "some.npz") as file:
        sample = heads.Sample(file["fitted"], file["drawn"], file["values"])
    np.testing.assert_array_equal(sample.values, wavy(sample.masks))
    assert sum(calls) == len(sample.masks) + 50  # the third call was repeated, no other


def test_a_sample_that_is_not_complete_gives_a_reference(benchmark_of):
    heads = benchmark_of("heads")
    whole = sample_of(heads, 0)
    part = heads.Sample(whole.fitted, whole.drawn, whole.values[:-50])
    found = [heads.reference(each) for each in (whole, part)]
    for index in INDICES:
        errors = [np.mean(each[index]["standard_error"]) for each in found]
        assert errors[0] < errors[1]


def test_another_process_evaluates_the_heads(benchmark_of):
    heads = benchmark_of("heads")
    game, served = heads.heads(), heads.Served(sys.executable)
    masks = np.random.default_rng(0).random((3, 32)) < 0.8
    try:
        np.testing.assert_allclose(
            served(masks[[0, 1, 0, 2]]), game(masks[[0, 1, 0, 2]]), atol=1e-5
        )
    finally:
        served.close()
    assert len(served.known) == 3


def test_a_game_with_a_reference_gives_rows_of_every_index(benchmark_of, tmp_path, monkeypatch):
    large = benchmark_of("large")
    reference, path = tmp_path / "reference.json", tmp_path / "large.csv"
    known = {name: {"values": exact(8, name).tolist()} for name in INDICES}
    reference.write_text(json.dumps(known))
    monkeypatch.setattr(large, "REFERENCE", reference)
    monkeypatch.setattr(large, "HEADS_BUDGETS", (60,))
    monkeypatch.setattr(large, "heads", lambda: wavy)
    arguments = ["--games", "heads", "--methods", "walsh_gp", "--out", str(path)]
    monkeypatch.setattr(sys, "argv", ["large.py", "ours", *arguments])
    large.main()
    lines = path.read_text().splitlines(keepends=True)
    large.main()  # nothing is left to do
    assert path.read_text().splitlines(keepends=True) == lines
    path.write_text("".join(lines[:2]))  # Shapley values are there, pairs are left
    large.main()
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["index"] for row in rows] == list(INDICES)
    for row in rows:
        assert (row["game"], row["n"], row["budget"]) == ("heads", "8", "60")
        assert float(row["error"]) < 0.25 and row["evaluations"] == "60"
    assert all(float(row["spearman"]) > 0.7 for row in rows[:3])  # many BII and STII are equal
