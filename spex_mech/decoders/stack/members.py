"""The members of a stack: what every member provides, and the members that are not Gaussian processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import spectrum_index_values
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import walsh_hadamard
from spex_mech.decoders.gp.posterior import WalshPosterior
from spex_mech.decoders.lasso import lasso_folds
from spex_mech.decoders.proxyspex import boosted_folds
from spex_mech.decoders.samples import Samples


class IndexValues(Protocol):
    """Interaction indices of a member, and the standard errors of what had to be drawn for them."""

    def __call__(
        self,
        words: UInt64[np.ndarray, "k w"],
        functional: IndexFunctional,
        tolerance: Float64[np.ndarray, " k"] | None,
        /,
    ) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
        """Of packed sets, with errors up to ``tolerance``; quickly and roughly without one."""
        ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """A member that has been fitted to all masks, and its predictions of held-out masks.

    Attributes:
        name: what it is called in ``info``.
        predict: from masks (k, n) to values (k,).
        held_out: float64 (m,), prediction of each sample without its fold; NaN where the member was
            fitted to that sample nevertheless.
        table: the values of all 2^n coalitions (2^n,), for few players.
        index_values: interaction indices; exact, but for warped processes.
        words: from keep rates (n,) and a number to the packed supports of the largest terms at those
            rates, at least that number if there are as many.
        held_out_std: float64 (m,), standard deviations of an evaluation about ``held_out``; NaN where they
            were not computed.
        posterior: the posterior that ``held_out_std`` comes from.
    """

    name: str
    predict: Callable[[Bool[np.ndarray, "k n"]], Float64[np.ndarray, " k"]]
    held_out: Float64[np.ndarray, " m"]
    table: Callable[[], Float64[np.ndarray, " N"]]
    index_values: IndexValues
    words: Callable[[Float64[np.ndarray, " n"], int], UInt64[np.ndarray, "s w"]]
    held_out_std: Float64[np.ndarray, " m"] | None = None
    posterior: WalshPosterior | None = None


def exact(
    closed_form: Callable[[UInt64[np.ndarray, "k w"], IndexFunctional], Float64[np.ndarray, " k"]],
) -> IndexValues:
    """Indices in closed form, which need no tolerance."""

    def index_values(
        words: UInt64[np.ndarray, "k w"],
        functional: IndexFunctional,
        tolerance: Float64[np.ndarray, " k"] | None,
        /,
    ) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
        return closed_form(words, functional), np.zeros(len(words))

    return index_values


class Member(Protocol):
    """Fits distinct masks whose folds are numbered 0, 1, ..."""

    @property
    def name(self) -> str:
        """What it is called in ``info``."""
        ...

    def __call__(self, data: Samples, fold: Int64[np.ndarray, " m"], seed: int) -> Fitted:
        """Fit to all of ``data``, and predict each fold from the others."""
        ...


@dataclass(frozen=True)
class Trees:
    """Boosted trees: the mean of the trees that are grown without each fold (see `proxyspex`).

    Attributes:
        nthread: threads of XGBoost.
        refit: whether a ridge refit of their largest terms may take their place, as in `proxyspex`.
        name: what it is called in ``info``.
    """

    nthread: int = 1
    refit: bool = False
    name: str = "trees"

    def __call__(self, data: Samples, fold: Int64[np.ndarray, " m"], seed: int) -> Fitted:
        """Fit to ``data``; ``seed`` decides the subsampling."""
        boosted = boosted_folds(
            _standard(data), fold, seed=seed, nthread=self.nthread, refit=self.refit
        )
        return _of_spectrum(self.name, boosted.spectrum, boosted.held_out, data)


@dataclass(frozen=True)
class Lasso:
    """LASSO on all terms of at most ``order`` players."""

    order: int = 2
    name: str = "lasso"

    def __call__(self, data: Samples, fold: Int64[np.ndarray, " m"], seed: int) -> Fitted:
        """Fit to ``data``; nothing is drawn."""
        spectrum, held_out, _ = lasso_folds(_standard(data), fold, order=self.order)
        return _of_spectrum(self.name, spectrum, held_out, data)


def _standard(data: Samples) -> Samples:
    """Samples whose values have mean 0 and standard deviation 1."""
    shift, scale = data.moments()
    return Samples(data.masks, (data.values - shift) / scale, data.counts)


def _of_spectrum(
    name: str, standard: Spectrum, held_out: Float64[np.ndarray, " m"], data: Samples
) -> Fitted:
    """A member whose terms are all known, fitted to standardised ``data``."""
    shift, scale = data.moments()
    terms = np.where(standard.words.any(axis=1), 0.0, shift) + scale * standard.coefficients
    spectrum = Spectrum(standard.words, terms, standard.n)

    def table() -> Float64[np.ndarray, " N"]:
        rows = spectrum.words[:, 0].astype(np.int64)
        return walsh_hadamard(
            np.bincount(rows, weights=spectrum.coefficients, minlength=1 << spectrum.n)
        )

    def words(rates: Float64[np.ndarray, " n"], count: int) -> UInt64[np.ndarray, "s w"]:
        return spectrum.truncate(count).words

    return Fitted(
        name, spectrum, shift + scale * held_out, table,
        exact(lambda sets, index: spectrum_index_values(spectrum, sets, index)), words,
    )  # fmt: skip
