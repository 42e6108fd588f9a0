"""Ablation: how removed players are taken out of a forward pass."""

from spex_mech.ablation.fills import Ablation, mean, resample, zero
from spex_mech.ablation.gates import Gates, spread
from spex_mech.ablation.reference import ReferenceEngine

__all__ = ["Ablation", "Gates", "ReferenceEngine", "mean", "resample", "spread", "zero"]
