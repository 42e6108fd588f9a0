"""A trained language model: all players against hooks on plain Hugging Face code, and both engines."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.core.errors import MissingFileError
from spex_mech.models.downloads import downloaded

SELECTIONS = ["heads", "kv", "mlps", "layers", "heads:0-9 mlps:10-19 kv:20-29"]
PROMPTS = 3
TOLERANCE = 2e-4  # logits are about 20, in float32 through 30 layers


@pytest.fixture(scope="module")
def model():
    """SmolLM2-135M-Instruct, where it was fetched."""
    try:
        downloaded("smollm2")
    except MissingFileError as error:
        pytest.skip(str(error))
    return sm.load_model("smollm2", device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def task():
    """A few questions of indirect object identification, of different lengths."""
    return sm.load_task("circuits/ioi").first(PROMPTS)


def masks_of(n):
    """Nearly everything kept, as when a model is pruned, and half of it."""
    draw = np.random.default_rng(0)
    return np.stack([draw.random(n) < 0.95, draw.random(n) < 0.5])


@contextmanager
def without_heads(hf, layer, heads):
    """Zero the heads' slices of what the output projection reads."""
    width = hf.config.head_dim

    def zero(module, inputs):
        hidden = inputs[0].clone()
        for head in heads:
            hidden[..., head * width : (head + 1) * width] = 0
        return (hidden, *inputs[1:])

    handle = hf.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(zero)
    yield
    handle.remove()


@contextmanager
def without_mlp(hf, layer):
    handle = hf.model.layers[layer].mlp.register_forward_hook(
        lambda module, inputs, output: torch.zeros_like(output)
    )
    yield
    handle.remove()


def removed_parts(players, mask):
    """Heads by layer, and layers whose MLP is removed, read off the players' names."""
    heads, mlps = {}, set()
    for name in (players.names[i] for i in np.flatnonzero(~mask)):
        layer = int("".join(c for c in name[1:3] if c.isdigit()))
        rest = name.removeprefix(f"L{layer}")
        if rest.startswith("H"):
            heads.setdefault(layer, set()).add(int(rest[1:]))
        elif rest.startswith("KV"):
            group = int(rest[2:])
            heads.setdefault(layer, set()).update(range(3 * group, 3 * group + 3))
        elif rest == "MLP":
            mlps.add(layer)
        else:  # a whole layer
            heads[layer] = set(range(9))
            mlps.add(layer)
    return heads, mlps


def logits_by_hand(model, task, players, mask):
    """Logits of both names after each prompt, (prompts, 2), one prompt at a time."""
    heads, mlps = removed_parts(players, mask)
    rows = []
    with ExitStack() as hooks, torch.inference_mode():
        for layer, removed in heads.items():
            hooks.enter_context(without_heads(model.hf, layer, sorted(removed)))
        for layer in mlps:
            hooks.enter_context(without_mlp(model.hf, layer))
        for example in task.select("search"):
            names = [model.tokenizer(" " + option.strip()).input_ids for option in example.options]
            assert all(len(ids) == 1 for ids in names)
            ids = model.tokenizer(example.prompt, return_tensors="pt").input_ids
            logits = model.hf(ids).logits[0, -1]
            rows.append([logits[name[0]].item() for name in names])
    return np.array(rows)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_every_kind_of_player_is_removed_as_hooks_on_hugging_face_code_do(selection, model, task):
    players = sm.select_players(model, selection)
    masks = masks_of(players.n)
    game = sm.TaskGame(model, task, players, metric="margin", engine="fast")
    by_hand = np.stack([logits_by_hand(model, task, players, mask) for mask in masks])
    np.testing.assert_allclose(game.scores(masks), by_hand, rtol=0, atol=TOLERANCE)
    assert np.ptp(by_hand[:, :, 0]) > 0.5  # the masks matter


def test_the_engines_agree(model, task):
    players = sm.select_players(model, "heads mlps")
    masks = masks_of(players.n)
    fast, reference = (
        sm.TaskGame(model, task, players, engine=engine).scores(masks)
        for engine in ("fast", "reference")
    )
    np.testing.assert_allclose(fast, reference, rtol=0, atol=TOLERANCE)


def test_the_whole_model_finds_the_indirect_object(model):
    task = sm.load_task("circuits/ioi").first(12)
    game = sm.TaskGame(model, task, sm.select_players(model, "layers"), metric="margin")
    assert game(np.ones((1, 30), dtype=bool))[0] > 2
