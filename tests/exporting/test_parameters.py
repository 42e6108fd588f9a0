"""Parameters of players, against what a compact export truly has."""

from __future__ import annotations

import numpy as np
import pytest
import transformers

import spex_mech as sm
from spex_mech.core.limits import kv_groups
from spex_mech.core.masks import all_masks
from spex_mech.exporting.export import compact_model
from spex_mech.exporting.parameters import parameter_limit


def size(hf) -> int:
    return sum(p.numel() for p in hf.parameters())


@pytest.mark.parametrize(
    "spec", ["heads", "kv", "layers", "heads:0-1 mlps", "layers:0 heads:1-2 mlps:1-2"]
)
def test_counts_are_those_of_the_compact_model(tiny, spec):
    players = sm.select_players(tiny, spec)
    rng = np.random.default_rng(0)
    masks = rng.random((4, players.n)) < rng.uniform(0.2, 0.9, (4, 1))
    masks[0], masks[1] = True, False
    masks[1, 0] = True
    counted = parameter_limit(tiny, players, 0).used(masks)
    built = [size(compact_model(tiny, players, mask)) for mask in masks]
    np.testing.assert_array_equal(counted - counted[0], np.array(built) - size(tiny.hf))


def heads_game(players, seed=0):
    rng = np.random.default_rng(seed)
    pairs = [tuple(rng.choice(players.n, 2, replace=False)) for _ in range(15)]
    sets = [*((i,) for i in range(players.n)), *pairs]
    return sm.Spectrum.from_supports(
        sets, [*-rng.uniform(0.1, 1.0, players.n), *rng.normal(0, 0.3, 15)], players.n
    )


@pytest.mark.parametrize("keep", [None, 5])
def test_pruning_to_a_number_of_parameters(tiny_llama, keep):
    players = sm.select_players(tiny_llama, "heads")
    game = heads_game(players)
    everything = all_masks(players.n)
    limit = parameter_limit(tiny_llama, players, 0.6)
    cost = limit.used(everything)
    assert limit.most == int(0.6 * cost.max())
    allowed = everything[cost <= limit.most]
    if keep is not None:
        allowed = allowed[allowed.sum(axis=1) == keep]
    pruned = sm.prune(game, game, keep=keep, limits=[limit], validate=20, seed=0)
    assert limit.allows(pruned.mask[None])[0]
    assert pruned.measured == pytest.approx(game(allowed).max())
    removed = size(tiny_llama.hf) - size(compact_model(tiny_llama, players, pruned.mask))
    assert cost.max() - removed <= limit.most


def test_pruning_to_a_number_of_kv_groups(tiny_llama):
    players = sm.select_players(tiny_llama, "heads")
    game = heads_game(players, 1)
    limit = kv_groups(players, tiny_llama, 3)
    everything = all_masks(players.n)
    allowed = everything[limit.allows(everything)]
    pruned = sm.prune(game, game, limits=[limit], validate=20, seed=0)
    assert pruned.measured == pytest.approx(game(allowed).max())
    alive = {(players.players[i].layer, players.players[i].index // 2)
             for i in np.flatnonzero(pruned.mask)}  # fmt: skip
    assert len(alive) <= 3


def test_what_cannot_be_counted(tiny_llama):
    players = sm.select_players(tiny_llama, "heads")
    for most in (-1, 1.5, 0.0, 1.0):
        with pytest.raises(sm.InputError, match="expected an integer number of parameters"):
            parameter_limit(tiny_llama, players, most)
    with pytest.raises(sm.InputError, match=r"parameters takes at least \d+ and may take 10"):
        sm.prune(
            heads_game(players), heads_game(players), keep=3, validate=0,
            limits=[parameter_limit(tiny_llama, players, 10)],
        )  # fmt: skip
    config = transformers.BloomConfig(vocab_size=61, hidden_size=32, n_layer=2, n_head=4)
    other = sm.load_model(transformers.BloomForCausalLM(config))
    with pytest.raises(sm.InputError, match="give a Limit with weights of your own"):
        parameter_limit(other, sm.select_players(other, "heads"), 100)
