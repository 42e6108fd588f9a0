"""Counterfactual ablation against hand-written hooks on plain Hugging Face code, on both engines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import spex_mech as sm

SHARED_MODELS = True
LENGTHS = (9, 5, 7, 9)
FAMILIES = ["llama", "gpt2", "gemma2"]


def padded(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Token ids padded on the left, and their mask; one prompt comes twice with different partners."""
    rng = np.random.default_rng(seed)
    ids, mask = np.zeros((2, len(LENGTHS), 9), dtype=np.int64)
    for row, length in enumerate(LENGTHS):
        ids[row, -length:] = rng.integers(1, 61, length)
        mask[row, -length:] = 1
    return ids, mask


IDS, MASK = padded(0)
IDS[3] = IDS[0]
PARTNERS = padded(1)[0]
PAIRS = np.random.default_rng(2).integers(1, 61, (4, 2))


def task() -> sm.TokenTask:
    return sm.TokenTask(IDS, MASK, answers=PAIRS, partners=PARTNERS)


def places(hf: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """What writes to the residual stream in each layer, and the projection that heads go through."""
    blocks = hf.transformer.h if hasattr(hf, "transformer") else hf.model.layers
    for i, block in enumerate(blocks):
        attention = block.attn if hasattr(block, "attn") else block.self_attn
        yield f"z{i}", attention.c_proj if hasattr(attention, "c_proj") else attention.o_proj
        # Gemma 2 has norms after attention and MLP; what they give is added to the stream.
        normed = hasattr(block, "post_feedforward_layernorm")
        yield f"attention{i}", block.post_attention_layernorm if normed else attention
        yield f"mlp{i}", block.post_feedforward_layernorm if normed else block.mlp


@contextlib.contextmanager
def hooks(hf: torch.nn.Module, make):
    """A hook made of each place's name: on the input of the projection, on the outputs of the others."""
    handles = []
    for name, module in places(hf):
        if name.startswith("z"):
            handles.append(module.register_forward_pre_hook(make(name)))
        else:
            handles.append(module.register_forward_hook(make(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def first(x):
    return x[0] if isinstance(x, tuple) else x


def by_hand(hf: torch.nn.Module, row: int, gone: set[tuple[str, int]]) -> np.ndarray:
    """Answer logits of one question without padding, with some parts as they are on its partner."""
    own, other = (x[row][MASK[row] > 0][None] for x in (IDS, PARTNERS))
    seen: dict[str, torch.Tensor] = {}

    def watch(name):
        def on_input(module, args):
            seen[name] = args[0]

        def on_output(module, args, output):
            seen[name] = first(output)

        return on_input if name.startswith("z") else on_output

    def put(name):
        def on_input(module, args):
            heads = args[0].unflatten(-1, (4, -1)).clone()
            for head in range(4):
                if (name, head) in gone:
                    heads[:, :, head] = seen[name].unflatten(-1, (4, -1))[:, :, head]
            return heads.flatten(-2)

        def on_output(module, args, output):
            if (name, 0) not in gone:
                return output
            return (seen[name], *output[1:]) if isinstance(output, tuple) else seen[name]

        return on_input if name.startswith("z") else on_output

    with torch.no_grad():
        with hooks(hf, watch):
            hf(torch.tensor(other))
        with hooks(hf, put):
            logits = hf(torch.tensor(own)).logits[0, -1]
    return logits[torch.tensor(PAIRS[row])].numpy()


def parts(name: str) -> set[tuple[str, int]]:
    """The parts of a player of a model with four heads, in two groups where it has groups."""
    layer, what = name[1], name[2:]
    if what == "":
        return {(f"attention{layer}", 0), (f"mlp{layer}", 0)}
    if what == "MLP":
        return {(f"mlp{layer}", 0)}
    if what.startswith("KV"):
        return {(f"z{layer}", h) for h in (2 * int(what[2:]), 2 * int(what[2:]) + 1)}
    return {(f"z{layer}", int(what[1:]))}


@pytest.mark.parametrize("engine", ["reference", "fast"])
@pytest.mark.parametrize("spec", ["heads mlps", "layers", "kv", "heads:1"])
@pytest.mark.parametrize("family", FAMILIES)
def test_removed_parts_have_their_values_on_the_partner(tiny, family, spec, engine):
    if (family, spec) == ("gpt2", "kv"):
        pytest.skip("its groups are heads")
    players = sm.select_players(tiny, spec)
    game = sm.TaskGame(tiny, task(), players, ablation="counterfactual", engine=engine)
    masks = np.random.default_rng(3).random((4, players.n)) < 0.5
    masks[0], masks[1] = True, False
    expected = np.empty((4, 4, 2))
    for j, mask in enumerate(masks):
        gone = set().union(*(parts(players.names[i]) for i in np.flatnonzero(~mask)))
        expected[j] = [by_hand(tiny.hf, row, gone) for row in range(4)]
    np.testing.assert_allclose(game.scores(masks), expected, atol=2e-5)
    asked = np.array([[0, 2], [3, 1], [1, 2], [3, 0]])
    some = np.take_along_axis(expected, asked[..., None], axis=1)
    np.testing.assert_allclose(game.asked_scores(masks, asked), some, atol=2e-5)
    assert np.abs(expected[1] - expected[0]).max() > 2e-3
    assert np.abs(expected[2, 0] - expected[2, 3]).max() > 0 or spec == "heads:1"


@pytest.mark.parametrize("family", ["llama"])
def test_the_partners_are_part_of_the_identity(tiny, family):
    players = sm.select_players(tiny, "heads")
    other = PARTNERS.copy()
    other[2, -1] = 60 - other[2, -1]
    keys = [
        sm.TaskGame(
            tiny,
            sm.TokenTask(IDS, MASK, answers=PAIRS, partners=partners),
            players,
            ablation=ablation,
        ).key
        for partners, ablation in [
            (PARTNERS, "counterfactual"),
            (other, "counterfactual"),
            (PARTNERS, "zero"),
            (None, "zero"),
        ]
    ]
    assert {k for k in keys[0] if keys[0][k] != keys[1][k]} == {"partners"}
    assert keys[2] == keys[3] and "partners" not in keys[2]


@pytest.mark.parametrize("family", ["llama"])
def test_stores_and_workers(tiny, family, tmp_path):
    """A store takes no values of other partners, and another process gets the same ones."""
    players = sm.select_players(tiny, "heads")
    game = sm.TaskGame(tiny, task(), players, ablation="counterfactual")
    design = sm.designs.uniform(players.n, 6, seed=0)
    run = sm.evaluate(game, design, store=tmp_path / "a")
    again = game.rebuild()()
    assert again.key == game.key
    np.testing.assert_array_equal(again(design.masks), run.values)
    stored = sm.open_run(tmp_path / "a")
    assert stored.facts["game"]["ablation"] == "counterfactual"
    np.testing.assert_array_equal(stored(design.masks), run.values)
    swapped = sm.TokenTask(IDS, MASK, answers=PAIRS, partners=np.where(MASK, 7, 0))
    with pytest.raises(ValueError, match="partners"):
        sm.evaluate(
            sm.TaskGame(tiny, swapped, players, ablation="counterfactual"),
            design,
            store=tmp_path / "a",
        )


@pytest.mark.parametrize("family", ["llama"])
def test_a_task_without_partners_is_refused(tiny, family):
    players = sm.select_players(tiny, "heads")
    with pytest.raises(ValueError, match=r"TokenTask has none; give TokenTask\(\.\.\., partners="):
        sm.TaskGame(tiny, sm.TokenTask(IDS, MASK), players, ablation="counterfactual")
    with pytest.raises(ValueError, match=r"partners has shape \(4, 8\), expected .* \(4, 9\)"):
        sm.TokenTask(IDS, MASK, partners=IDS[:, 1:])
    with pytest.raises(
        ValueError, match=r"2 of 4 partners .* example 1 has 6 tokens, the example 5"
    ):
        sm.TokenTask(IDS, MASK, partners=[[1] * 9, [1] * 6, [1] * 7, [1] * 8])
    with pytest.raises(ValueError, match="got 1 partners for 4 examples"):
        sm.TokenTask(IDS, MASK, partners=[[1] * 9])
    ragged = sm.TokenTask(IDS, MASK, partners=[[1] * n for n in LENGTHS])
    assert ragged.partner_sequences == tuple((1,) * n for n in LENGTHS)
