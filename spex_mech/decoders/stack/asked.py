"""A stack of decoders for answers to single questions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64

from spex_mech.core.answers import Answers
from spex_mech.core.errors import InputError
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.gp.answers import AnswerSamples, answer_variance, levels_of, noise_of
from spex_mech.decoders.gp.fit import FEW_PLAYERS
from spex_mech.decoders.gp.fit_answers import fit_answers
from spex_mech.decoders.gp.gradients import centre_of
from spex_mech.decoders.gp.likelihood import TIE
from spex_mech.decoders.samples import Samples
from spex_mech.decoders.stack.decode import (
    MIN_MASKS,
    blended,
    folds_of,
    linear_and_trees,
)
from spex_mech.decoders.stack.gp import fitted_of
from spex_mech.decoders.stack.members import Fitted
from spex_mech.designs.design import MaskDesign

_TIED = 32.0  # how strongly the relevances of ``tied`` are drawn towards each other


def stack_answers(
    design: MaskDesign,
    answers: Answers,
    *,
    seed: int = 0,
    terms: int = 200,
    nthread: int = 1,
    gradients: npt.ArrayLike | None = None,
) -> Spectrum:
    """Fit several decoders to answers and blend their predictions of the mean over all questions.

    The members are the Gaussian processes ``gp`` and, with more than 32 players, ``tied``, which model every
    answer (see `gp.answers`), and ``lasso`` and ``trees``, which see each mask's mean answer, freed of the
    questions' levels as ``gp`` has found them, and weighted by the number of answers. Members on warped
    values are left out, because a mean of warped answers is not the warped mean.

    Args:
        design: the masks of the answers.
        answers: the answers.
        seed: seed of the folds, the trees, and the masks that the readout is fitted on.
        terms: terms to read out.
        nthread: threads of XGBoost.
        gradients: of the Gaussian processes, see `walsh_gp`.

    Returns:
        As `stack`. ``r2_cv`` is that of the mean over all questions: the variance that single answers add is
        taken off errors and values. It is measured from masks with several answers where these have 20 or
        more second answers, and else taken from the Gaussian process.

    Raises:
        InputError: fewer than 8 distinct masks, or gradients as in `walsh_gp`.
    """
    rng = np.random.default_rng(seed)
    shift, scale = float(answers.values.mean()), float(np.ptp(answers.values))
    standard = Answers(
        answers.masks, answers.mask, answers.question, (answers.values - shift) / scale,
        answers.questions,
    )  # fmt: skip
    data = AnswerSamples.of(standard, rng, centre_of(gradients, design.n))
    if len(data.masks) < MIN_MASKS:
        raise InputError(
            f"answers under {len(data.masks)} distinct masks are too little for a stack, which needs "
            f"{MIN_MASKS} masks; evaluate more or use walsh_gp"
        )
    fold = folds_of(len(data.masks))
    gp = _process("gp", TIE, data, fold)
    assert gp.posterior is not None
    levels = levels_of(gp.posterior)
    counts = data.answers.counts.astype(np.float64)
    means = Samples(data.masks, data.answers.means(levels), counts)
    processes = [gp]
    if design.n > FEW_PLAYERS:  # with few, ties are of no use beside many answers
        processes.append(_process("tied", _TIED, data, fold))
    others = linear_and_trees(means, nthread=nthread)
    fitted = (*processes, *(member(means, fold, seed) for member in others))
    noise = noise_of(data.answers, levels, gp.posterior)
    spectrum = blended(
        design, means, fitted, fold, shift=shift, scale=scale, terms=terms, rng=rng, noise=noise
    )
    return replace(spectrum, info={**spectrum.info, "answers": len(answers)})


def _process(name: str, tie: float, data: AnswerSamples, fold: Int64[np.ndarray, " u"]) -> Fitted:
    """A Gaussian process on answers; its standard deviations are those of a mask's mean answer."""
    posterior, mean, std = fit_answers(data, fold, tie=tie)
    share = 1.0 / data.answers.counts - 1.0 / data.answers.questions
    spread = np.sqrt(std**2 + answer_variance(posterior) * share)
    return fitted_of(name, posterior, mean, spread, None, seed=0)
