"""A stored run without its model: metrics, examples, decoders and pruning, the same numbers as with it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers

import spex_mech as sm
from spex_mech.core.errors import DamagedStoreWarning
from spex_mech.evaluation.stored_run import open_run

MASKS = sm.designs.uniform(4, 12, seed=0).masks
BATCH = 5


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A game of a tiny model and the store of its evaluation."""
    config = transformers.GPT2Config(vocab_size=61, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = sm.load_model(transformers.GPT2LMHeadModel(config))
    rng = np.random.default_rng(0)
    task = sm.TokenTask(rng.integers(1, 61, (5, 7)), answers=rng.integers(1, 61, (5, 3)))
    game = sm.TaskGame(model, task, sm.select_players(model, "heads:0"), metric="margin")
    folder = tmp_path_factory.mktemp("run") / "s"
    sm.evaluate(game, sm.MaskDesign(MASKS, 0), store=folder, batch=BATCH)
    return game, folder


@pytest.mark.parametrize("metric", ["accuracy", "margin", "logprob", "brier", "kl"])
def test_every_metric_is_the_games(stored, metric):
    game, folder = stored
    live = sm.TaskGame(game.model, game.task, game.players, metric=metric)
    again = open_run(folder, metric=metric)
    run = sm.evaluate(live, sm.MaskDesign(MASKS, 0), batch=BATCH)  # rounding depends on the batch
    np.testing.assert_array_equal(again(MASKS), run.values)
    np.testing.assert_array_equal(again.per_example(MASKS), live.per_example(run.scores))


def test_the_metric_that_was_evaluated_is_the_default(stored):
    _, folder = stored
    run = open_run(folder)
    assert run.metric is None and run.metric_name == "margin"
    np.testing.assert_array_equal(
        run.per_example(MASKS), open_run(folder, metric="margin").per_example(MASKS)
    )


def test_it_is_shown_on_one_short_line(stored):
    _, folder = stored
    shown = repr(open_run(folder))
    assert shown == f"StoredRun({str(folder)!r}, 13 masks of 4 players, metric margin)"
    assert ", 2 examples" in repr(open_run(folder).with_metric(examples=["3", "1"]))


def test_a_subset_of_the_examples_is_the_game_of_those(stored):
    game, folder = stored
    scores = sm.evaluate(game, sm.MaskDesign(MASKS, 0), batch=BATCH).scores
    whole = open_run(folder, metric="kl")
    for chosen in (["3", "1"], np.array([3, 1]), np.array([False, True, False, True, False])):
        order = [3, 1] if len(chosen) == 2 else [1, 3]
        part = whole.with_metric(examples=chosen)
        np.testing.assert_array_equal(part.per_example(MASKS), whole.per_example(MASKS)[:, order])
        np.testing.assert_allclose(
            part(MASKS), game.per_example(scores, metric="kl")[:, order].mean(axis=1), rtol=1e-13
        )
    np.testing.assert_array_equal(part.with_metric("margin").examples, [1, 3])


def test_the_stored_values_come_back_with_players_and_names(stored):
    game, folder = stored
    run = open_run(folder)
    assert run.players == game.players and run.key == game.key
    assert run.facts["game"]["metric"] == "margin" and run.damaged == ()
    rows = [int(np.flatnonzero((run.masks == mask).all(axis=1))[0]) for mask in MASKS]
    again = sm.evaluate(game, sm.MaskDesign(MASKS, 0), batch=BATCH)
    np.testing.assert_array_equal(run.values[rows], again.values)
    np.testing.assert_array_equal(run.scores()[rows], again.scores)
    assert run.prompts.ids == game.prompts.ids
    np.testing.assert_array_equal(run.prompts.right, game.prompts.right)
    np.testing.assert_array_equal(run.prompts.answers, game.prompts.answers)


def test_decoding_indices_and_pruning_need_no_model(stored):
    game, folder = stored
    run = open_run(folder, metric="logprob")
    design = sm.MaskDesign(MASKS, 0)
    done = sm.evaluate(run, design)
    live = sm.TaskGame(game.model, game.task, game.players, metric="logprob")
    values = sm.evaluate(live, design, batch=BATCH).values
    np.testing.assert_array_equal(done.values, values)
    spectrum = sm.decode(design, done.values, method="lasso", seed=0)
    expected = sm.decode(design, values, method="lasso", seed=0)
    np.testing.assert_array_equal(spectrum(MASKS), expected(MASKS))
    assert (
        sm.interactions(spectrum, "STII", 2).values == sm.interactions(expected, "STII", 2).values
    )
    pruned = sm.prune(run, spectrum, keep=2, validate=0)
    np.testing.assert_array_equal(pruned.mask, sm.prune(live, expected, keep=2, validate=0).mask)
    assert pruned.mask.sum() == 2 and pruned.measured is None


def test_a_mask_that_is_not_stored_needs_the_model(stored):
    _, folder = stored
    run = open_run(folder)
    every = sm.designs.exhaustive(4).masks
    missing = [m for m in every if not (run.masks == m).all(axis=1).any()]
    with pytest.raises(
        ValueError, match=f"{len(missing)} of 16 masks are not stored in .* the first"
    ):
        run(every)


def test_texts_of_a_task_are_kept(tmp_path):
    model = sm.load_model("embedded")
    task = sm.load_task("embedded/people").first(3)
    game = sm.TaskGame(model, task, sm.select_players(model, "heads:0"))
    sm.evaluate(game, sm.MaskDesign(np.ones((1, 8), dtype=bool), 0), store=tmp_path)
    run = open_run(tmp_path)
    asked = task.select("search")
    assert run.texts == [(x.prompt, list(x.options)) for x in asked]
    assert run.prompts.ids == tuple(x.id for x in asked)


def test_a_damaged_shard_is_named_and_left_out_without_being_touched(stored, tmp_path):
    game, _ = stored
    sm.evaluate(game, sm.MaskDesign(MASKS, 0), store=tmp_path, batch=1)
    shards = sorted((tmp_path / "shards").iterdir())
    content = bytearray(shards[1].read_bytes())
    content[100] ^= 8
    shards[1].write_bytes(content)
    shards[0].unlink()
    with pytest.warns(DamagedStoreWarning, match=r"2 shards are damaged .* \d+ of 13 masks"):
        run = open_run(tmp_path)
    assert run.damaged == (shards[0].name, shards[1].name)
    assert shards[1].exists()
    np.testing.assert_allclose(run(run.masks), game(run.masks), rtol=1e-6)
    (examples,) = tmp_path.glob("examples-*.parquet")
    examples.write_bytes(examples.read_bytes()[:-1])
    with pytest.raises(ValueError, match="has no intact examples-"):
        with pytest.warns(DamagedStoreWarning):
            open_run(tmp_path, metric="margin")


def test_what_cannot_be_redone_is_told(stored, tmp_path):
    _, folder = stored
    with pytest.raises(ValueError, match="unknown metric 'f1' for questions with answers"):
        open_run(folder, metric="f1")
    with pytest.raises(ValueError, match=r"unknown examples \['9'\]; give ids such as '0'"):
        open_run(folder).with_metric(examples=["1", "9"])
    with pytest.raises(ValueError, match=r"examples \[7\] of 5; give at least one position"):
        open_run(folder).with_metric(examples=np.array([0, 7]))
    with pytest.raises(FileNotFoundError, match="is no run store"):
        open_run(tmp_path)
    sm.evaluate(lambda masks: masks.sum(axis=1), sm.MaskDesign(MASKS, 0), store=tmp_path / "plain")
    plain = open_run(tmp_path / "plain")
    np.testing.assert_array_equal(plain(MASKS), MASKS.sum(axis=1))
    with pytest.raises(ValueError, match="has no intact examples"):
        plain.with_metric("margin")


def test_opening_a_run_loads_no_torch(stored):
    _, folder = stored
    code = (
        "import sys\n"
        "from spex_mech.evaluation.stored_run import open_run\n"
        "run = open_run(sys.argv[1], metric='kl')\n"
        "assert run.values.shape == run.masks.shape[:1]\n"
        "print([m for m in ('torch', 'transformers', 'transformer_lens', 'ray') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
