"""Models trained in a stack are those of a plain loop over each subset."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spex_mech.core.errors import InputError
from spex_mech.training_data import (
    Examples,
    Recipe,
    TorchTrainer,
    hugging_face_resnet,
    multilayer,
    resnet9,
    text_classifier,
)
from spex_mech.training_data.networks import group_norms


def images(count: int = 18) -> Examples:
    rng = np.random.default_rng(0)
    return Examples(rng.random((count, 3, 16, 16)), np.arange(count) % 3, tuple("abc"))


def tokens(count: int = 18) -> Examples:
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 20, (count, 7))
    ids[:, 5:] = 0
    return Examples(ids, np.arange(count) % 3, tuple("abc"))


def subsets(data: Examples) -> np.ndarray:
    """Random subsets, one without a class, one of a single example, and the empty one."""
    rng = np.random.default_rng(1)
    some = rng.random((6, len(data))) < 0.5
    some[3] = data.labels != 1
    some[4] = np.arange(len(data)) == 2
    some[5] = False
    return some


def by_hand(module: nn.Module, data: Examples, rows: np.ndarray, recipe: Recipe, seed: int):
    """SGD with momentum written out, on the present part of each minibatch."""
    inputs, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
    velocity = [torch.zeros_like(p) for p in module.parameters()]
    steps = recipe.minibatches(len(data), seed)
    for batch, rate in zip(steps, recipe.rates(len(steps)), strict=True):
        here = torch.from_numpy(batch[rows[batch]])
        loss = torch.zeros(())
        if len(here):
            p = torch.softmax(module(inputs[here]), dim=1)
            loss = -p[torch.arange(len(here)), labels[here]].log().mean()
        weights = list(module.parameters())
        grads = (
            torch.autograd.grad(loss, weights)
            if len(here)
            else [torch.zeros_like(p) for p in weights]
        )
        with torch.no_grad():
            for p, v, g in zip(weights, velocity, grads, strict=True):
                v.mul_(recipe.momentum).add_(g + recipe.weight_decay * p)
                p.sub_(float(rate) * v)
    return module


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_a_stack_equals_sgd_written_out(train: Examples, schedule: str):
    # At a higher rate, rounding that differs between processors grows to 1e-4 in six epochs.
    recipe = Recipe(epochs=6, batch=5, rate=0.05, weight_decay=0.01, schedule=schedule)
    trainer = TorchTrainer(lambda: multilayer((4,), 3, (6,)), recipe)
    chosen = subsets(train)
    found = trainer.weights(train, chosen, seed=3)
    for j, rows in enumerate(chosen):
        alone = by_hand(trainer.initial(3), train, rows, recipe, seed=3)
        for name, value in alone.named_parameters():
            torch.testing.assert_close(found[name][j], value.detach(), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("build", "data", "optimizer"),
    [
        (lambda: resnet9(3, width=4), images(), "sgd"),
        (lambda: hugging_face_resnet(3, depths=(1, 1), hidden_sizes=(4, 8)), images(), "sgd"),
        (lambda: text_classifier(20, 3, width=4, filters=6), tokens(), "adamw"),
    ],
    ids=["resnet9", "hugging_face_resnet", "text"],
)
def test_a_stack_equals_the_plain_loop(build, data: Examples, optimizer: str):
    recipe = Recipe(2, 7, rate=0.02, optimizer=optimizer, weight_decay=0.01, clip=0.5)
    stack, loop = TorchTrainer(build, recipe), TorchTrainer(build, recipe, stack=1)
    chosen = subsets(data)
    found, alone = (t.weights(data, chosen, seed=0) for t in (stack, loop))
    assert found.keys() == alone.keys()
    for name in found:
        torch.testing.assert_close(found[name], alone[name], atol=1e-5, rtol=1e-4)
    scores = stack.outputs(data, data.take([0, 1]), chosen, seed=0)
    np.testing.assert_allclose(
        scores, loop.outputs(data, data.take([0, 1]), chosen, seed=0), atol=2e-4
    )
    spread = np.ptp(scores, axis=0)
    assert (spread > 1e-3).all()  # subsets do differ


def test_images_whose_channels_were_moved_train_in_a_stack():
    """As photographs come: (N, height, width, channels), transposed into a view."""
    rng = np.random.default_rng(0)
    photographs = rng.random((18, 16, 16, 3)).astype(np.float32)
    moved = Examples(photographs.transpose(0, 3, 1, 2), np.arange(18) % 3, tuple("abc"))
    copied = Examples(moved.inputs.copy(), moved.labels, moved.classes)
    trainer = TorchTrainer(lambda: resnet9(3, width=4), Recipe(1, 9, rate=0.02))
    found, wanted = (trainer.outputs(x, x, subsets(x)[:2], seed=0) for x in (moved, copied))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_absent_examples_leave_no_trace(train: Examples, test: Examples):
    rows = subsets(train)[:1]
    changed = train.inputs.copy()
    changed[~rows[0]] = 50.0
    other = Examples(changed, train.labels, train.classes)
    trainer = TorchTrainer(lambda: multilayer((4,), 3, (6,)), Recipe(epochs=4, batch=5))
    kept = trainer.outputs(train, test, rows, seed=0)
    np.testing.assert_allclose(trainer.outputs(other, test, rows, seed=0), kept, atol=1e-6)


def test_scores_do_not_depend_on_the_subsets_beside(train: Examples, test: Examples):
    trainer = TorchTrainer(lambda: multilayer((4,), 3, (6,)), Recipe(epochs=8, batch=5))
    chosen = subsets(train)
    together = trainer.outputs(train, test, chosen, seed=0)
    small = TorchTrainer(trainer.build, trainer.recipe, stack=4)
    np.testing.assert_allclose(small.outputs(train, test, chosen, seed=0), together, atol=1e-5)
    order = np.array([4, 2, 0, 5, 1, 3])
    again = trainer.outputs(train, test, chosen[order], seed=0)
    np.testing.assert_allclose(again, together[order], atol=1e-5)


def test_a_diverging_model_does_not_touch_its_neighbours(train: Examples, test: Examples):
    huge = train.inputs.copy()
    huge[0] = 1e30
    data = Examples(huge, train.labels, train.classes)
    chosen = np.ones((2, len(train)), dtype=bool)
    chosen[1, 0] = False
    trainer = TorchTrainer(lambda: multilayer((4,), 3, (6,)), Recipe(epochs=3, batch=5))
    wild, tame = trainer.outputs(data, test, chosen, seed=0)
    assert not np.isfinite(wild).any()
    alone = TorchTrainer(trainer.build, trainer.recipe, stack=1)
    np.testing.assert_allclose(tame, alone.outputs(data, test, chosen[1:], seed=0)[0], atol=1e-5)


def test_frozen_weights_are_shared_and_stay(train: Examples, test: Examples):
    def build() -> nn.Module:
        module = multilayer((4,), 3, (6,))
        module[1].requires_grad_(False)
        return module

    trainer = TorchTrainer(build, Recipe(epochs=2, batch=5))
    assert set(trainer.weights(train, subsets(train), seed=0)) == {"3.weight", "3.bias"}
    loop = TorchTrainer(build, trainer.recipe, stack=1)
    np.testing.assert_allclose(
        trainer.outputs(train, test, subsets(train), seed=0),
        loop.outputs(train, test, subsets(train), seed=0),
        atol=1e-5,
    )


def test_batch_normalisation_is_trained_one_at_a_time():
    data = images()

    def build() -> nn.Module:
        return hugging_face_resnet(3, depths=(1,), hidden_sizes=(4,), batch_norm=True)

    trainer = TorchTrainer(build, Recipe(epochs=1, batch=6, rate=0.01))
    assert trainer.at_once == 1
    assert np.isfinite(trainer.outputs(data, data, subsets(data), seed=0)).all()
    with pytest.raises(InputError, match="batch normalisation"):
        TorchTrainer(build, trainer.recipe, stack=8).outputs(data, data, subsets(data), seed=0)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in group_norms(build()).modules())


def test_dropout_is_refused(train: Examples):
    trainer = TorchTrainer(lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)))
    with pytest.raises(InputError, match=r"1 has dropout p=0.5"):
        trainer.initial(0)


def test_logits_must_fit_the_classes(train: Examples, test: Examples):
    trainer = TorchTrainer(lambda: nn.Linear(4, 2))
    with pytest.raises(InputError, match=r"\(2, 2\) for 2 inputs, expected \(2, 3\)"):
        trainer.outputs(train, test, subsets(train), seed=0)


def test_nothing_global_is_touched(train: Examples, test: Examples):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    TorchTrainer(lambda: multilayer((4,), 3)).outputs(train, test, subsets(train), seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_keys_tell_trainers_apart():
    base = TorchTrainer(lambda: multilayer((4,), 3))
    same = TorchTrainer(lambda: multilayer((4,), 3), stack=7)
    wider = TorchTrainer(lambda: multilayer((4,), 3, (8,)))
    longer = TorchTrainer(lambda: multilayer((4,), 3), Recipe(epochs=3))
    assert base.key == same.key
    assert base.key != wider.key
    assert base.key != longer.key


def test_recipes_are_checked():
    for bad in (
        {"optimizer": "lbfgs"},
        {"schedule": "none"},
        {"epochs": 0},
        {"rate": 0.0},
        {"momentum": 1.0},
        {"clip": 0.0},
    ):
        with pytest.raises(InputError, match=f"{next(iter(bad))} "):
            Recipe(**bad)


def test_every_epoch_sees_every_example_once():
    steps = Recipe(epochs=3, batch=4).minibatches(10, seed=0)
    assert [len(s) for s in steps] == [4, 4, 2] * 3
    for epoch in range(3):
        assert sorted(np.concatenate(steps[3 * epoch : 3 * epoch + 3])) == list(range(10))
