"""A stack of decoders: their predictions, weighted by how well they predict held-out masks."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.checks import check_values, constant_spectrum, distinct
from spex_mech.decoders.gp.decode import product_rates
from spex_mech.decoders.gp.gradients import centre_of
from spex_mech.decoders.gp.readout import Readout
from spex_mech.decoders.gp.warp import levels_of, logistic, rank_gaussian
from spex_mech.decoders.samples import Samples, r2_of
from spex_mech.decoders.stack.gp import Process, first_apart
from spex_mech.decoders.stack.looks import fit_those_that_help
from spex_mech.decoders.stack.members import Fitted, Lasso, Member, Trees
from spex_mech.decoders.stack.predictor import StackPredictor
from spex_mech.decoders.stack.readout import read_samples, read_table
from spex_mech.decoders.stack.weights import Blend, blend_held_out
from spex_mech.designs.design import MaskDesign

MIN_MASKS = 8
_TABLE_PLAYERS = 17  # up to this number, the surrogate is a table of all coalitions
_FEW_MASKS, _FOLDS = 250, (10, 5)  # with few masks, a tenth held out costs less than a fifth
_ALL_PROCESSES = (
    2500,
    32,
)  # most masks and players for which all Gaussian processes are affordable
_LEVELS = 5  # fewest different values for which values are warped
_LASSO_ENTRIES, _LASSO_TERMS = 1 << 23, 20_000
_CANDIDATES = 2  # candidate terms from each member, per term that is to be read out


def stack(
    design: MaskDesign,
    values: npt.ArrayLike,
    *,
    seed: int = 0,
    terms: int = 200,
    members: Sequence[Member] | None = None,
    fold: npt.ArrayLike | None = None,
    nthread: int = 1,
    gradients: npt.ArrayLike | None = None,
) -> Spectrum:
    """Fit several decoders and blend their predictions by non-negative least squares.

    The weights are fitted to predictions of held-out masks, in 5 folds, or 10 with 250 masks or fewer.
    From 500 masks on with more than 32 players, only those masks count that no relevances were learnt
    from, at least a fifth of all. By default the members are

    - ``gp`` and ``tied``: the Gaussian process of `walsh_gp` with relevances that are loosely and tightly
      tied to each other,
    - ``ranks`` and ``logits``: the same on warped values (see `gp.warp`), if there are 5 different
      values,
    - ``lasso``: all terms of 1 or 2 players (1 alone where masks x terms exceed 2^23, or with more than 199
      players),
    - ``trees``: the boosted trees of `proxyspex`; with more than 32 players they are replaced by a refit
      of their largest terms, as in `proxyspex`, where that is clearly better.

    To save time ``logits`` is left out with more than 2500 masks or 32 players, and with more than 2500
    masks of at most 32 players ``tied`` too. With more than 32 players and from 500 masks on, ``tied`` and
    ``ranks`` are fitted only where a quick look says that they help (see `looks`).

    Args:
        design: any masks; equal masks are averaged and count as often.
        values: float64 (m,).
        seed: seed of the folds, the trees, and the masks that the readout is fitted on.
        terms: terms to read out, ranked in the basis that is orthogonal at the design's keep rates.
        members: other members.
        fold: int (m,), the folds to use, 0, 1, ...; equal masks go where the first of them does.
        nthread: threads of XGBoost.
        gradients: of the Gaussian processes, see `walsh_gp`.

    Returns:
        A spectrum that predicts with the whole stack (its ``predictor``, a `StackPredictor`, which also
        offers ``std(masks)``), while its terms are the readout. ``info`` holds

        - ``r2_cv``: R² to expect on masks like the design's: that of the stack on each fold, with the
            members and the weights of the other folds. With many masks of at most 32 players the Gaussian
            processes' relevances are learnt from all of them, which makes R² a little too high. It is 0.0
            where the masks left out have one value.
        - ``members``: the weight and the cross-validated R² of each, by name.
        - ``readout_loss``: the part of the predictions' variance that the terms miss at the design's keep
            rates; exact up to 17 players, beyond on 2000 fresh masks.
        - ``exact_readout``: whether the terms are known to be the largest: up to 17 players.

    Raises:
        InputError: values or folds that do not fit the design, fewer than 8 distinct masks, or gradients as
            in `walsh_gp`.
    """
    centre = centre_of(gradients, design.n)
    y = check_values(design, values)
    if terms < 1:
        raise InputError(f"terms is {terms}, expected at least 1")
    if constant := constant_spectrum(design, y, "stack"):
        return constant
    first, means, counts = distinct(design, y)
    if len(first) < MIN_MASKS or not np.ptp(means) > 0:
        raise InputError(
            f"{len(first)} distinct masks with {len(np.unique(means))} different mean values are too "
            f"little for a stack, which needs {MIN_MASKS} masks; evaluate more or use walsh_gp"
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(first))
    shift, scale = float(np.average(means, weights=counts)), float(np.ptp(means))
    standard = (means - shift) / scale
    data = Samples(design.masks[first], standard, counts, centre=centre).rows(order)
    folds = folds_of(len(first)) if fold is None else _given_folds(fold, len(design), first[order])
    chosen = default_members(data, nthread=nthread) if members is None else members
    if members is None and first_apart(data, folds) is not None:
        fitted = fit_those_that_help(chosen, data, folds, seed)
    else:
        fitted = tuple(member(data, folds, seed) for member in chosen)
    return blended(design, data, fitted, folds, shift=shift, scale=scale, terms=terms, rng=rng)


def blended(
    design: MaskDesign,
    data: Samples,
    fitted: tuple[Fitted, ...],
    folds: Int64[np.ndarray, " m"],
    *,
    shift: float,
    scale: float,
    terms: int,
    rng: np.random.Generator,
    noise: Float64[np.ndarray, " m"] | None = None,
) -> Spectrum:
    """Blend fitted members, and read out the largest terms (9 parameters: what a stack has computed so far).

    Args:
        design: the design.
        data: what the members were fitted to.
        fitted: the members.
        folds: the fold of each sample.
        shift: what was subtracted from the values.
        scale: what they were then divided by.
        terms: terms to read out.
        rng: draws the masks that the readout is fitted on.
        noise: float64 (m,), the variance of each sample about what is wanted, which is no error of the
            stack's; None for none.
    """
    predictions = np.stack([f.held_out for f in fitted], axis=1)
    unseen = np.flatnonzero(np.isfinite(predictions).all(axis=1))
    test, predictions = data.rows(unseen), predictions[unseen]
    blend = Blend.fit(predictions, test.values, test.counts)
    held_out = blend_held_out(predictions, test.values, test.counts, folds[unseen])
    predictor = StackPredictor(
        fitted, blend, design.n, shift, scale, _inflation(fitted, test, unseen, held_out),
        _table(fitted, blend, design.n),
    )  # fmt: skip
    readout = _read(predictor, product_rates(design), terms, rng)
    constant_term = np.where(readout.words.any(axis=1), 0.0, shift)
    of_test = None if noise is None else noise[unseen]
    info = _info(test, fitted, unseen, blend, readout, held_out, of_test)
    coefficients = constant_term + scale * readout.coefficients
    return Spectrum(readout.words, coefficients, design.n, info, predictor)


def default_members(data: Samples, *, nthread: int = 1) -> tuple[Member, ...]:
    """The members that are affordable for that many masks and players."""
    m, n = data.masks.shape
    most_masks, most_players = _ALL_PROCESSES
    affordable, many = m <= most_masks and n <= most_players, n > most_players
    levels = levels_of(data.values[: 100 * _LEVELS]).max() + 1 >= _LEVELS
    members: list[Member] = [Process("gp", 0.5 if affordable else 2.0)]
    if affordable or many:
        members.append(Process("tied", 32.0 if many else 8.0))
    if levels:
        members.append(Process("ranks", 0.5 if affordable else 2.0, rank_gaussian))
    if levels and affordable:
        members.append(Process("logits", 0.5, logistic))
    return (*members, *linear_and_trees(data, nthread=nthread))


def linear_and_trees(data: Samples, *, nthread: int = 1) -> tuple[Member, ...]:
    """The members that are not Gaussian processes."""
    m, n = data.masks.shape
    pairs = n + comb(n, 2)
    order = 2 if n > 1 and m * pairs <= _LASSO_ENTRIES and pairs <= _LASSO_TERMS else 1
    return Lasso(order), Trees(nthread, refit=n > _ALL_PROCESSES[1])


def folds_of(m: int) -> Int64[np.ndarray, " m"]:
    """Folds of masks in random order."""
    return np.arange(m) % min(_FOLDS[0] if m <= _FEW_MASKS else _FOLDS[1], m // 2)


def _given_folds(
    fold: npt.ArrayLike, m: int, rows: Int64[np.ndarray, " u"]
) -> Int64[np.ndarray, " u"]:
    labels = np.asarray(fold)
    if labels.shape != (m,) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"fold has shape {labels.shape} and dtype {labels.dtype}, expected an integer for each of "
            f"the {m} masks"
        )
    names, numbers = np.unique(labels[rows], return_inverse=True)
    if len(names) < 2:
        raise InputError("all masks are in one fold; a stack needs at least 2 folds")
    return numbers.astype(np.int64)


def _inflation(
    fitted: tuple[Fitted, ...],
    test: Samples,
    unseen: Int64[np.ndarray, " t"],
    held_out: Float64[np.ndarray, " t"],
) -> float:
    """Root mean square of the stack's held-out errors, in units of the first member's standard deviations."""
    for member in fitted:
        if member.held_out_std is not None:
            squares = ((test.values - held_out) / member.held_out_std[unseen]) ** 2
            return float(np.sqrt(np.nanmean(squares)))
    return 1.0


def _table(fitted: tuple[Fitted, ...], blend: Blend, n: int) -> Float64[np.ndarray, " N"] | None:
    if n > _TABLE_PLAYERS:
        return None
    table = np.full(1 << n, blend.mean * (1.0 - float(blend.weights.sum())))
    for member, weight in zip(fitted, blend.weights, strict=True):
        if weight > 0:
            table += weight * member.table()
    return table


def _read(
    predictor: StackPredictor,
    rates: Float64[np.ndarray, " n"],
    terms: int,
    rng: np.random.Generator,
) -> Readout:
    """Terms in the units of the members."""
    if predictor.table is not None:
        return read_table(predictor.table, rates, terms=terms)
    used = [
        member
        for member, weight in zip(predictor.members, predictor.blend.weights, strict=True)
        if weight > 0
    ] or list(predictor.members)
    candidates = np.unique(
        np.concatenate([member.words(rates, _CANDIDATES * terms) for member in used]), axis=0
    )

    def standard(masks: Bool[np.ndarray, "k n"]) -> Float64[np.ndarray, " k"]:
        return (predictor(masks) - predictor.shift) / predictor.scale

    return read_samples(standard, candidates, rates, terms=terms, rng=rng)


def _info(
    test: Samples,
    fitted: tuple[Fitted, ...],
    unseen: Int64[np.ndarray, " t"],
    blend: Blend,
    readout: Readout,
    held_out: Float64[np.ndarray, " t"],
    noise: Float64[np.ndarray, " t"] | None,
) -> dict[str, Any]:
    r2 = r2_of(held_out, test, noise)
    members = {
        member.name: {"weight": float(weight), "r2_cv": r2_of(member.held_out[unseen], test, noise)}
        for member, weight in zip(fitted, blend.weights, strict=True)
    }
    shares = ", ".join(f"{name} {member['weight']:.2f}" for name, member in members.items())
    message = (
        f"stack of {shares} on {len(fitted[0].held_out)} masks; expect R² {r2:.3f} on masks like these; its "
        f"{readout.ranked} largest terms miss {100 * readout.loss:.1f} % of its variance"
    )
    return {
        "method": "stack",
        "r2_cv": r2,
        "members": members,
        "readout_loss": readout.loss,
        "exact_readout": readout.exact,
        "message": message,
    }
