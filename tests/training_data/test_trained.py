"""Models trained on parts of their data as players, against making every model by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech import training_data as td
from spex_mech.core.errors import InputError, NonFiniteScoreError

GROUPS = sm.PlayerSet.from_names(["a", "b", "c"])
PASSAGE = "The key is in the box. The box is in the attic."
TEMPLATE = "{text}\nWhich room is the key in?\nA. attic\nB. study\nC. cellar\nD. garage\nAnswer:"
LETTERS = [" A", " B", " C", " D"]


@pytest.fixture(scope="module")
def start():
    return sm.load_model("embedded")


class Training:
    """Each group adds to the output weights of the letters; remembers what it was asked for."""

    def __init__(self) -> None:
        self.masks: list[tuple[bool, ...]] = []

    def __call__(self, network, mask) -> None:
        assert network.training
        self.masks.append(tuple(mask.tolist()))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for present in mask:
                step = 0.02 * torch.randn(network.lm_head.weight.shape, generator=generator)
                network.lm_head.weight += float(present) * step


def heads_of(model):
    task = sm.load_task("embedded/boxes").first(2)
    return sm.TaskGame(model, task, sm.select_players(model, "heads:1"))


def words_of(model):
    return sm.features.text(model, PASSAGE, level="sentence", target=LETTERS, template=TEMPLATE)


def asked(model):
    return sm.joint(words_of(model), heads_of(model))


@pytest.fixture(scope="module")
def design():
    training = sm.designs.biased(3, 6, keep_rate=0.5, seed=0)
    return sm.designs.crossed(training, sm.designs.biased(10, 30, keep_rate=0.7, seed=1))


def test_values_are_those_of_the_models_made_by_hand(start, design):
    train = Training()
    game = sm.joint(td.TrainedModels(start, GROUPS, train, name="steps"), asked)
    assert [side.n for side in game.sides] == [3, 2, 8] and repr(
        game
    ) == "JointGame(3 + 2 + 8 players)"
    masks = design.masks[::3]
    for mask, value in zip(masks, game(masks), strict=True):
        by_hand = sm.load_model("embedded")
        Training()(by_hand.hf.train(), mask[:3])
        by_hand.hf.eval()
        assert value == pytest.approx(asked(by_hand)(mask[None, 3:])[0], abs=1e-4)


def test_each_model_is_trained_once_and_the_start_stays_as_it_was(start, design):
    train, before = Training(), start.fingerprint
    game = sm.joint(td.TrainedModels(start, GROUPS, train, name="steps"), heads_of)
    masks = design.masks[:, :11]
    run = sm.evaluate(game, sm.MaskDesign(masks, 0), batch=4)
    rest = {tuple(mask.tolist()) for mask in masks[:, :3]}
    assert train.masks[0] == (True, True, True)  # made to know the players
    assert sorted(train.masks[1:]) == sorted(rest)
    np.testing.assert_allclose(game(masks[::-1]), run.values[::-1], atol=1e-4)
    assert sm.load_model("embedded").fingerprint == before
    again = sm.Model(start.hf, start.tokenizer, start.name)
    assert again.fingerprint == before and not start.hf.training


def test_either_order_and_tables_of_any_two_kinds(start, design):
    trained = td.TrainedModels(start, GROUPS, Training(), name="steps")
    one, other = sm.joint(trained, asked), sm.joint(asked, trained)
    masks = design.masks
    swapped = np.concatenate([masks[:, 3:], masks[:, :3]], axis=1)
    np.testing.assert_allclose(one(masks), other(swapped), atol=1e-4)
    assert [side.n for side in other.sides] == [2, 8, 3]
    values = {(0, 3): 1.0, (2, 12): 2.0, (3, 5): 3.0, (0, 1): 4.0, (1,): 5.0}
    found = sm.Interactions("FBII", 2, 13, values, 0.0)
    expected = np.zeros((3, 8))
    expected[2, 7] = 2.0
    np.testing.assert_array_equal(one.cross_pairs(found, (0, 2)), expected)
    np.testing.assert_array_equal(one.cross_pairs(found, (2, 0)), expected.T)
    assert one.cross_pairs(found)[0, 0] == 1.0 and one.cross_pairs(found, (1, 2))[0, 0] == 3.0
    for sides in ((0, 0), (0, 3), (0, 1, 2)):
        with pytest.raises(InputError, match="two different numbers from 0 to 2"):
            one.cross_pairs(found, sides)


def test_a_folder_keeps_the_models(start, design, tmp_path):
    first, second = Training(), Training()
    game = sm.joint(
        td.TrainedModels(start, GROUPS, first, name="steps", folder=tmp_path / "m"), asked
    )
    values = game(design.masks)
    kept = td.TrainedModels(start, GROUPS, second, name="steps", folder=tmp_path / "m")
    np.testing.assert_array_equal(sm.joint(kept, asked)(design.masks), values)
    assert second.masks == []
    files = sorted((tmp_path / "m").glob("*.safetensors"))
    assert len(files) == len({*first.masks})
    files[0].unlink()  # what a stopped run lacks is trained
    np.testing.assert_array_equal(sm.joint(kept, asked)(design.masks), values)
    assert len(second.masks) == 1
    files[1].write_bytes(b"cut off")
    with pytest.raises(InputError, match=r"cannot be read.*remove it"):
        sm.joint(kept, asked)(design.masks)


def test_tied_weights_come_back(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    model = sm.load_model(LlamaForCausalLM(config))
    folder = tmp_path / "tied"
    trained = [
        td.TrainedModels(model, GROUPS, Training(), name="tied", folder=folder)([True, False, True])
        for _ in range(2)
    ]
    assert trained[0].fingerprint == trained[1].fingerprint != model.fingerprint
    head, embedding = trained[1].hf.lm_head, trained[1].hf.get_input_embeddings()
    assert head.weight.data_ptr() == embedding.weight.data_ptr()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "other"}, "training: 'steps', expected 'other'"),
        ({"players": sm.PlayerSet.from_names("abd")}, "training groups"),
        ({"start": "changed"}, "weights before training"),
    ],
)
def test_a_folder_of_other_models_is_refused(start, tmp_path, change, field):
    td.TrainedModels(start, GROUPS, Training(), name="steps", folder=tmp_path)
    settings = {"start": start, "players": GROUPS, "train": Training(), "name": "steps", **change}
    if change.get("start"):
        settings["start"] = sm.load_model("embedded")
        with torch.no_grad():
            settings["start"].hf.lm_head.weight[0, 0] += 1
    with pytest.raises(InputError, match=f"another {field}"):
        td.TrainedModels(**settings, folder=tmp_path)


def test_folders_that_hold_something_else(start, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty; choose another folder"):
        td.TrainedModels(start, GROUPS, Training(), name="steps", folder=tmp_path)
    (tmp_path / "trained.json").write_text("{")
    with pytest.raises(InputError, match=r"trained\.json cannot be written or read"):
        td.TrainedModels(start, GROUPS, Training(), name="steps", folder=tmp_path)
    (tmp_path / "trained.json").write_text(json.dumps([]))
    with pytest.raises(InputError, match="another training: None"):
        td.TrainedModels(start, GROUPS, Training(), name="steps", folder=tmp_path)


def test_trainings_that_fail(start, tmp_path):
    def breaks(network, mask):
        if not mask.any():
            raise RuntimeError("no data")
        with torch.no_grad():
            network.lm_head.weight[0] = torch.nan

    trained = td.TrainedModels(start, GROUPS, breaks, name="breaks", folder=tmp_path)
    with pytest.raises(InputError, match=r"0 of 3 groups \(∅\) failed: RuntimeError: no data"):
        trained([False, False, False])
    with pytest.raises(
        NonFiniteScoreError, match=r"2 of 3 groups \(a × b\) diverged: .*weight has"
    ):
        trained([True, True, False])
    assert [path.name for path in tmp_path.iterdir()] == ["trained.json"]
    with pytest.raises(InputError, match="2 masks were given"):
        trained(np.ones((2, 3), dtype=bool))


def test_what_does_not_go_together(start):
    trained = td.TrainedModels(start, GROUPS, Training(), name="steps")
    with pytest.raises(InputError, match="games TrainedModels and TaskGame cannot be joined"):
        sm.joint(trained, heads_of(start))
    with pytest.raises(InputError, match="games FeatureGame and TrainedModels cannot be joined"):
        sm.joint(words_of(start), trained)
    with pytest.raises(InputError, match="made a float of a model, expected a game"):
        sm.joint(trained, lambda model: 3.0)
    layers = iter(["heads:1", "heads:2"])

    def another_each_time(model):
        task = sm.load_task("embedded/boxes").first(2)
        return sm.TaskGame(model, task, sm.select_players(model, next(layers)))

    game = sm.joint(trained, another_each_time)
    with pytest.raises(InputError, match="other players"):
        game(np.zeros((1, 11), dtype=bool))


def test_it_is_stored_evaluated_in_other_processes_and_decoded(start, design, tmp_path):
    game = sm.joint(td.TrainedModels(start, GROUPS, Training(), name="steps"), asked)
    run = sm.evaluate(game, design, store=tmp_path / "store")
    assert run.evaluated and not sm.evaluate(game, design, store=tmp_path / "store").evaluated
    elsewhere = sm.evaluate(game, design, executor=sm.LocalExecutor(workers=1))
    np.testing.assert_allclose(elsewhere.values, run.values, atol=1e-5)
    spectrum = sm.decode(design, run, seed=0)
    assert "whole masks of the first kind held out" in spectrum.info["message"]
    other = sm.joint(td.TrainedModels(start, GROUPS, Training(), name="other"), asked)
    with pytest.raises(InputError, match="another training"):
        sm.evaluate(other, design, store=tmp_path / "store")
