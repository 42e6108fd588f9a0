"""Gates: a mask over players, turned into keep/remove decisions for every part of every layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.players import ModelShape, PlayerSet, units


@dataclass(frozen=True)
class Gates:
    """What each of m ablated models keeps; True = kept.

    Attributes:
        heads: bool (m, layers, heads).
        mlps: bool (m, layers).
        attention: bool (m, layers); False removes a layer's whole attention output with its bias,
            as a removed layer does. Removing all heads one by one leaves the bias in place.
    """

    heads: Bool[np.ndarray, "m l h"]
    mlps: Bool[np.ndarray, "m l"]
    attention: Bool[np.ndarray, "m l"]

    def __len__(self) -> int:
        return len(self.heads)

    def __getitem__(self, rows: slice | np.ndarray) -> Gates:
        return Gates(self.heads[rows], self.mlps[rows], self.attention[rows])

    def head_scale(self) -> Float64[np.ndarray, "m l"]:
        """H / |kept| for every layer (1 where no head is kept): the published rescaling."""
        kept = self.heads.sum(axis=2)
        return self.heads.shape[2] / np.where(kept == 0, self.heads.shape[2], kept)


def spread(players: PlayerSet, shape: ModelShape, masks: Bool[np.ndarray, "m n"]) -> Gates:
    """Turn masks over players into gates of the parts they stand for; parts of no player are kept.

    Args:
        players: players selected from a model of this shape.
        shape: the model's shape.
        masks: bool (m, n), True = present.

    Raises:
        InputError: a player outside the model.
    """
    m = len(masks)
    owner = _owners(players, shape)
    present = np.concatenate([masks, np.ones((m, 1), dtype=bool)], axis=1)
    kept = present[:, owner.reshape(-1)].reshape(m, shape.n_layers, shape.n_heads + 1)
    attention = np.ones((m, shape.n_layers), dtype=bool)
    for i, player in enumerate(players):
        if player.kind == "layer":
            attention[:, player.layer] = masks[:, i]
    return Gates(kept[:, :, :-1].copy(), kept[:, :, -1].copy(), attention)


def _owners(players: PlayerSet, shape: ModelShape) -> Int64[np.ndarray, "l h"]:
    """Player of each head of each layer, with the MLP in the last column; n where there is none."""
    owner = np.full((shape.n_layers, shape.n_heads + 1), players.n, dtype=np.int64)
    for i, player in enumerate(players):
        for layer, head in units(player, shape):
            if layer >= shape.n_layers or head >= shape.n_heads:
                raise InputError(
                    f"player {player.name!r} is outside this model of {shape.n_layers} layers x "
                    f"{shape.n_heads} heads; select players from the model that is ablated"
                )
            owner[layer, head] = i
    return owner
