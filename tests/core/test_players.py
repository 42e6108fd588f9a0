"""Selecting players: names, order and every kind of bad input."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from spex_mech.core.players import ModelShape, PlayerSet, select_players, units


@dataclass
class Shaped:
    shape: ModelShape


MODEL = Shaped(ModelShape(n_layers=8, n_heads=4, n_kv_heads=2))


@pytest.mark.parametrize(
    ("spec", "count", "ends"),
    [
        ("heads", 32, ("L0H0", "L7H3")),
        ("heads:5-7", 12, ("L5H0", "L7H3")),
        ("heads:0-3,7 mlps:5-7", 23, ("L0H0", "L7MLP")),
        ("kv:0-3", 8, ("L0KV0", "L3KV1")),
        ("layers", 8, ("L0", "L7")),
        ("mlps heads:2", 12, ("L0MLP", "L2H3")),
    ],
)
def test_selections(spec, count, ends):
    players = select_players(MODEL, spec)
    assert (players.n, players.names[0], players.names[-1]) == (count, *ends)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("heads:8", r"'8' in 'heads:8' are out of range; this model has layers 0-7"),
        ("heads:3-1", "lower number first"),
        ("heads:x", "cannot read layers 'x'"),
        ("heads:", "cannot read layers ''"),
        ("neurons", "unknown player selection 'neurons'; expected one of heads, kv, mlps, layers"),
        ("", "select nothing"),
        ("heads:0 kv:0", "L0H0 and L0KV0 .* share a part"),
        ("layers:1 mlps:1", "L1 and L1MLP .* share a part"),
    ],
)
def test_bad_selections(spec, message):
    with pytest.raises(ValueError, match=message):
        select_players(MODEL, spec)


def test_units_of_every_kind():
    by_name = {
        p.name: p for s in ("heads", "kv", "mlps", "layers") for p in select_players(MODEL, s)
    }
    assert units(by_name["L3H2"], MODEL.shape) == [(3, 2)]
    assert units(by_name["L3KV1"], MODEL.shape) == [(3, 2), (3, 3)]
    assert units(by_name["L3MLP"], MODEL.shape) == [(3, -1)]
    assert units(by_name["L3"], MODEL.shape) == [(3, -1), (3, 0), (3, 1), (3, 2), (3, 3)]


def test_player_sets_name_each_player_once():
    players = PlayerSet.from_names(["a", "b", "c"])
    assert players.index("b") == 1
    assert players.label((0, 2)) == "a × c"
    assert select_players(MODEL, "heads:1-2").groups == {1: (0, 1, 2, 3), 2: (4, 5, 6, 7)}
    with pytest.raises(ValueError, match="no player is called 'z'; there are 3: a, b, c"):
        players.index("z")
    with pytest.raises(ValueError, match="player set is empty"):
        PlayerSet(())
    with pytest.raises(ValueError, match=r"\['a'\] appear more than once"):
        PlayerSet.from_names(["a", "b", "a"])
