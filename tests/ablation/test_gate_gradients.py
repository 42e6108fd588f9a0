"""Taylor importance against finite differences of gates that plain Hugging Face code applies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.ablation.gate_gradients import gate_gradients, integrated_gradients
from spex_mech.core.errors import InputError

RNG = np.random.default_rng(0)
IDS = RNG.integers(1, 61, (3, 9))
PAIRS = RNG.integers(1, 61, (3, 2))
# GPT-2's norms compute in the model's dtype; Llama's in float32, whatever that is.
PRECISION = {"gpt2": (1e-4, 1e-7), "llama": (1e-2, 2e-3)}
families = pytest.mark.parametrize("family", list(PRECISION))


def layers_of(hf: torch.nn.Module) -> torch.nn.ModuleList:
    return hf.transformer.h if hasattr(hf, "transformer") else hf.model.layers


def attention_of(block: torch.nn.Module) -> torch.nn.Module:
    return block.attn if hasattr(block, "attn") else block.self_attn


def out_of(block: torch.nn.Module) -> torch.nn.Module:
    return block.attn.c_proj if hasattr(block, "attn") else block.self_attn.o_proj


@contextlib.contextmanager
def input_changed(module: torch.nn.Module, change: Callable[[torch.Tensor], torch.Tensor]):
    handle = module.register_forward_pre_hook(lambda m, args: change(args[0]))
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def output_scaled(module: torch.nn.Module, factor: float):
    def hook(module, args, out):
        return (out[0] * factor, *out[1:]) if isinstance(out, tuple) else out * factor

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def heads_changed(hf: torch.nn.Module, layer: int, change: Callable):
    """Change the heads' slices (b, t, 4, d) of an output projection's input."""
    return input_changed(
        out_of(layers_of(hf)[layer]), lambda x: change(x.unflatten(-1, (4, -1))).flatten(-2)
    )


def margin(hf: torch.nn.Module) -> np.ndarray:
    with torch.no_grad():
        last = hf(torch.tensor(IDS)).logits[:, -1].double()
    pair = last.gather(1, torch.tensor(PAIRS)).numpy()
    return pair[:, 0] - pair[:, 1]


def slope(model: sm.Model, gated: Callable[[float], contextlib.AbstractContextManager]):
    """Central difference of the margin of each example about a gate of 1."""
    step = PRECISION[{"GPT2LMHeadModel": "gpt2"}.get(type(model.hf).__name__, "llama")][0]
    ends = []
    for x in (1 + step, 1 - step):
        with gated(x):
            ends.append(margin(model.hf))
    return (ends[0] - ends[1]) / (2 * step)


def agree(family: str, found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=PRECISION[family][1])


@pytest.fixture
def double(tiny) -> sm.Model:
    tiny.hf.double()
    return tiny


def game_of(model: sm.Model, players: str = "heads", **options) -> sm.TaskGame:
    task = sm.TokenTask(IDS, answers=PAIRS)
    players = sm.select_players(model, players)
    return sm.TaskGame(model, task, players, engine="reference", **options)


def one_head(x: torch.Tensor, head: int, factor: float) -> torch.Tensor:
    scale = torch.ones(4, dtype=x.dtype)
    scale[head] = factor
    return x * scale[:, None]


@families
def test_heads_equal_finite_differences(double, family):
    found = gate_gradients(game_of(double))
    for player, (layer, head) in enumerate(np.ndindex(3, 4)):
        expected = slope(
            double,
            lambda x, at=layer, h=head: heads_changed(double.hf, at, lambda z: one_head(z, h, x)),
        )
        np.testing.assert_allclose(found[:, player], expected, atol=PRECISION[family][1])
    assert np.abs(found).max() > 0.05


@families
def test_rescaled_heads_equal_finite_differences(double, family):
    def gated(x):
        # Gates x, 1, 1, 1 are multiplied by 4 / (x + 3).
        return heads_changed(double.hf, 1, lambda z: one_head(z, 2, x) * (4 / (x + 3)))

    found = gate_gradients(game_of(double, rescale=True))[:, 1 * 4 + 2]
    agree(family, found, slope(double, gated))


@families
def test_gates_of_mean_ablation_mix_with_the_mean(double, family):
    seen = []
    with input_changed(out_of(layers_of(double.hf)[1]), lambda x: seen.append(x) or x):
        margin(double.hf)
    average = seen[0].flatten(0, 1).mean(0).unflatten(0, (4, -1))

    def gated(x):
        def mix(z):
            mixed = z.clone()
            mixed[:, :, 2] = x * z[:, :, 2] + (1 - x) * average[2]
            return mixed

        return heads_changed(double.hf, 1, mix)

    found = gate_gradients(game_of(double, ablation="mean"))[:, 1 * 4 + 2]
    agree(family, found, slope(double, gated))


@families
def test_mlps_equal_finite_differences(double, family):
    mlp = layers_of(double.hf)[1].mlp
    found = gate_gradients(game_of(double, "heads mlps:1"))[:, -1]
    agree(family, found, slope(double, lambda x: output_scaled(mlp, x)))


@families
def test_layers_equal_finite_differences(double, family):
    block = layers_of(double.hf)[1]

    @contextlib.contextmanager
    def gated(x):
        with output_scaled(attention_of(block), x), output_scaled(block.mlp, x):
            yield

    agree(family, gate_gradients(game_of(double, "layers"))[:, 1], slope(double, gated))


def test_a_group_is_the_sum_of_its_heads(tiny_llama):
    heads, groups = gate_gradients(game_of(tiny_llama)), gate_gradients(game_of(tiny_llama, "kv"))
    np.testing.assert_allclose(groups, heads.reshape(3, 6, 2).sum(axis=2), atol=1e-6)


@pytest.mark.parametrize("family", ["gpt2"])
def test_sequences_of_unequal_length_equal_finite_differences(double, family):
    lengths, step = [9, 5, 7], 1e-4
    mask = np.arange(9) < np.array(lengths)[:, None]
    game = sm.TaskGame(
        double, sm.TokenTask(IDS, mask), sm.select_players(double), engine="reference"
    )

    def logprob(x: float) -> np.ndarray:
        found = []
        with heads_changed(double.hf, 1, lambda z: one_head(z, 3, x)), torch.no_grad():
            for row, length in zip(IDS, lengths, strict=True):
                ids = torch.tensor(row[None, :length])
                every = double.hf(ids).logits[0, :-1].log_softmax(-1)
                found.append(float(every.gather(1, ids[0, 1:, None]).mean()))
        return np.array(found)

    expected = (logprob(1 + step) - logprob(1 - step)) / (2 * step)
    agree(family, gate_gradients(game)[:, 1 * 4 + 3], expected)


def test_options_of_several_tokens_equal_finite_differences():
    model = sm.load_model("embedded")
    task = sm.load_task("embedded/capitals", form="continuations").first(3)
    game = sm.TaskGame(model, task, sm.select_players(model), metric="margin_norm")
    found = gate_gradients(game)
    layer, head = divmod(int(np.abs(found).sum(axis=0).argmax()), 8)
    projection, step = model.hf.model.layers[layer].self_attn.o_proj, 1e-2

    def measured(x: float) -> np.ndarray:
        def change(z):
            z = z.unflatten(-1, (8, -1)).clone()
            z[:, :, head] *= x
            return z.flatten(-2)

        rows = []
        with input_changed(projection, change), torch.no_grad():
            for tokens, count in zip(game.prompts.tokens, game.prompts.targets, strict=True):
                every = model.hf(torch.tensor([tokens])).logits[0, :-1].double().log_softmax(-1)
                picked = every.gather(1, torch.tensor(tokens)[1:, None])[:, 0]
                rows.append(float(picked[-count:].sum()))
        return game.per_example(game.prompts.arrange(np.array([rows])))[0]

    expected = (measured(1 + step) - measured(1 - step)) / (2 * step)
    atol = 1e-3 * np.abs(expected).max()  # the model computes in float32
    np.testing.assert_allclose(found[:, layer * 8 + head], expected, atol=atol)


def test_nothing_of_it_stays_on_the_model(tiny_llama):
    game = game_of(tiny_llama)
    gate_gradients(game)
    assert all(p.grad is None for p in tiny_llama.hf.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tiny_llama.hf.modules())
    assert not any(point.fwd_hooks for point in tiny_llama.bridge.hook_dict.values())


def test_accuracy_has_no_slope_and_is_read_as_the_margin(tiny_llama):
    np.testing.assert_array_equal(
        gate_gradients(game_of(tiny_llama, metric="accuracy")),
        gate_gradients(game_of(tiny_llama, metric="margin")),
    )
    np.testing.assert_array_equal(
        gate_gradients(game_of(tiny_llama, metric="kl")),
        gate_gradients(game_of(tiny_llama, metric="logprob")),
    )
    with pytest.raises(InputError, match="no slope at the full model; use 'margin'"):
        gate_gradients(game_of(tiny_llama), metric="accuracy")


@contextlib.contextmanager
def all_heads_at(hf: torch.nn.Module, at: float, layer: int = -1, head: int = -1, x: float = 1.0):
    """Every head's slice times ``at``, and one of them times ``x`` instead."""
    with contextlib.ExitStack() as stack:
        for number in range(3):
            factors = torch.full((4,), at, dtype=torch.float64)
            if number == layer:
                factors[head] = x
            stack.enter_context(
                heads_changed(hf, number, lambda z, f=factors: z * f.to(z.dtype)[:, None])
            )
        yield


