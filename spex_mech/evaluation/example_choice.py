"""Which of a store's examples are meant: by their ids, their positions, or a bool for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64

from spex_mech.core.errors import InputError

ExampleChoice = Sequence[str] | Int64[np.ndarray, " e"] | Bool[np.ndarray, " e"]


def positions_of(examples: ExampleChoice, ids: Sequence[str]) -> Int64[np.ndarray, " e"]:
    """Positions (e,) of the examples that are chosen, in the order in which they were named.

    Args:
        examples: ids, positions, or a bool for each example.
        ids: the ids of all examples.

    Raises:
        InputError: none, or an unknown one.
    """
    chosen = np.asarray(examples)
    if chosen.dtype == np.bool_ and chosen.shape == (len(ids),):
        return np.flatnonzero(chosen)
    if chosen.dtype.kind in "iu" and chosen.ndim == 1:
        wrong = chosen[(chosen < 0) | (chosen >= len(ids))]
        if len(wrong) or not len(chosen):
            raise InputError(
                f"examples {wrong.tolist()} of {len(ids)}; give at least one position, from 0"
            )
        return chosen.astype(np.int64)
    place = {name: i for i, name in enumerate(ids)}
    unknown = [name for name in chosen.reshape(-1).tolist() if name not in place]
    if unknown or not chosen.size or chosen.ndim != 1:
        raise InputError(
            f"unknown examples {unknown[:3]}; give ids such as {ids[0]!r}, positions, or a bool "
            f"for each of the {len(ids)}"
        )
    return np.array([place[name] for name in chosen.tolist()])
