"""The bins of a coded design, in which terms are added up, and the fit of the terms that are known.

All bins of all subsamplings stand in one array (C 2^b, D), row c 2^b + j for bin j of subsampling c,
one column for each of the D = 1 + P delays. A set of players is a row of player numbers padded with
-1, as the source code gives it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int64

from spex_mech.core.masks import unpack
from spex_mech.core.transform import walsh_hadamard
from spex_mech.designs.codes import xor_of
from spex_mech.designs.spex import SpexStructure

if TYPE_CHECKING:
    import scipy.sparse

_CG_TOLERANCE = 1e-15
_CG_STEPS = 300


@dataclass(frozen=True, eq=False)
class Bins:
    """The transformed samples of a coded design.

    Attributes:
        structure: the design's structure.
        amplitudes: float64 (C 2^b, D), U_{c,d}(j); see `spex_mech.designs.spex`.
    """

    structure: SpexStructure
    amplitudes: Float64[np.ndarray, "bins D"]

    @classmethod
    def from_values(cls, structure: SpexStructure, values: Float64[np.ndarray, " m"]) -> Bins:
        """Transform the values of each subsampling and delay on their own."""
        transformed = np.apply_along_axis(walsh_hadamard, 2, values[structure.rows])
        amplitudes = transformed.transpose(0, 2, 1).reshape(-1, transformed.shape[1])
        return cls(structure, amplitudes / (1 << structure.b))

    @cached_property
    def energy(self) -> Float64[np.ndarray, " bins"]:
        """Mean square of each bin over its delays."""
        return np.einsum("bd,bd->b", self.amplitudes, self.amplitudes) / self.amplitudes.shape[1]

    def places(self, sets: Int64[np.ndarray, "N t"]) -> Int64[np.ndarray, "N C"]:
        """The bin of each set in each subsampling."""
        hashed = xor_of(self.structure.hashes.T, sets).astype(np.int64)
        return hashed + (np.arange(self.structure.groups) << self.structure.b)

    def signs(self, sets: Int64[np.ndarray, "N t"]) -> Float64[np.ndarray, "N D"]:
        """(-1)^{|S ∩ d|} of each set and delay."""
        code = self.structure.code
        bits = unpack(xor_of(code.columns, sets), code.parity)
        return np.where(np.pad(bits, ((0, 0), (1, 0))), -1.0, 1.0)

    def offset_signs(self, sets: Int64[np.ndarray, "N t"]) -> Float64[np.ndarray, "N C"]:
        """(-1)^{|S ∩ o_c|} of each set and subsampling."""
        bits = xor_of(self.structure.offsets.T.astype(np.uint64), sets)
        return 1.0 - 2.0 * bits

    def matches(
        self, sets: Int64[np.ndarray, "N t"]
    ) -> tuple[Float64[np.ndarray, "N C"], Float64[np.ndarray, "N C"]]:
        """Each subsampling's estimate of each set's coefficient, and the estimate's variance.

        The variance counts as noise whatever else the bin holds.
        """
        places, delays = self.places(sets), self.amplitudes.shape[1]
        signs = self.signs(sets)
        estimates = np.empty(places.shape)
        for c in range(places.shape[1]):
            estimates[:, c] = np.einsum("nd,nd->n", signs, self.amplitudes[places[:, c]]) / delays
        estimates *= self.offset_signs(sets)
        rest = np.maximum(self.energy[places] - estimates**2, 1e-24 * self.energy.max())
        return estimates, rest / max(1, delays - 1)

    def without(
        self, sets: Int64[np.ndarray, "N t"], *, ridge: npt.ArrayLike = 0.0
    ) -> tuple[Bins, Float64[np.ndarray, " N"]]:
        """Fit the sets' coefficients to all samples at once, and subtract the terms from the bins.

        Least squares on the bins is least squares on the samples: each block's transform is
        orthogonal. Sets share few bins, so the normal equations are sparse.

        Args:
            sets: (N, t), distinct.
            ridge: penalty on the squared coefficients beside the squared error of all entries of
                the bins, one number or (N,).

        Returns:
            The bins that are left, and the coefficients (N,).
        """
        from scipy import sparse
        from scipy.sparse.linalg import cg

        terms = self._terms(sets)
        penalty = sparse.diags_array(np.broadcast_to(np.asarray(ridge, dtype=float), len(sets)))
        normal = sparse.csr_array(terms.T @ terms + penalty)
        target = terms.T @ self.amplitudes.ravel()
        coefficients, _ = cg(normal, target, rtol=_CG_TOLERANCE, maxiter=_CG_STEPS)
        left = self.amplitudes - (terms @ coefficients).reshape(self.amplitudes.shape)
        return replace(self, amplitudes=left), coefficients

    def _terms(self, sets: Int64[np.ndarray, "N t"]) -> scipy.sparse.csc_array:
        """Each set's contribution to every entry of the bins, (C 2^b D, N)."""
        from scipy import sparse

        bins, delays = self.amplitudes.shape
        entries = self.offset_signs(sets)[:, :, None] * self.signs(sets)[:, None, :]
        rows = self.places(sets)[:, :, None] * delays + np.arange(delays)
        ends = np.arange(len(sets) + 1) * (rows.shape[1] * delays)
        return sparse.csc_array((entries.ravel(), rows.ravel(), ends), (bins * delays, len(sets)))
