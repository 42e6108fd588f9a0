"""Crossed masks: every mask of one design together with several masks of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.designs.design import MaskDesign


@dataclass(frozen=True, eq=False)
class Crossing:
    """Which masks of a crossed design have the same mask of the first kind.

    Attributes:
        block: int64 (m,), the number of each row's mask of the first design among its distinct ones.
    """

    block: Int64[np.ndarray, " m"]

    def folds(self, most: int, seed: int) -> Int64[np.ndarray, " m"]:
        """Folds 0, 1, ... of whole blocks, in random order; at most ``most``, and one where one is all."""
        count = int(self.block.max()) + 1
        place = np.random.default_rng(seed).permutation(count)
        return (place % min(most, count))[self.block].astype(np.int64)


def crossed(first: MaskDesign, second: MaskDesign) -> MaskDesign:
    """Put the masks of a short design together with those of a long one, for games of two kinds of players.

    Where a mask of the first kind costs much and one of the second little, as training a model does beside
    asking it, each of the k masks of ``first`` is used with len(second) / k masks of ``second``, in their
    order. Rows with equal first masks follow each other. Decoding by ``auto`` holds out whole first masks.

    >>> training = designs.biased(8, 64, keep_rate=0.5, seed=0)
    >>> design = designs.crossed(training, designs.biased(40, 64 * 30, keep_rate=0.8, seed=1))

    Args:
        first: masks (k, a) of the players that come first in the game.
        second: masks (m, b) of the other players, m a multiple of k.

    Returns:
        A design of masks (m, a + b), of kind ``crossed``; its seed is that of ``second``, its ``structure``
        a `Crossing`.

    Raises:
        InputError: a number of second masks that is no multiple of that of the first.
    """
    if len(second) % len(first):
        raise InputError(
            f"{len(second)} masks cannot be shared evenly among {len(first)}; give a multiple, such as "
            f"{len(first) * -(-len(second) // len(first))}"
        )
    _, block = unique(first.masks)
    order = np.argsort(block, kind="stable").repeat(len(second) // len(first))
    masks = np.concatenate([first.masks[order], second.masks], axis=1)
    rates = [design.masks.mean(axis=0) if design.keep_rates is None else design.keep_rates
             for design in (first, second)]  # fmt: skip
    return MaskDesign(masks, second.seed, "crossed", np.concatenate(rates), Crossing(block[order]))
