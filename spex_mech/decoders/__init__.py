"""Decoders: from (masks, values) to a sparse Fourier spectrum."""

from spex_mech.decoders.auto import decode
from spex_mech.decoders.lasso import lasso
from spex_mech.decoders.proxyspex import proxyspex
from spex_mech.decoders.stack import stack
from spex_mech.decoders.trees import tree_spectrum
from spex_mech.decoders.walsh_gp import walsh_gp

__all__ = ["decode", "lasso", "proxyspex", "stack", "tree_spectrum", "walsh_gp"]
