"""Sets within a rule for layers: against the definition and every set, and searched by `prune`."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.core.layer_rules import LAYER_RULES, LayerSize
from spex_mech.core.players import ModelShape, units
from spex_mech.core.spectrum import Spectrum
from spex_mech.pruning.curve import prune_curve
from spex_mech.pruning.layer_sets import LayerSets
from spex_mech.pruning.prune import prune
from spex_mech.pruning.smallest import smallest

SHAPE = ModelShape(n_layers=2, n_heads=4, n_kv_heads=2)
HAS_SHAPE = type("Model", (), {"shape": SHAPE})()
SELECTED = ("heads", "heads mlps", "kv mlps", "heads:0 layers:1", "heads:1 mlps:0")


def sets_of(select, form, shapes=None):
    players = sm.select_players(HAS_SHAPE, select)
    return players, LayerSets.of_players(players, SHAPE, LAYER_RULES[form], form, shapes)


def every_mask(n):
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)


def by_definition(players, mask, rule):
    """What is left of every layer, read off the parts of the removed players."""
    gone = {
        unit for i, player in enumerate(players) if not mask[i] for unit in units(player, SHAPE)
    }
    sizes = []
    for layer in range(SHAPE.n_layers):
        counts = [sum((layer, h) not in gone for h in SHAPE.heads_of(g)) for g in range(2)]
        size = LayerSize(layer, tuple(c for c in counts if c), (layer, -1) not in gone)
        if size.groups or size.mlp:
            sizes.append(size)
    return rule.fault(sizes) is None


@pytest.mark.parametrize("form", LAYER_RULES)
@pytest.mark.parametrize("select", SELECTED)
def test_allowed_sets_sizes_and_projections_are_those_of_all_sets(form, select):
    players, sets = sets_of(select, form)
    masks = every_mask(players.n)
    allowed = sets.allows(masks)
    expected = [by_definition(players, mask, LAYER_RULES[form]) for mask in masks]
    np.testing.assert_array_equal(allowed, expected)
    scores = np.random.default_rng(0).standard_normal(players.n)
    sizes = masks.sum(axis=1)
    for keep in (None, *range(1, players.n + 1)):
        inside = masks[allowed & ((sizes == keep) if keep else (sizes > 0))]
        found = sets.projected(scores, keep)
        if not len(inside):
            assert found is None
            with pytest.raises(
                InputError, match=f"no set of {keep} of {players.n} players fits .* keep "
            ):
                sets.check_size(keep)
        elif keep is not None:
            sets.check_size(keep)
            assert found is not None and sets.allows(found[None])[0] and found.sum() == keep
            assert scores @ found == pytest.approx((inside @ scores).max())
        else:
            assert scores @ found == pytest.approx(max((inside @ scores).max(), scores @ found))


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(SELECTED), st.sampled_from(sorted(LAYER_RULES)))
def test_neighbours_are_other_allowed_sets_of_their_size(seed, select, form):
    players, sets = sets_of(select, form)
    rng = np.random.default_rng(seed)
    masks = every_mask(players.n)[1:]
    masks = masks[sets.allows(masks)]
    start = masks[rng.integers(len(masks))]
    gains = rng.standard_normal(players.n)
    for resize in (False, True):
        near = sets.neighbours(start, gains, resize=resize, most=50)
        assert sets.allows(near).all() and (near != start).any(axis=1).all()
        assert resize or (near.sum(axis=1) == start.sum()).all()


def test_only_shapes_that_a_config_can_have_are_allowed():
    players, sets = sets_of("heads", "family", frozenset({(2, 2), (1, 1)}))
    masks = every_mask(players.n)
    assert {*masks[sets.allows(masks)].sum(axis=1)} == {2, 8}


def planted(n, seed):
    """A spectrum of single players and pairs."""
    rng = np.random.default_rng(seed)
    supports = [(i,) for i in range(n)] + list(combinations(range(n), 2))[::3]
    return Spectrum.from_supports(supports, rng.standard_normal(len(supports)), n)


class Planted:
    """A game whose values are a spectrum's, of players of a model."""

    def __init__(self, spectrum, players):
        self.spectrum, self.players, self.model = spectrum, players, HAS_SHAPE

    def __call__(self, masks):
        return self.spectrum(masks)


class Rule:
    """Sets that the form gguf or family can hold."""

    def __init__(self, form):
        self.form = form

    def of(self, players, model):
        return LayerSets.of_players(players, model.shape, LAYER_RULES[self.form], self.form)


@pytest.mark.parametrize("form", LAYER_RULES)
def test_prune_finds_the_best_allowed_set_and_says_what_the_rule_costs(form):
    players = sm.select_players(HAS_SHAPE, "heads mlps")
    spectrum = planted(players.n, 1)
    game = Planted(spectrum, players)
    masks = every_mask(players.n)
    masks = masks[masks.sum(axis=1) == 6]
    inside = masks[Rule(form).of(players, HAS_SHAPE).allows(masks)]
    pruned = prune(game, spectrum, keep=6, limits=Rule(form), validate=40)
    best, free = spectrum(inside).max(), spectrum(masks).max()
    assert pruned.measured == pytest.approx(best)
    assert pruned.cost == pytest.approx(free - best)
    assert pruned.ablations <= 40
    curve = prune_curve(game, spectrum, keeps=[10, 6], limits=Rule(form), validate=60)
    assert curve.at(6).measured == pytest.approx(best)
    assert all(point.cost is not None and point.cost >= 0 for point in curve.points)
    quick = prune(game, spectrum, keep=6, limits=Rule(form).of(players, HAS_SHAPE), validate=0)
    assert quick.cost is None and spectrum(quick.mask[None])[0] == pytest.approx(best)
    assert prune(game, spectrum, keep=6, validate=8).cost is None


