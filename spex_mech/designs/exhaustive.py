"""All 2^n masks, in table order."""

from __future__ import annotations

from spex_mech.core.errors import InputError
from spex_mech.core.masks import all_masks
from spex_mech.core.transform import MAX_PLAYERS
from spex_mech.designs.design import MaskDesign, check_size, rates


def exhaustive(n: int) -> MaskDesign:
    """All 2^n masks: row i holds the players that are the 1-bits of i, player 0 = bit 0.

    Raises:
        InputError: more than 24 players (2^24 masks).
    """
    check_size(n, 1)
    if n > MAX_PLAYERS:
        raise InputError(
            f"an exhaustive design of {n} players has 2^{n} masks; at most {MAX_PLAYERS} players are "
            "supported, use designs.uniform with a budget"
        )
    return MaskDesign(all_masks(n), 0, "exhaustive", rates(n, 0.5))
