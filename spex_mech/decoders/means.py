"""Answers to single questions for decoders that take one value for each mask.

The value of a mask is its mean answer, freed of its questions' levels, and counts for as many answers as
there are behind it. A question's level is at first the mean of its answers. The masks that it was asked under
differ from those of other questions, which that mean mistakes for its level. After a first fit the level is
therefore the mean of what the fit leaves of its answers, and the values that follow are fitted again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from spex_mech.core.answers import Answers
from spex_mech.core.spectrum import Spectrum
from spex_mech.designs.design import MaskDesign

_REPLICATES = 20  # second answers under a mask from which their variance is measured


def decode_means(
    decoder: Callable[..., Spectrum], design: MaskDesign, answers: Answers, **options: Any
) -> Spectrum:
    """The spectrum of the mean over all questions, by a decoder of values.

    Args:
        decoder: takes a design, its values, and their ``weights`` and ``noise``; see `lasso`.
        design: the masks of the answers.
        answers: the answers.
        options: keywords of the decoder.

    Returns:
        The decoder's spectrum; ``info`` has the number of ``answers`` as well, and ``r2_cv`` is freed of
        the noise of single answers where 20 or more second answers under a mask tell it.

    Raises:
        InputError: as the decoder does.
    """
    first = _fitted(decoder, design, answers, answers.levels, options)
    left = answers.values - first(design.masks)[answers.mask]
    levels = replace(answers, values=left).levels
    spectrum = _fitted(decoder, design, answers, levels, options)
    return replace(spectrum, info={**spectrum.info, "answers": len(answers)})


def _fitted(
    decoder: Callable[..., Spectrum],
    design: MaskDesign,
    answers: Answers,
    levels: Float64[np.ndarray, " e"],
    options: dict[str, Any],
) -> Spectrum:
    """The spectrum of mean answers that are freed of these levels."""
    weights = answers.counts.astype(np.float64)
    noise = _variance(answers, levels)
    return decoder(design, answers.means(levels), weights=weights, noise=noise, **options)


def _variance(answers: Answers, levels: Float64[np.ndarray, " e"]) -> float:
    """Variance of an answer about its mask's mean, beside the questions' levels; 0 where it is not known."""
    counts = answers.counts
    freedom = int((counts - 1).sum())
    if freedom < _REPLICATES:
        return 0.0
    left = answers.values - levels[answers.question]
    means = np.bincount(answers.mask, weights=left, minlength=len(counts)) / counts
    return float(((left - means[answers.mask]) ** 2).sum() / freedom)
