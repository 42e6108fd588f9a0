"""Which Gaussian processes of a stack are worth fitting: a quick held-out look at each decides.

With hundreds of players and thousands of masks nearly all of a stack's time goes into learning relevances, of
one process after the other. But ties and warped values seldom add anything to what the first process, LASSO
and trees predict together, and no process does where the latter two leave nothing to explain. The look is at
masks that no relevance is learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.decoders.gp.likelihood import Prior
from spex_mech.decoders.samples import Samples, r2_of
from spex_mech.decoders.stack.gp import Process, first_apart
from spex_mech.decoders.stack.members import Fitted, Member
from spex_mech.decoders.stack.weights import blend_held_out

_CLEAR = 0.99  # R² of the other members beyond which processes are fitted roughly, for deviations
_ROUGH = 500  # masks that their relevances are then learnt from


def fit_those_that_help(
    members: Sequence[Member], data: Samples, fold: Int64[np.ndarray, " m"], seed: int
) -> tuple[Fitted, ...]:
    """Fit members of whom some masks are set apart, and leave out processes that would not help.

    The first process is always fitted, because deviations come from it: with relevances of 500 masks where
    the members that are no processes explain .99 of the variance of the masks set apart. Else each further
    process is learnt in a few steps from where the first one ended, and fitted to the end if that makes the
    blend's held-out squared error smaller: with 1,000 players a few steps show little of what the end brings.

    Args:
        members: of which one or more are processes; without any, all are fitted.
        data: the masks, in random order.
        fold: int64 (m,), their folds.
        seed: see `Member`.

    Returns:
        Those that were fitted, in their order.
    """
    first = first_apart(data, fold)
    assert first is not None
    fitted = {
        k: member(data, fold, seed)
        for k, member in enumerate(members)
        if not isinstance(member, Process)
    }
    unseen = data.rows(slice(first, None))

    def blended(*more: Float64[np.ndarray, " t"]) -> Float64[np.ndarray, " t"]:
        """Held-out predictions of the masks set apart by all that are fitted, and ``more``."""
        columns = [fitted[k].held_out[first:] for k in sorted(fitted)] + list(more)
        predictions = np.stack(columns, axis=1)
        return blend_held_out(predictions, unseen.values, unseen.counts, fold[first:])

    clear = bool(fitted) and r2_of(blended(), unseen) >= _CLEAR
    prior: Prior | None = None
    for k, member in enumerate(members):
        if not isinstance(member, Process):
            continue
        if prior is None:
            chosen = replace(member, rows=_ROUGH) if clear else member
            fitted[k] = chosen(data, fold, seed)
            posterior = fitted[k].posterior
            prior = None if posterior is None else Prior(posterior.kernel, posterior.noise)
        elif not clear:
            now = unseen.error(unseen.values - blended())
            look = member.look(data, fold, first, prior)
            if unseen.error(unseen.values - blended(look)) < now:
                fitted[k] = member(data, fold, seed)
    return tuple(fitted[k] for k in sorted(fitted))
