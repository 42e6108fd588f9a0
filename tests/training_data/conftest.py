"""Small labelled data for the training-data tests."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.training_data import Examples


def blobs(count: int, *, seed: int, classes: int = 3, features: int = 4) -> Examples:
    """Points about a centre for each class, a little mixed."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = 2.0 * np.eye(classes, features)
    inputs = centres[labels] + rng.normal(size=(count, features))
    return Examples(inputs, labels, tuple("abcdefgh"[:classes]))


@pytest.fixture
def train() -> Examples:
    """24 training examples of three classes."""
    return blobs(24, seed=1)


@pytest.fixture
def test() -> Examples:
    """Five test points."""
    return blobs(5, seed=2)
