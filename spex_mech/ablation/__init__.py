"""Ablation: how removed players are taken out of a forward pass."""

from spex_mech.ablation.fast.engine import FastEngine, obstacle
from spex_mech.ablation.fast.proof import ProvenEngine, prove
from spex_mech.ablation.fills import Ablation, mean, resample, zero
from spex_mech.ablation.gates import Gates, spread
from spex_mech.ablation.reference import ReferenceEngine

__all__ = [
    "Ablation",
    "FastEngine",
    "Gates",
    "ProvenEngine",
    "ReferenceEngine",
    "mean",
    "obstacle",
    "prove",
    "resample",
    "spread",
    "zero",
]