def test_what_a_rule_cannot_do_is_refused():
    players = sm.select_players(HAS_SHAPE, "heads")
    spectrum = planted(8, 0)
    game = Planted(spectrum, players)
    with pytest.raises(InputError, match=r"no set of 5 of 8 players .*'laguna'.*keep 4 or 6"):
        prune(game, spectrum, keep=5, limits=Rule("laguna"))
    with pytest.raises(InputError, match="the game has no model"):
        prune(lambda masks: spectrum(masks), spectrum, keep=4, limits=Rule("gguf"))
    with pytest.raises(InputError, match="give keep="):
        prune(game, spectrum, limits=Rule("gguf"))
    with pytest.raises(InputError, match="has two rules for layers; give one"):
        prune(game, spectrum, keep=4, limits=[Rule("gguf"), Rule("family")])
    few = sm.kv_groups(players, HAS_SHAPE, 1)
    with pytest.raises(
        InputError, match=r"no set of 4 .* is within KV groups <= 1; the least is 2"
    ):
        prune(game, spectrum, keep=4, limits=[Rule("gguf"), few])
    with pytest.raises(
        InputError, match=r"fits the form 'family' within the limits.* loosen the lim"
    ):
        prune(game, spectrum, keep=4, limits=[Rule("family"), *sm.per_layer(players, 0)])
    with pytest.raises(InputError, match="expected a finite number for each of 8 players"):
        prune(game, spectrum, keep=4, limits=[Rule("gguf"), sm.Limit(np.ones(9), 3)])
    with pytest.raises(InputError, match="the rule is of 8 players, the spectrum has 9"):
        prune(planted(9, 0), planted(9, 0), keep=4, limits=Rule("gguf").of(players, HAS_SHAPE))


def limits_of(players):
    """Limits on single layers, on what players share, on a weighted sum, and on all of these."""
    weights = np.random.default_rng(3).uniform(1, 3, players.n)
    layers, groups = sm.per_layer(players, 3), [sm.kv_groups(players, HAS_SHAPE, 3)]
    weight = [sm.Limit(weights, 0.55 * weights.sum(), "weight")]
    return {
        "layers": layers,
        "groups": groups,
        "weight": weight,
        "all": [*layers, *groups, *weight],
    }


@pytest.mark.parametrize("form", LAYER_RULES)
@pytest.mark.parametrize("kind", ["layers", "groups", "weight", "all"])
def test_a_rule_with_limits_against_every_set(form, kind):
    players, rule = sets_of("heads mlps", form)
    limits = limits_of(players)[kind]
    sets = rule.within(limits)
    masks = every_mask(players.n)
    allowed = rule.allows(masks) & np.all([limit.allows(masks) for limit in limits], axis=0)
    np.testing.assert_array_equal(sets.allows(masks), allowed)
    sizes, ratios = masks.sum(axis=1), []
    for seed in range(3):
        scores = np.random.default_rng(seed).uniform(0, 1, players.n)
        for keep in range(1, players.n + 1):
            inside = masks[allowed & (sizes == keep)]
            found = sets.projected(scores, keep)
            if not len(inside):
                assert found is None
                with pytest.raises(InputError, match=f"no set of {keep} "):
                    sets.check_size(keep)
                continue
            if (
                kind == "all" and found is None
            ):  # prices of several limits may miss the last few sets
                assert len(inside) <= 3
                continue
            sets.check_size(keep)
            assert found is not None and found.sum() == keep and sets.allows(found[None])[0]
            ratios.append((scores @ found) / (inside @ scores).max())
    assert max(ratios) <= 1 + 1e-12 and min(ratios) > (1 - 1e-12 if kind == "layers" else 0.75)


@pytest.mark.parametrize("form", LAYER_RULES)
@pytest.mark.parametrize("kind", ["layers", "groups", "weight"])
def test_prune_finds_the_best_set_of_a_form_within_limits(form, kind):
    players = sm.select_players(HAS_SHAPE, "heads mlps")
    spectrum = planted(players.n, 1)
    limits = [Rule(form), *limits_of(players)[kind]]
    masks = every_mask(players.n)
    masks = masks[Rule(form).of(players, HAS_SHAPE).within(limits[1:]).allows(masks)]
    sizes = masks.sum(axis=1)
    keep = int(max(sizes[sizes <= 6]))
    game = Planted(spectrum, players)
    pruned = prune(game, spectrum, keep=keep, limits=limits, validate=40)
    assert pruned.measured == pytest.approx(spectrum(masks[sizes == keep]).max())
    assert pruned.cost is None  # no other sets were looked for
    curve = prune_curve(game, spectrum, keeps=[keep], limits=limits, validate=40)
    assert curve.points[0].measured == pytest.approx(pruned.measured)


@pytest.mark.parametrize("form", LAYER_RULES)
def test_smallest_within_a_rule(form):
    players = sm.select_players(HAS_SHAPE, "heads mlps")
    spectrum = planted(players.n, 2)
    masks = every_mask(players.n)[1:]
    for limits in ([], limits_of(players)["groups"]):
        inside = masks[Rule(form).of(players, HAS_SHAPE).within(limits).allows(masks)]
        values = spectrum(inside)
        at_least = float(np.quantile(values, 0.8))
        fewest = inside[values >= at_least].sum(axis=1).min()
        found = smallest(
            Planted(spectrum, players),
            spectrum,
            at_least=at_least,
            limits=[Rule(form), *limits],
            validate=120,
        )
        assert found.keep == fewest and found.measured >= at_least
        assert (inside == found.mask).all(axis=1).any()