@families
def test_gradients_on_the_path_equal_finite_differences(double, family):
    found, step = gate_gradients(game_of(double), at=0.3), PRECISION[family][0]
    for player, (layer, head) in enumerate(np.ndindex(3, 4)):
        ends = []
        for x in (0.3 + step, 0.3 - step):
            with all_heads_at(double.hf, 0.3, layer, head, x):
                ends.append(margin(double.hf))
        expected = (ends[0] - ends[1]) / (2 * step)
        rtol, atol = PRECISION[family]
        np.testing.assert_allclose(found[:, player], expected, rtol=rtol, atol=2 * atol)
    assert np.abs(found - gate_gradients(game_of(double))).max() > 0.01


@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
@pytest.mark.parametrize("family", ["gpt2"])
def test_integrated_gradients_sum_to_what_all_players_are_worth(double, family, ablation):
    game = game_of(double, "heads mlps:1", ablation=ablation)
    ends = game.per_question(np.array([[True] * 13, [False] * 13]))
    np.testing.assert_allclose(
        integrated_gradients(game, steps=40).sum(axis=1), ends[0] - ends[1], atol=2e-3
    )
    middles = [gate_gradients(game, at=x) for x in (0.25, 0.75)]
    np.testing.assert_array_equal(integrated_gradients(game, steps=2), np.mean(middles, axis=0))


def test_the_slope_of_a_curved_metric_is_that_at_the_gates(tiny_llama):
    """The log-probability of an answer bends, so that its slope by the logits changes along the path."""
    game = game_of(tiny_llama, metric="logprob")
    with all_heads_at(tiny_llama.hf, 0.5):
        scores = tiny_llama.hf(torch.tensor(IDS)).logits[:, -1].detach()
    pair = scores.gather(1, torch.tensor(PAIRS)).double().softmax(-1).numpy()
    margins = gate_gradients(game_of(tiny_llama), at=0.5)
    np.testing.assert_allclose(gate_gradients(game, at=0.5), margins * pair[:, 1:], atol=1e-5)


def test_integrated_gradients_need_a_path(tiny_llama):
    with pytest.raises(InputError, match="multiplies equal gates back to 1"):
        integrated_gradients(game_of(tiny_llama, rescale=True))
    with pytest.raises(InputError, match="steps is 0"):
        integrated_gradients(game_of(tiny_llama), steps=0)
    with pytest.raises(InputError, match="at is 0"):
        gate_gradients(game_of(tiny_llama), at=0)
