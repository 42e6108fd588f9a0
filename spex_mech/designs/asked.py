"""Which questions each mask is asked, where it is not asked all of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted
from spex_mech.core.seeds import check_seed

_SEED = 3_000_017  # added to the design's seed, so that questions and masks are drawn independently


def asked_questions(counts: npt.ArrayLike, questions: int, *, seed: int) -> Int64[np.ndarray, " r"]:
    """Draw different questions for every mask, as evenly and independently as possible.

    Random orders of all questions are dealt out one after the other, so that after any number of masks no
    question was asked more than one time more often than another. Where a mask would get a question twice,
    at the end of one order and the beginning of the next, the next order begins with others. The first
    masks get the same questions however many follow.

    Args:
        counts: int (m,), how many questions each mask is asked.
        questions: number of questions, e.
        seed: seed of the design.

    Returns:
        int64 (sum of counts,), positions of questions, mask after mask, increasing within a mask.

    Raises:
        InputError: a count that is not from 1 to ``questions``.
    """
    check_seed(seed)
    each = np.asarray(counts)
    whole = each.ndim == 1 and np.issubdtype(each.dtype, np.integer)
    wrong = each[(each < 1) | (each > questions)] if whole else each.reshape(-1)[:1]
    if len(wrong) or not whole:
        raise InputError(
            f"a mask cannot be asked {quoted(wrong[0]) if len(wrong) else 'no'} questions; expected a number "
            f"from 1 to {questions}, the questions that there are"
        )
    rng = np.random.default_rng(seed + _SEED)
    ends = np.cumsum(each)
    starts, orders, total = ends - each, [], int(ends[-1]) if len(ends) else 0
    for start in range(0, total, questions):
        order = rng.permutation(questions)
        mask = int(np.searchsorted(ends, start, side="right"))
        if starts[mask] < start:  # it lacks some, and must not be dealt those again that it has
            has = orders[-1][questions - (start - starts[mask]) :]
            first = order[~np.isin(order, has)][: ends[mask] - start]
            order = np.concatenate([first, order[~np.isin(order, first)]])
        orders.append(order)
    dealt = np.concatenate([*orders, np.empty(0, dtype=np.int64)])[:total].astype(np.int64)
    owner = np.repeat(np.arange(len(each)), each)
    return dealt[np.lexsort([dealt, owner])]
