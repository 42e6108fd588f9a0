"""Retraining without torch needs no torch, and every public name is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import spex_mech.training_data as td


def test_scikit_learn_games_need_no_torch():
    code = """
import sys
import numpy as np
import spex_mech as sm
import spex_mech.training_data as td
print([m for m in ("torch", "sklearn", "matplotlib") if m in sys.modules])
train, test = td.digits(12, 2, seed=0)
from sklearn.naive_bayes import GaussianNB
game = td.TrainingGame(td.SklearnTrainer(GaussianNB()), train, test)
run = sm.evaluate(game, sm.designs.uniform(12, 30, seed=0))
td.attribute(game.trainings(run), method="lasso", order=1).text(0)
print([m for m in ("torch", "transformers", "matplotlib") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


def test_every_public_name_is_there():
    for name in td.__all__:
        assert getattr(td, name).__module__.startswith("spex_mech.training_data")
    assert set(td.__all__) <= set(dir(td))
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(td, "no_such_name")  # noqa: B009
