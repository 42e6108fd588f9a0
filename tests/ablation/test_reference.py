"""The reference engine against plain Hugging Face code, on every family."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

import spex_mech as sm

SHARED_MODELS = True  # their TransformerLens views take most of the time
RNG = np.random.default_rng(0)
IDS = RNG.integers(1, 61, (3, 9))
PAIRS = RNG.integers(1, 61, (3, 2))


def layers_of(hf: torch.nn.Module) -> torch.nn.ModuleList:
    return hf.transformer.h if hasattr(hf, "transformer") else hf.model.layers


def output_projection(hf: torch.nn.Module, layer: int) -> torch.nn.Module:
    block = layers_of(hf)[layer]
    return block.attn.c_proj if hasattr(block, "attn") else block.self_attn.o_proj


def attention(hf: torch.nn.Module, layer: int) -> torch.nn.Module:
    block = layers_of(hf)[layer]
    return block.attn if hasattr(block, "attn") else block.self_attn


@contextlib.contextmanager
def heads_scaled(hf: torch.nn.Module, layer: int, factor: np.ndarray):
    """Multiply the heads' slices of the output projection's input by factor (heads,)."""

    def hook(module, args):
        heads = args[0].unflatten(-1, (len(factor), -1))
        return (heads * torch.tensor(factor, dtype=heads.dtype)[:, None]).flatten(-2)

    handle = output_projection(hf, layer).register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def output_zeroed(module: torch.nn.Module):
    def hook(module, args, output):
        return (output[0] * 0, *output[1:]) if isinstance(output, tuple) else output * 0

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def plain(hf: torch.nn.Module, ids: np.ndarray = IDS) -> np.ndarray:
    """Logits of the two answers at the last position, straight from Hugging Face."""
    with torch.no_grad():
        logits = hf(torch.tensor(ids)).logits[:, -1]
    return logits.gather(1, torch.tensor(PAIRS)).numpy()


ENGINE: dict[str, str] = {}


@pytest.fixture(params=["reference", "fast"], autouse=True)
def engine(request, monkeypatch):
    """Every test runs on both engines, unless it names one."""
    monkeypatch.setitem(ENGINE, "engine", request.param)


def game_of(model: sm.Model, players: str = "heads", **options) -> sm.TaskGame:
    task = sm.TokenTask(IDS, answers=PAIRS)
    return sm.TaskGame(model, task, sm.select_players(model, players), **{**ENGINE, **options})


def without(game: sm.TaskGame, *names: str) -> np.ndarray:
    mask = np.ones((1, game.players.n), dtype=bool)
    mask[0, [game.players.index(name) for name in names]] = False
    return mask


def test_full_mask_is_the_plain_model(tiny):
    game = game_of(tiny)
    full = game.scores(np.ones((1, game.players.n), dtype=bool))[0]
    np.testing.assert_allclose(full, plain(tiny.hf), atol=1e-5)


@pytest.mark.parametrize(("layer", "head"), [(0, 1), (1, 3), (2, 0)])
def test_removed_head_is_a_zero_slice_of_the_output_projection_input(tiny, layer, head):
    factor = np.ones(4)
    factor[head] = 0
    with heads_scaled(tiny.hf, layer, factor):
        expected = plain(tiny.hf)
    game = game_of(tiny)
    np.testing.assert_allclose(
        game.scores(without(game, f"L{layer}H{head}"))[0], expected, atol=1e-5
    )
    assert np.abs(expected - plain(tiny.hf)).max() > 1e-3


def test_rescaling_multiplies_kept_heads_by_all_over_kept(tiny):
    factor = np.array([0, 4 / 2, 4 / 2, 0])
    with heads_scaled(tiny.hf, 1, factor):
        expected = plain(tiny.hf)
    game = game_of(tiny, rescale=True)
    np.testing.assert_allclose(game.scores(without(game, "L1H0", "L1H3"))[0], expected, atol=1e-5)


def test_rescaling_with_no_head_left_is_zero(tiny_llama):
    names = [f"L1H{h}" for h in range(4)]
    rescaled, not_rescaled = game_of(tiny_llama, rescale=True), game_of(tiny_llama)
    mask = without(rescaled, *names)
    np.testing.assert_array_equal(rescaled.scores(mask), not_rescaled.scores(mask))


def test_removed_mlp_adds_nothing(tiny):
    with output_zeroed(layers_of(tiny.hf)[1].mlp):
        expected = plain(tiny.hf)
    game = game_of(tiny, "mlps")
    np.testing.assert_allclose(game.scores(without(game, "L1MLP"))[0], expected, atol=1e-5)


def test_removed_layer_passes_the_residual_through(tiny):
    block = layers_of(tiny.hf)[1]
    with output_zeroed(attention(tiny.hf, 1)), output_zeroed(block.mlp):
        expected = plain(tiny.hf)
    game = game_of(tiny, "layers")
    np.testing.assert_allclose(game.scores(without(game, "L1"))[0], expected, atol=1e-5)


def test_kv_group_is_all_its_heads(tiny):
    heads, groups = game_of(tiny), game_of(tiny, "kv")
    share = tiny.shape.n_heads // tiny.shape.n_kv_heads
    members = [f"L1H{h}" for h in range(share)]
    np.testing.assert_array_equal(
        groups.scores(without(groups, "L1KV0")), heads.scores(without(heads, *members))
    )


@pytest.mark.parametrize("kind", ["zero", "mean", "resample"])
def test_rows_do_not_depend_on_their_batch(tiny, kind):
    game = game_of(tiny, ablation=kind)
    masks = np.random.default_rng(1).random((7, game.players.n)) < 0.6
    together = game.scores(masks)
    alone = np.concatenate([game.scores(row[None]) for row in masks])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(game.scores(masks[::-1]), together[::-1], atol=1e-5)


@pytest.mark.parametrize("kind", ["zero", "mean", "resample"])
def test_padding_side_does_not_matter(tiny, kind):
    left = np.zeros((3, 12), dtype=int)
    right = np.zeros((3, 12), dtype=int)
    left_mask, right_mask = np.zeros_like(left), np.zeros_like(right)
    for row, length in enumerate([9, 5, 7]):
        left[row, -length:] = right[row, :length] = IDS[row, :length]
        left_mask[row, -length:] = right_mask[row, :length] = 1
    players = sm.select_players(tiny, "heads mlps")
    masks = np.random.default_rng(2).random((4, players.n)) < 0.6
    scores = [
        sm.TaskGame(
            tiny, sm.TokenTask(ids, mask, answers=PAIRS), players, ablation=kind, **ENGINE
        ).scores(masks)
        for ids, mask in ((left, left_mask), (right, right_mask))
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    # Each padded example also equals the same tokens run alone, without any padding.
    if kind == "zero":
        one = sm.TokenTask(IDS[1:2, :5], answers=PAIRS[1:2])
        alone = sm.TaskGame(tiny, one, players, **ENGINE).scores(masks)
        np.testing.assert_allclose(alone[:, 0], scores[0][:, 1], atol=1e-5)


def test_mean_ablation_puts_in_the_mean_over_all_tokens(tiny):
    inputs = []
    projection = output_projection(tiny.hf, 1)
    handle = projection.register_forward_pre_hook(lambda m, args: inputs.append(args[0]))
    plain(tiny.hf)
    handle.remove()
    average = inputs[0].flatten(0, 1).mean(0).unflatten(0, (4, -1))[2]

    def put(module, args):
        heads = args[0].unflatten(-1, (4, -1)).clone()
        heads[:, :, 2] = average
        return heads.flatten(-2)

    handle = projection.register_forward_pre_hook(put)
    expected = plain(tiny.hf)
    handle.remove()
    game = game_of(tiny, ablation="mean")
    np.testing.assert_allclose(game.scores(without(game, "L1H2"))[0], expected, atol=1e-5)


def test_resample_ablation_puts_in_another_example(tiny_llama):
    """With every part resampled, an example's answer is read from its donor's last layer input."""
    model = tiny_llama
    game = game_of(model, "heads mlps", ablation="resample", seed=3)
    none = game.scores(np.zeros((1, game.players.n), dtype=bool))[0]
    embed, norm = model.hf.model.embed_tokens, model.hf.model.norm
    with torch.no_grad():
        hidden = []
        handle = norm.register_forward_pre_hook(lambda m, args: hidden.append(args[0]))
        model.hf(torch.tensor(IDS))
        handle.remove()
        embedded = embed(torch.tensor(IDS))
        written = hidden[0] - embedded  # all that heads and MLPs add
        for donors in ([1, 2, 0], [2, 0, 1]):
            logits = model.hf.lm_head(norm(embedded + written[donors]))[:, -1]
            expected = logits.gather(1, torch.tensor(PAIRS)).numpy()
            if np.allclose(none, expected, atol=1e-5):
                return
    pytest.fail("no derangement of donors explains the resampled scores")


def test_sequence_score_is_the_mean_log_probability(tiny):
    game = sm.TaskGame(tiny, sm.TokenTask(IDS), sm.select_players(tiny, "heads"), **ENGINE)
    with torch.no_grad():
        logprob = tiny.hf(torch.tensor(IDS)).logits.log_softmax(-1)
    expected = logprob[:, :-1].gather(2, torch.tensor(IDS)[:, 1:, None])[..., 0].mean(1).numpy()
    np.testing.assert_allclose(game.scores(np.ones((1, 12), dtype=bool))[0], expected, atol=1e-5)


def hook_count(model: sm.Model) -> int:
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks)
        for m in model.bridge.original_model.modules()
    ) + sum(len(point.fwd_hooks) for point in model.bridge.hook_dict.values())


def test_hooks_are_gone_and_weights_unchanged_after_a_failure(tiny_llama, monkeypatch):
    game = game_of(tiny_llama, engine="reference")
    game(without(game, "L0H0"))  # the bridge wires itself up on first use
    before, hooks = tiny_llama.fingerprint, hook_count(tiny_llama)
    mlp = tiny_llama.bridge.blocks[2].mlp
    with monkeypatch.context() as patch:
        patch.setattr(
            type(mlp), "forward", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("broken"))
        )
        with pytest.raises(RuntimeError, match="broken"):
            game(without(game, "L0H0", "L2H1"))
    assert hook_count(tiny_llama) == hooks
    full = game.scores(np.ones((1, game.players.n), dtype=bool))[0]
    np.testing.assert_allclose(full, plain(tiny_llama.hf), atol=1e-5)
    del tiny_llama.__dict__["fingerprint"]
    assert tiny_llama.fingerprint == before
