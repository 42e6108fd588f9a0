"""A game without a model and without questions: any function of the present players."""

from __future__ import annotations

import numpy as np

import spex_mech as sm


class Planted:
    """``value`` of each mask, which it is given as floats, 1.0 = present; it counts what it is asked."""

    fingerprint = "planted"

    def __init__(self, n, value):
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(n))
        self.value, self.asked = value, 0

    def __call__(self, masks):
        self.asked += len(masks)
        return np.array([float(self.value(row.astype(float))) for row in masks])
