"""analyses/benchmarks/decoders: a run that goes on, the masks that `auto` saves, and shapiq's terms."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from spex_mech.core.masks import all_masks
from spex_mech.designs import uniform
from tests.shared.scripts import modules_of

HERE = Path(__file__).parents[2] / "analyses" / "benchmarks" / "decoders"
NAMES = ("run", "methods", "scores", "summary", "baselines")


@pytest.fixture
def benchmark_of():
    with modules_of(HERE, NAMES) as module:
        yield module


def game(n: int = 6) -> np.ndarray:
    masks = all_masks(n)
    return 1.0 * masks[:, 0] + 2.0 * (masks[:, 1] & masks[:, 2])


def test_a_run_measures_what_results_lack_and_keeps_the_rest(benchmark_of, tmp_path, monkeypatch):
    run = benchmark_of("run")
    np.savez(tmp_path / "small.npz", values=game(), n=6)
    base = ["run.py", "--games", str(tmp_path), "--seeds", "0", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*base, "--budgets", "20", "--methods", "lasso 2"])
    run.main()
    with (tmp_path / "results.csv").open() as file:
        (first,) = csv.DictReader(file)
    arguments = ["--missing", "--budgets", "20", "40", "--methods", "LIME", "lasso 2"]
    monkeypatch.setattr(sys, "argv", [*base, *arguments])
    run.main()
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == first  # its CPU seconds, too
    found = sorted((row["budget"], row["method"]) for row in rows)
    assert found == [("20", "LIME"), ("20", "lasso 2"), ("40", "LIME"), ("40", "lasso 2")]
    assert float(first["r2"]) > 0.99


def test_the_curve_of_auto_is_over_the_seeds_of_the_other(benchmark_of):
    summary = benchmark_of("summary")
    solved = {
        ("auto", 10): {("a", 0): [0.2], ("a", 1): [0.8]},
        ("auto", 20): {("a", 0): [0.4], ("a", 1): [0.9], ("b", 0): [0.0]},
        ("auto", 40): {("b", 0): [0.5]},
    }
    assert summary._curve(solved, "auto", {("a", 0)}) == [(10, 0.2), (20, 0.4)]
    both = summary._curve(solved, "auto", {("a", 0), ("a", 1)})
    np.testing.assert_allclose(both, [(10, 0.5), (20, 0.65)])


def test_the_terms_of_shapiqs_trees_are_their_predictions(benchmark_of):
    approximator = pytest.importorskip("shapiq.approximator", reason="a peer")
    if not hasattr(approximator, "ProxySHAP"):
        pytest.skip("shapiq 1.8 needs an environment with Python 3.12")
    methods = benchmark_of("methods")
    problem = methods.Problem(game(), uniform(6, 50, seed=0), 0)
    spectrum = methods.proxyshap_trees(problem.design, problem.values, 0)
    model = approximator.ProxySHAP(6, random_state=0).proxy_model
    model.fit(problem.design.masks, problem.values)
    np.testing.assert_allclose(
        spectrum(all_masks(6)), model.predict(all_masks(6)), rtol=1e-4, atol=1e-4
    )
    found = methods.shapiq_proxyspex(problem.design, problem.game, 0)
    assert len(found.trees) >= len(found.refitted) > 0
    assert 0 < found.trees_seconds <= found.seconds
