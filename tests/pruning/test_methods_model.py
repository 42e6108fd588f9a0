"""Rankings that look inside the model, against plain Hugging Face code and against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.ablation import gate_gradients, head_statistics
from spex_mech.core.errors import InputError
from spex_mech.pruning.compare import METHODS, choose_all
from spex_mech.pruning.methods import Metered, Problem, Remembered, surrogate_search
from spex_mech.pruning.methods import model as model_rankings
from spex_mech.pruning.methods.spectrum import spread_design
from spex_mech.pruning.prune import ranked
from tests.shared.planted_game import Planted

RNG = np.random.default_rng(0)
IDS = RNG.integers(1, 61, (3, 9))
PAIRS = RNG.integers(1, 61, (3, 2))
LENGTHS = np.array([9, 5, 7])
PADDING = np.arange(9) < LENGTHS[:, None]
COSTS = {
    "taylor": 4,
    "attribution patching": 4,
    "integrated gradients": 20,
    "attention entropy": 1,
    "output norm": 1,
}


def game_of(model: sm.Model, players: str = "heads", **options) -> sm.TaskGame:
    task = sm.TokenTask(IDS, PADDING, answers=PAIRS)
    return sm.TaskGame(model, task, sm.select_players(model, players), **options)


def rows():
    """Each prompt alone, without padding."""
    for ids, length in zip(IDS, LENGTHS, strict=True):
        yield torch.tensor(ids[None, :length])


def test_attention_entropy_is_that_of_the_models_own_attention(tiny):
    found = head_statistics.attention_entropy(game_of(tiny))
    tiny.hf.set_attn_implementation("eager")
    total = np.zeros((3, 4))
    for ids in rows():
        with torch.no_grad():
            patterns = tiny.hf(ids, output_attentions=True).attentions
        for layer, pattern in enumerate(patterns):
            p = pattern[0].double().numpy()  # (heads, t, t)
            safe = np.where(p > 0, p, 1.0)
            total[layer] += -(p * np.log(safe)).sum(axis=(1, 2))
    expected = total.ravel() / LENGTHS.sum()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.ptp(expected) > 0.01


def test_output_norm_is_that_of_what_a_head_adds(tiny):
    """A head's output is what the output projection loses when the head's slice is zero."""
    total = np.zeros((3, 4))
    layers = tiny.hf.transformer.h if hasattr(tiny.hf, "transformer") else tiny.hf.model.layers
    for ids in rows():
        for layer, block in enumerate(layers):
            projection = block.attn.c_proj if hasattr(block, "attn") else block.self_attn.o_proj
            seen = []
            handle = projection.register_forward_pre_hook(lambda m, args, s=seen: s.append(args[0]))
            with torch.no_grad():
                tiny.hf(ids)
                handle.remove()
                for head in range(4):
                    without = seen[0].unflatten(-1, (4, -1)).clone()
                    without[:, :, head] = 0
                    change = projection(seen[0]) - projection(without.flatten(-2))
                    total[layer, head] += float(change.norm(dim=-1).sum())
    found = head_statistics.output_norm(game_of(tiny))
    np.testing.assert_allclose(found, total.ravel() / LENGTHS.sum(), rtol=1e-4)


def test_a_group_is_the_mean_of_its_heads(tiny_llama):
    for statistic in (head_statistics.attention_entropy, head_statistics.output_norm):
        heads, groups = statistic(game_of(tiny_llama)), statistic(game_of(tiny_llama, "kv"))
        np.testing.assert_allclose(groups, heads.reshape(6, 2).mean(axis=1), rtol=1e-6)


def test_rankings_keep_by_their_published_scores(tiny_llama):
    game = game_of(tiny_llama)
    gradients = gate_gradients.gate_gradients(game)
    importance = np.abs(gradients).mean(axis=0).reshape(3, 4)
    scores = {
        "taylor": (importance / np.linalg.norm(importance, axis=1, keepdims=True)).ravel(),
        "attribution patching": gradients.mean(axis=0),
        "integrated gradients": gate_gradients.integrated_gradients(game).mean(axis=0),
        "attention entropy": -head_statistics.attention_entropy(game),
        "output norm": head_statistics.output_norm(game),
    }
    for name, score in scores.items():
        for keep, found in zip(
            (9, 5, 2), METHODS[name](Problem(Metered(game, 20), (9, 5, 2), 0)), strict=True
        ):
            assert set(np.flatnonzero(found.mask)) == set(np.argsort(-score)[:keep]), name


def test_layers_of_one_player_are_not_divided_by_themselves(tiny_llama):
    game = game_of(tiny_llama, "mlps")
    importance = np.abs(gate_gradients.gate_gradients(game)).mean(axis=0)
    (found,) = METHODS["taylor"](Problem(Metered(game, 4), (1,), 0))
    assert np.flatnonzero(found.mask) == importance.argmax()


@pytest.mark.parametrize(("name", "cost"), list(COSTS.items()))
def test_passes_through_the_model_are_counted(tiny_llama, name, cost):
    game = game_of(tiny_llama)
    methods = {name: METHODS[name]}
    (choice,) = choose_all(game, (6,), budget=cost, seed=0, methods=methods)
    assert choice.ablations == cost
    with pytest.raises(InputError, match=f"{cost} ablations were asked for when 0 of the budget"):
        choose_all(game, (6,), budget=cost - 1, seed=0, methods=methods)


def test_entropy_and_norm_are_of_heads_only(tiny_llama):
    game = game_of(tiny_llama, "heads mlps:1")
    for statistic in (head_statistics.attention_entropy, head_statistics.output_norm):
        with pytest.raises(InputError, match="ranks heads and key/value groups, not L1MLP"):
            statistic(game)


def test_gradients_propose_and_ablations_decide(tiny_llama):
    game = game_of(tiny_llama)
    levels, keeps = (0.5, 1.0), (8, 4)
    lines = [gate_gradients.gate_gradients(game, at=at).mean(axis=0) for at in levels]
    meter = Metered(Remembered(game), 60)
    found = model_rankings.gradient_search(levels)(Problem(meter, keeps, 0))
    assert 2 * gate_gradients.COST < meter.spent <= 60
    for keep, kept in zip(keeps, found, strict=True):
        proposals = np.stack([ranked(line, keep) for line in [*lines, np.mean(lines, axis=0)]])
        assert kept.mask.sum() == keep
        assert kept.measured == pytest.approx(game(kept.mask[None])[0], abs=1e-6)
        assert kept.measured >= game(proposals).max() - 1e-6


def test_gradients_propose_to_the_search_on_a_spectrum(tiny_llama):
    game = game_of(tiny_llama)
    keeps, cost = (8, 4), model_rankings.GRADIENTS_COST
    meter = Metered(Remembered(game), 60)
    search = surrogate_search(rankings=model_rankings.by_gradients())
    found = search(Problem(meter, keeps, 0))
    design = spread_design(Problem(Metered(game, 60), keeps, 0), 30)
    masks = len(np.unique(design.masks, axis=0))
    assert masks + cost < meter.spent <= 60
    for keep, kept in zip(keeps, found, strict=True):
        lines = model_rankings.gradient_rankings(game)
        proposals = np.stack([ranked(line, keep) for line in lines])
        assert kept.measured >= game(proposals).max() - 1e-6


def test_a_gradient_search_needs_levels_and_a_model(tiny_llama):
    with pytest.raises(InputError, match="levels is empty"):
        model_rankings.gradient_search(())
    with pytest.raises(InputError, match="at is 0"):
        model_rankings.gradient_search((0.0,))(Problem(Metered(game_of(tiny_llama), 60), (4,), 0))
    planted = Metered(Planted(5, np.sum), 60)
    with pytest.raises(InputError, match="looks inside a model"):
        METHODS["gradient search"](Problem(planted, (2,), 0))
