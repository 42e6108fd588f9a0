"""Token ids that a user gives: padded arrays as plain sequences, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError


def integers(name: str, values: Any) -> npt.NDArray[np.int64]:
    """Token ids as int64 (examples, tokens); ``name`` is the argument's, for messages.

    Raises:
        InputError: another shape, nothing in it, or no integers.
    """
    array = padded(name, values)
    if array.ndim != 2 or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"{name} has shape {array.shape} and dtype {array.dtype}, expected integers of shape "
            "(examples, tokens)"
        )
    return array.astype(np.int64)


def padded(name: str, values: Any) -> npt.NDArray:
    """An array of whatever was given; ``name`` is the argument's, for messages.

    Raises:
        InputError: rows of different lengths.
    """
    try:
        return np.asarray(values.cpu() if hasattr(values, "cpu") else values)
    except ValueError:
        raise InputError(
            f"{name} has rows of different lengths, expected an array (examples, tokens); pad shorter rows, "
            "with 0 in attention_mask where input_ids are padded"
        ) from None


def tokens_of(
    e: int, row: npt.NDArray[np.int64], keep: npt.NDArray[np.bool_], shortest: int
) -> tuple[int, ...]:
    """The tokens of row ``e`` without its padding, at least ``shortest`` of them.

    Raises:
        InputError: fewer tokens, or a gap in the mask.
    """
    where = np.flatnonzero(keep)
    if len(where) < shortest:
        raise InputError(f"example {e} has {len(where)} tokens, expected at least {shortest}")
    if where[-1] - where[0] + 1 != len(where):
        raise InputError(
            f"attention_mask of example {e} has a gap; padding may stand only left or right of the tokens"
        )
    return tuple(int(t) for t in row[where[0] : where[-1] + 1])


def partner_ids(
    partners: Any,
    sequences: Sequence[tuple[int, ...]],
    ids: npt.NDArray[np.int64],
    mask: npt.NDArray,
) -> tuple[tuple[int, ...], ...]:
    """The partners of `TokenTask` as token ids, each as long as its sequence.

    Args:
        partners: int (e, t), read through ``mask``; or one sequence of ids for every example.
        sequences: the examples without padding.
        ids: int (e, t), the examples with padding.
        mask: (e, t), 1 for tokens.

    Raises:
        InputError: another shape, or a partner that is not as long as its example.
    """
    array = partners.cpu() if hasattr(partners, "cpu") else partners
    if getattr(array, "ndim", None) == 2:
        table = integers("partners", array)
        if table.shape != ids.shape:
            raise InputError(
                f"partners has shape {table.shape}, expected that of input_ids, {ids.shape}"
            )
        return tuple(
            tuple(int(t) for t in row[keep.astype(bool)])
            for row, keep in zip(table, mask, strict=True)
        )
    rows = list(array)
    if len(rows) != len(sequences):
        raise InputError(f"got {len(rows)} partners for {len(sequences)} examples; give each one")
    out = tuple(tuple(int(t) for t in row) for row in rows)
    wrong = [
        e for e, (own, row) in enumerate(zip(sequences, out, strict=True)) if len(own) != len(row)
    ]
    if wrong:
        e = wrong[0]
        raise InputError(
            f"{len(wrong)} of {len(out)} partners are not as long as their examples: that of example {e} "
            f"has {len(out[e])} tokens, the example {len(sequences[e])}; values are taken position by "
            "position, so give partners of equal length"
        )
    return out
