"""The tables of analyses/benchmarks/rows: rows to an R², and what is only a bound."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parents[2] / "analyses" / "benchmarks" / "rows"
ALL, AUTO = ("auto", "all"), ("auto", "auto")
TASK = ("small", "task")


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(HERE), *sys.path])
    for name in ("tables", "needed", "cost"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("tables")


def results(seed: str, kind: tuple[str, str], curve: dict[int, float]) -> list[dict[str, str]]:
    same = {"model": "small", "task": "task", "seed": seed, "method": kind[0], "asked": kind[1]}
    return [{**same, "rows": str(rows), "r2": str(r2)} for rows, r2 in curve.items()]


def test_rows_between_two_budgets_are_interpolated_in_their_logarithm(tables):
    some = results("0", AUTO, {100: 0.4, 400: 0.8}) + results("1", AUTO, {100: 0.1, 400: 0.3})
    found = tables.rows_needed(some, TASK, AUTO, 0.6)
    assert found["0"] == pytest.approx(200)
    assert np.isnan(found["1"])


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio", "least", "most"),
    [
        ({100: 0.4, 400: 0.8}, {400: 0.2, 1600: 1.0}, 4, False, False),
        ({100: 0.4, 400: 0.8}, {400: 0.2, 1600: 0.5}, 8, True, False),
        ({100: 0.6, 400: 0.8}, {400: 0.2, 1600: 1.0}, 8, True, False),
        ({100: 0.4, 400: 0.8}, {400: 0.7, 1600: 1.0}, 2, False, True),
    ],
)
def test_a_ratio_says_whether_it_is_a_bound(tables, ours, theirs, ratio, least, most):
    some = results("0", AUTO, ours) + results("0", ALL, theirs)
    (found,) = tables.ratios(some, "small", ALL, 0.6)[TASK]
    assert found.value == pytest.approx(ratio)
    assert (found.least, found.most) == (least, most)


def test_a_seed_that_did_not_reach_the_level_with_few_questions_has_no_ratio(tables):
    some = results("0", AUTO, {100: 0.1}) + results("0", ALL, {400: 0.9})
    assert tables.ratios(some, "small", ALL, 0.6) == {}


def test_the_interval_of_a_median_lies_between_the_groups(tables):
    assert tables.median_interval([np.array([2.0, 2.0])]) == (2.0, 2.0)
    low, high = tables.median_interval([np.array([1.0]), np.array([3.0]), np.array([9.0])])
    assert (low, high) == (1.0, 9.0)


def test_the_choice_of_questions_is_compared_in_tokens(tables):
    choice = importlib.import_module("choice")
    row = {"task": "task", "shots": "5", "seed": "0", "each": "2"}
    some = [
        {**row, "asked": asked, "tokens": str(tokens), "r2": str(r2)}
        for asked, tokens, r2 in (
            *(("auto", 1000, 0.6), ("auto", 4000, 1.0)),
            *(("1", 1000, 0.4), ("1", 4000, 0.8)),
        )
    ]
    line = next(x for x in choice.table(some).splitlines() if x.startswith("| task, 5 | 0.8 |"))
    assert line == "| task, 5 | 0.8 | 2 | 2.0 | 4.0 | 0.50 |"
