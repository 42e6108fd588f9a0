"""Words × heads against removing both by hand on plain Hugging Face code."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.core.joint import JoinsGames

PASSAGE = "The key is in the box. The box is in the attic. The pen is in the bag. The bag is in the study."
TEMPLATE = "{text}\nWhich room is the key in?\nA. attic\nB. study\nC. cellar\nD. garage\nAnswer:"
LETTERS = [" A", " B", " C", " D"]


@pytest.fixture(scope="module")
def model():
    return sm.load_model("embedded")


@pytest.fixture(scope="module")
def heads(model):
    task = sm.load_task("embedded/boxes").first(3)
    return sm.TaskGame(model, task, sm.select_players(model, "heads:1-2"), rescale=False)


def text_game(model, **options):
    options = {"level": "sentence", "target": LETTERS, **options}
    return sm.features.text(model, PASSAGE, template=TEMPLATE, **options)


@pytest.fixture(scope="module")
def masks():
    drawn = np.random.default_rng(0).random((12, 20)) < 0.6
    drawn[0], drawn[1] = True, False
    return drawn


def by_hand(model, text_mask, head_mask, answers, rescale=False):
    """Log-probabilities of the answers: sentences cut out of the text, heads zeroed before the output."""
    spans = sm.features.split_text(PASSAGE, "sentence")
    starts = [0, *(span.stop for span in spans)]  # white space before a part goes with it
    parts = [PASSAGE[a:b] for a, b in pairwise(starts)]
    kept = "".join(part for part, stays in zip(parts, text_mask, strict=True) if stays)
    prompt = model.tokenizer(TEMPLATE.replace("{text}", kept))["input_ids"]
    size = model.hf.config.head_dim
    with ExitStack() as hooks, torch.inference_mode():
        for layer, of_layer in ((1, head_mask[:8]), (2, head_mask[8:])):
            factor = float(len(of_layer)) / max(of_layer.sum(), 1) if rescale else 1.0
            keep = torch.tensor(of_layer * factor, dtype=torch.float32).repeat_interleave(size)
            module = model.hf.model.layers[layer].self_attn.o_proj
            hook = module.register_forward_pre_hook(lambda _, args, keep=keep: (args[0] * keep,))
            hooks.callback(hook.remove)
        found = []
        for answer in answers:
            ids = model.tokenizer(answer, add_special_tokens=False)["input_ids"]
            logits = model.hf(torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
            at = range(len(prompt) - 1, len(prompt) + len(ids) - 1)
            found.append(sum(float(logits[i, t]) for i, t in zip(at, ids, strict=True)))
    return np.array(found)


@pytest.mark.parametrize("value", ["margin", "probability", "logprob", "logodds"])
def test_both_are_removed_as_by_hand(model, heads, masks, value):
    game = sm.joint(text_game(model, value=value), heads)
    assert game.players.n == 20 and game.sides[0].n == 4
    p = np.array([by_hand(model, m[:4], m[4:], LETTERS) for m in masks])
    expected = {
        "margin": p[:, 0] - p[:, 1:].max(axis=1),
        "probability": np.exp(p[:, 0]) / np.exp(p).sum(axis=1),
        "logprob": p[:, 0],
        "logodds": p[:, 0] - np.log1p(-np.exp(p[:, 0])),
    }[value]
    np.testing.assert_allclose(game(masks), expected, atol=2e-4)


def test_answers_of_several_tokens_and_rescaling(model, masks):
    task = sm.load_task("embedded/boxes").first(3)
    players = sm.select_players(model, "heads:1-2")
    heads = sm.TaskGame(model, task, players, rescale=True)
    answers = [" A", " B C"]
    game = sm.joint(text_game(model, target=answers), heads)
    p = np.array([by_hand(model, m[:4], m[4:], answers, rescale=True) for m in masks])
    np.testing.assert_allclose(game(masks), p[:, 0] - p[:, 1], atol=3e-4)


def test_either_order(model, heads, masks):
    text = text_game(model)
    swapped = np.concatenate([masks[:, 4:], masks[:, :4]], axis=1)
    one, other = sm.joint(text, heads), sm.joint(heads, text)
    np.testing.assert_array_equal(one(masks), other(swapped))
    assert other.players.names == [*heads.players.names, *text.players.names]
    assert one.fingerprint != other.fingerprint


def test_with_all_heads_it_is_the_text_game_and_batches_do_not_matter(model, heads, masks):
    text = text_game(model)
    game = sm.joint(text, heads)
    whole = masks.copy()
    whole[:, 4:] = True
    np.testing.assert_allclose(game(whole), text(whole[:, :4]), atol=2e-4)
    np.testing.assert_allclose(
        game(masks), np.concatenate([game(m[None]) for m in masks]), atol=1e-4
    )
    assert game(masks[:0]).shape == (0,)


def test_replacements_are_those_of_the_text_game(model, heads):
    words = {i: [f"The {w} is in the tin." for w in ("cup", "ring")] for i in range(4)}
    text = text_game(model, removal=sm.features.Removal("replace", replacements=words))
    masks = np.random.default_rng(1).random((6, 20)) < 0.5
    masks[:, 4:] = True
    np.testing.assert_allclose(sm.joint(text, heads)(masks), text(masks[:, :4]), atol=2e-4)


def test_it_is_evaluated_stored_and_decoded(model, heads, tmp_path):
    game = sm.joint(text_game(model), heads)
    design = sm.designs.biased(game.players.n, 60, keep_rate=0.8, seed=0)
    run = sm.evaluate(game, design, store=tmp_path / "store")
    again = sm.evaluate(game, design, store=tmp_path / "store")
    assert run.evaluated and not again.evaluated
    table = game.cross_pairs(sm.interactions(sm.decode(design, run, seed=0)))
    assert table.shape == (4, 16)
    other = sm.joint(text_game(model, value="probability"), heads)
    with pytest.raises(InputError):
        sm.evaluate(other, design, store=tmp_path / "store")


def test_what_does_not_go_together(model, heads):
    text = text_game(model)
    assert isinstance(text, JoinsGames) and not isinstance(heads, JoinsGames)
    with pytest.raises(InputError, match="games TaskGame and TaskGame cannot be joined"):
        sm.joint(heads, heads)
    of_function = sm.features.text(lambda texts: [len(t) for t in texts], "a b c", level="word")
    with pytest.raises(InputError, match="games FeatureGame and TaskGame cannot be joined"):
        sm.joint(of_function, heads)
    with pytest.raises(InputError, match="value='similarity'"):
        sm.joint(text_game(model, value="similarity", target=" A"), heads)
    mean = sm.TaskGame(model, heads.task, heads.players, ablation="mean")
    with pytest.raises(InputError, match=r"'mean' ablation.*ablation='zero'"):
        sm.joint(text, mean)
    changed = sm.load_model("embedded")
    with torch.no_grad():
        changed.hf.lm_head.weight[0, 0] += 1
    with pytest.raises(InputError, match="another model"):
        sm.joint(text, sm.TaskGame(changed, heads.task, heads.players))
