"""TRAK and influence functions of dattri (extra ``peers``), as the analysis of data attribution uses them."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.training_data import (
    Examples,
    Recipe,
    TorchTrainer,
    TrainingGame,
    additive,
    datamodelling_scores,
    multilayer,
)

_PATH = Path(__file__).parents[2] / "analyses" / "data_attribution" / "peers.py"
_PEERS = runpy.run_path(str(_PATH))
influence_scores, trak_scores = _PEERS["influence_scores"], _PEERS["trak_scores"]

# importing dattri imports parts of torch that warn of their own end
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

LINEAR = TorchTrainer(
    lambda: multilayer((4,), 3, ()), Recipe(epochs=40, batch=24, rate=0.3, weight_decay=0.01)
)


def test_without_dattri_the_remedy_is_said(
    train: Examples, test: Examples, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "dattri", None)
    with pytest.raises(InputError, match=r"pip install 'spex_mech\[peers\]'"):
        trak_scores(LINEAR, train, test, seed=0)


@pytest.mark.parametrize("scores", [trak_scores, influence_scores])
def test_gradients_predict_retraining(scores, train: Examples, test: Examples):
    pytest.importorskip("dattri", reason="the extra peers is not installed")
    found = scores(LINEAR, train, test, seed=0)
    assert found.shape == (len(test), len(train))
    masks = np.random.default_rng(5).random((60, len(train))) < 0.5
    truth = TrainingGame(LINEAR, train, test)
    margins = truth.per_point(truth.scores(masks))
    assert datamodelling_scores(additive(found, masks), margins).mean() > 0.3


def test_shares_are_checked(train: Examples, test: Examples):
    pytest.importorskip("dattri", reason="the extra peers is not installed")
    with pytest.raises(InputError, match="keep 0"):
        trak_scores(LINEAR, train, test, keep=0, seed=0)
