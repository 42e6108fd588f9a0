"""Mask designs: which coalitions to evaluate. A design's cost, ``len(design)``, is known beforehand."""

from spex_mech.designs.biased import biased
from spex_mech.designs.design import MaskDesign
from spex_mech.designs.exhaustive import exhaustive
from spex_mech.designs.paired import paired
from spex_mech.designs.spex import spex
from spex_mech.designs.stratified import stratified
from spex_mech.designs.uniform import uniform

__all__ = ["MaskDesign", "biased", "exhaustive", "paired", "spex", "stratified", "uniform"]
