"""ProxySPEX: boosted trees are fitted, and their exact Fourier spectrum is read (arXiv 2505.17495).

It departs from the paper in three ways, each chosen by cross-validation:

- The number of rounds comes from early stopping on the pooled error of held-out folds instead of a grid,
  and the trees of all folds are averaged, which uses every fold twice and makes the spectrum less
  variable.
- Terms are kept, largest first, until those left out make up 0.25 % of the values' variance on the
  design's own masks, instead of up to 95 % of the energy of the spectrum.
- The ridge refit replaces the trees' own coefficients only if it predicts held-out masks clearly better.

Nothing assumes that Fourier terms are orthogonal on the design, so p-biased, paired and stratified masks
are as good as uniform ones. The R² to expect is for masks drawn like the design's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.checks import (
    check_values,
    check_weights,
    constant_spectrum,
    distinct,
)
from spex_mech.decoders.ridge import parities, ridge
from spex_mech.decoders.samples import Samples, r2_of
from spex_mech.decoders.trees import tree_spectrum
from spex_mech.designs.design import MaskDesign

if TYPE_CHECKING:
    import xgboost

_FOLDS, _RATE = 5, 0.1  # of the cross-validation; the trees' learning rate
_SMALLEST = 16  # terms kept at the least
_LOSS = 0.0025  # share of the values' variance that the terms left out may make up
_REFIT = (16, 64, 256)  # numbers of terms to refit
# A refit must bring the held-out error below this share of the trees': what is returned is the average
# of all folds' trees, which does better than the trees of one fold, whose error is what can be measured.
_CLEARLY = 0.9
_STRIDE = 10  # rounds between two looks at the held-out error
_PATIENCE = 50  # rounds without improvement after which boosting stops


_Fold = tuple[Samples, Samples]  # what is trained on, and what is held out


def proxyspex(
    design: MaskDesign,
    values: npt.ArrayLike,
    *,
    seed: int = 0,
    depth: int = 5,
    rounds: int = 200,
    nthread: int = 1,
    weights: npt.ArrayLike | None = None,
    noise: float = 0.0,
) -> Spectrum:
    """Fit boosted trees to the values and return the largest Fourier terms of the trees.

    Args:
        design: any masks; equal masks are averaged.
        values: float64 (m,).
        seed: seed of the folds and of the trees' subsampling.
        depth: largest number of players of a term.
        rounds: most trees per fold.
        nthread: threads of XGBoost.
        weights: float64 (m,), how many answers each value is the mean of; by default 1.
        noise: variance of a single answer about its mask's value. It is taken off the errors and the values
            in ``r2_cv``, which is then that of values without noise.

    Returns:
        A spectrum whose ``info`` has ``r2_cv``, the cross-validated R², and ``terms``: ``trees`` or
        ``refit``.

    Raises:
        InputError: values or weights that do not fit the design, or fewer than 2 masks per fold.
    """
    y = check_values(design, values)
    if constant := constant_spectrum(design, y, "proxyspex"):
        return constant
    w = None if weights is None else check_weights(design, weights)
    first, means, counts = distinct(design, y, w)
    if constant := constant_spectrum(design, means, "proxyspex"):
        return constant
    if len(first) < 2 * _FOLDS:
        raise InputError(
            f"{len(first)} distinct masks in {_FOLDS} folds; proxyspex needs at least 2 masks per "
            "fold, so give it more masks"
        )
    shift, scale = float(np.average(y, weights=w)), float(y.std())
    data = Samples(design.masks[first], (means - shift) / scale, counts)
    fold = np.random.default_rng(seed).permutation(len(first)) % _FOLDS
    boosted = boosted_folds(
        data, fold, seed=seed, depth=depth, rounds=rounds, nthread=nthread, refit=True
    )
    spectrum, total = boosted.spectrum, data.error(data.values - data.moments()[0])
    if not boosted.refitted:
        spectrum = _sparsify(spectrum, data, total)
    r2 = 1.0 - boosted.error / total
    if noise:
        r2 = r2_of(boosted.held_out, data, noise / scale**2 / counts)
    constant_term = np.where(spectrum.words.any(axis=1), 0.0, shift)
    message = (
        f"{_FOLDS} x {boosted.trees} trees of depth {depth}, {len(spectrum)} terms "
        f"({'refitted by ridge' if boosted.refitted else 'as the trees have them'}); "
        f"expect R² {r2:.3f} on masks like these"
    )
    terms = "refit" if boosted.refitted else "trees"
    info = {"method": "proxyspex", "r2_cv": r2, "terms": terms, "message": message}
    return Spectrum(spectrum.words, scale * spectrum.coefficients + constant_term, design.n, info)


@dataclass(frozen=True, eq=False)
class Boosted:
    """Fourier terms of boosted trees.

    Attributes:
        spectrum: the average of all folds' trees, or the refit of its largest terms.
        refitted: whether the spectrum is a refit.
        held_out: float64 (m,), prediction of each sample by trees, or a refit, made without its fold.
        error: sum of squared errors of these predictions.
        trees: number of trees per fold.
    """

    spectrum: Spectrum
    refitted: bool
    held_out: Float64[np.ndarray, " m"]
    error: float
    trees: int


def boosted_folds(
    data: Samples,
    fold: Int64[np.ndarray, " m"],
    *,
    seed: int,
    depth: int = 5,
    rounds: int = 200,
    nthread: int = 1,
    refit: bool = False,
) -> Boosted:
    """The average of the trees grown without each fold, and what those trees predict of that fold.

    The predictions are of one fold's trees: the average of all does a little better on new masks.

    Args:
        data: samples with standardised values.
        fold: int64 (m,), each mask's fold, 0, 1, ...
        seed: seed of the trees' subsampling.
        depth: as in `proxyspex`, like ``rounds`` and ``nthread``.
        rounds: most trees per fold.
        nthread: threads of XGBoost.
        refit: whether to take the largest terms, refitted by ridge regression, where that predicts
            clearly better.
    """
    n = data.masks.shape[1]
    folds = [(data.rows(fold != k), data.rows(fold == k)) for k in range(int(fold.max()) + 1)]
    params = {"max_depth": depth, "nthread": nthread, "seed": seed}
    spectra, predicted, trees = _grow(folds, params, rounds)
    spectrum, refitted = _average(spectra), False
    if refit:
        size, again = _choose_refit(spectra, folds)
        if _error(again, folds) < _CLEARLY * _error(predicted, folds):
            spectrum = Spectrum(*_refit(spectrum, size, data), n)
            predicted, refitted = again, True
    held_out = np.empty(len(data.values))
    for k, part in enumerate(predicted):
        held_out[fold == k] = part
    return Boosted(spectrum, refitted, held_out, _error(predicted, folds), trees)


def _error(predicted: list[Float64[np.ndarray, " t"]], folds: list[_Fold]) -> float:
    """Sum of squared errors of predictions of all held-out masks."""
    return sum(test.error(test.values - p) for (_, test), p in zip(folds, predicted, strict=True))


def _average(spectra: list[Spectrum]) -> Spectrum:
    words = np.concatenate([s.words for s in spectra])
    coefficients = np.concatenate([s.coefficients for s in spectra]) / len(spectra)
    return Spectrum.from_words(words, coefficients, spectra[0].n)


def _grow(
    folds: list[_Fold], params: dict[str, int], rounds: int
) -> tuple[list[Spectrum], list[Float64[np.ndarray, " t"]], int]:
    """Grow trees on each fold's training masks, up to the least pooled held-out error.

    Returns:
        The spectrum of each fold's trees, their predictions of the held-out masks, and their number.
    """
    import xgboost as xgb

    fixed = {
        "eta": _RATE,
        "tree_method": "hist",
        "max_bin": 2,  # players are binary
        "subsample": 0.8,
        "colsample_bynode": 0.5,
        "min_child_weight": 3,
        "base_score": 0.0,
        **params,
    }

    def matrix(data: Samples, ref: xgboost.DMatrix | None = None) -> xgboost.DMatrix:
        return xgb.QuantileDMatrix(
            data.masks.astype(np.float32),
            data.values,
            weight=data.counts,
            max_bin=2,
            ref=ref,
            nthread=params["nthread"],
        )

    trains = [matrix(train) for train, _ in folds]
    tests = [matrix(test, train) for (_, test), train in zip(folds, trains, strict=True)]
    boosters = [xgb.Booster(fixed, [train]) for train in trains]
    best, best_error, predicted = 0, np.inf, []
    for grown in range(0, rounds, _STRIDE):
        now = []
        for booster, train, test in zip(boosters, trains, tests, strict=True):
            for k in range(grown, min(grown + _STRIDE, rounds)):
                booster.update(train, k)
            now.append(booster.predict(test).astype(np.float64))
        error = _error(now, folds)
        if error < best_error:
            best, best_error, predicted = min(grown + _STRIDE, rounds), error, now
        elif grown + _STRIDE - best >= _PATIENCE:
            break
    n = folds[0][0].masks.shape[1]
    return [tree_spectrum(booster[:best], n) for booster in boosters], predicted, best


def _sparsify(bag: Spectrum, data: Samples, total: float) -> Spectrum:
    """The largest terms that together predict the design's masks nearly as all terms do."""
    ranked = bag.truncate(len(bag))  # the constant stands first
    left = bag(data.masks)
    start, size = 0, _SMALLEST
    while start < len(ranked):
        stop = min(size + 1, len(ranked))
        part = Spectrum(ranked.words[start:stop], ranked.coefficients[start:stop], bag.n)
        left = left - part(data.masks)
        start, size = stop, size * 5 // 4
        if data.counts @ left**2 <= _LOSS * total:
            break
    return bag.truncate(start - 1)


def _choose_refit(
    spectra: list[Spectrum], folds: list[_Fold]
) -> tuple[int, list[Float64[np.ndarray, " t"]]]:
    """The number of terms whose ridge refit predicts held-out masks best, and its predictions."""
    predicted: dict[int, list[Float64[np.ndarray, " t"]]] = {size: [] for size in _REFIT}
    for spectrum, (train, test) in zip(spectra, folds, strict=True):
        for size, parts in predicted.items():
            words, coefficients = _refit(spectrum, size, train)
            parts.append(parities(test.masks, words) @ coefficients)
    best = min(_REFIT, key=lambda size: _error(predicted[size], folds))
    return best, predicted[best]


def _refit(
    spectrum: Spectrum, size: int, data: Samples
) -> tuple[np.ndarray, Float64[np.ndarray, " s"]]:
    """Ridge coefficients of the ``size`` largest terms; the first term is the constant."""
    words = spectrum.truncate(size).words
    words = words[words.any(axis=1)]
    fit = ridge(parities(data.masks, words), data.values, weights=data.counts)
    constant = np.zeros((1, words.shape[1]), dtype=np.uint64)
    return np.vstack([constant, words]), np.append(fit.intercept, fit.coefficients)
