"""Joint games of games that are formulas."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.core.interactions import interactions
from spex_mech.core.joint import joint
from spex_mech.core.masks import all_masks
from spex_mech.core.players import PlayerSet
from spex_mech.core.transform import exact_spectrum


class Numbers:
    """A game whose players are worth 1, 2, 4, ... points."""

    def __init__(self, names: str) -> None:
        self.players = PlayerSet.from_names(names)

    def joined_with(self, other):
        return Product(self, other) if isinstance(other, Numbers) else None


class Product:
    batch = 8

    def __init__(self, own, other) -> None:
        self.sides = (own.players,), (other.players,)

    @property
    def key(self):
        return {"value": "product"}

    def __call__(self, own, others):
        return (own @ 2.0 ** np.arange(own.shape[1])) * (
            10 + others @ 3.0 ** np.arange(others.shape[1])
        )


def test_columns_go_to_their_games_and_cross_pairs_come_back():
    game = joint(Numbers("abc"), Numbers("xy"))
    assert game.players.names == list("abcxy") and repr(game) == "JointGame(3 + 2 players)"
    masks = all_masks(5)
    expected = (masks[:, :3] @ [1, 2, 4]) * (10 + masks[:, 3:] @ [1, 3])
    np.testing.assert_allclose(game(masks), expected)
    found = interactions(exact_spectrum(game(masks)), "Moebius", 2)
    np.testing.assert_allclose(game.cross_pairs(found), np.outer([1, 2, 4], [1, 3]))


def test_what_is_refused():
    with pytest.raises(InputError, match=r"a.*appear more than once"):
        joint(Numbers("ab"), Numbers("ac"))
    with pytest.raises(InputError, match="games Numbers and int cannot be joined"):
        joint(Numbers("ab"), 3)
    game = joint(Numbers("ab"), Numbers("xy"))
    with pytest.raises(InputError):
        game(np.ones((1, 3), dtype=bool))
    with pytest.raises(InputError, match="of 3 players, this game has 4"):
        game.cross_pairs(interactions(exact_spectrum(np.arange(8.0)), "FBII", 2))
