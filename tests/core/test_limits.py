"""Limits: what kept sets take, groups that live while any member does."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.core.limits import Limit, check_limits, kv_groups, per_layer
from spex_mech.core.masks import all_masks
from spex_mech.core.players import ModelShape, Player, PlayerSet, select_players


class Shaped:
    """Two layers of four heads on two key/value heads."""

    shape = ModelShape(2, 4, 2)


def test_use_is_the_weights_and_the_groups_that_live():
    limit = Limit(np.array([1.0, 2.0, 0.0]), 4.0, groups=[((0, 2), 3.0), ((1,), 0.5)])
    # rows are the coalitions 0, {0}, {1}, {0,1}, {2}, {0,2}, {1,2}, {0,1,2}
    np.testing.assert_array_equal(limit.used(all_masks(3)), [0, 4, 2.5, 6.5, 3, 4, 5.5, 6.5])
    np.testing.assert_array_equal(
        limit.allows(all_masks(3)), [True, True, True, False, True, True, False, False]
    )


def test_rounding_does_not_break_a_limit_that_is_met():
    assert Limit(np.full(10, 0.1), 1.0).allows(np.ones((1, 10), bool)).all()


@pytest.mark.parametrize("spec", ["heads", "kv", "heads:0 kv:1", "heads:0 layers:1"])
def test_kv_groups_live_while_any_of_their_heads_does(spec):
    players = select_players(Shaped(), spec)
    limit = kv_groups(players, Shaped(), 2)
    masks = all_masks(players.n)
    expected = np.zeros(len(masks))
    for layer in range(2):
        for group in range(2):
            members = [
                i
                for i, p in enumerate(players)
                if p.layer == layer
                and (p.kind == "layer" or (p.index if p.kind == "kv" else p.index // 2) == group)
            ]
            expected += masks[:, members].any(axis=1)
    np.testing.assert_array_equal(limit.used(masks), expected)
    assert check_limits([limit], players.n) is None


def test_groups_that_others_keep_alive_are_not_counted():
    heads = select_players(Shaped(), "heads").players
    players = PlayerSet((heads[0], heads[2], heads[3]))  # head 1 of group 0 is no player
    np.testing.assert_array_equal(kv_groups(players, Shaped(), 1).used(all_masks(3)),
                                  all_masks(3)[:, 1:].any(axis=1))  # fmt: skip
    with pytest.raises(InputError, match="no KV group belongs to the players alone"):
        kv_groups(select_players(Shaped(), "mlps"), Shaped(), 1)
    with pytest.raises(InputError, match="'L5H0' is outside this model"):
        kv_groups(PlayerSet((Player("L5H0", "head", 5, 0),)), Shaped(), 1)


def test_per_layer_counts_players():
    players = select_players(Shaped(), "heads")
    first, second = per_layer(players, 2)
    masks = all_masks(8)
    np.testing.assert_array_equal(first.used(masks), masks[:, :4].sum(axis=1))
    np.testing.assert_array_equal(second.used(masks), masks[:, 4:].sum(axis=1))


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (Limit(np.ones(5), 3.0, "memory"), r"memory has weights of shape \(5,\)"),
        (Limit(np.array([1, 1, np.inf]), 3.0), "expected a finite number for each of 3 players"),
        (Limit(np.ones(3), float("nan")), "limit has the bound nan"),
        (Limit(np.ones(3), 1, groups=[((0, 3), 1.0)]), r"group of players \[0, 3\]"),
        (Limit(np.ones(3), 1, groups=[((), 1.0)]), "one or more from 0 to 2"),
        (Limit(np.ones(3), 1, groups=[((0,), -1.0)]), "a group that takes -1.0"),
    ],
)
def test_bad_limits(limit, message):
    with pytest.raises(InputError, match=message):
        check_limits([limit], 3)
