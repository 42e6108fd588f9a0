"""Evaluating: equal masks once, resuming, and values that cannot be used."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.core.games import Game
from spex_mech.core.masks import mask_hash
from spex_mech.evaluation.batches import MaskIndex, batches_of
from spex_mech.evaluation.games import as_game
from spex_mech.evaluation.store.reading import read_blocks, read_header
from spex_mech.evaluation.store.store import RunStore
from spex_mech.evaluation.wrappers import Metered, Remembered


class Counting:
    """A game without a model: a weighted sum, counting what it is asked."""

    def __init__(self, n: int, fail_after: int | None = None) -> None:
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(n))
        self.fingerprint = "counting"
        self.seen: list[bytes] = []
        self.fail_after = fail_after

    def __call__(self, masks):
        if self.fail_after is not None and len(self.seen) >= self.fail_after:
            raise KeyboardInterrupt
        self.seen += [row.tobytes() for row in masks]
        return masks @ np.arange(1.0, masks.shape[1] + 1)


DESIGN = sm.designs.MaskDesign(
    masks=np.repeat(sm.designs.uniform(10, 40, seed=0).masks, 2, axis=0), seed=0
)


def test_equal_masks_are_evaluated_once():
    game = Counting(10)
    run = sm.evaluate(game, DESIGN)
    np.testing.assert_allclose(run.values, DESIGN.masks @ np.arange(1.0, 11))
    assert len(game.seen) == len(set(game.seen)) == run.evaluated == 40
    assert run.scores is None


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path):
    first, second = Counting(10, fail_after=16), Counting(10)
    with pytest.raises(KeyboardInterrupt):
        sm.evaluate(first, DESIGN, store=tmp_path / "s", batch=8)
    run = sm.evaluate(second, DESIGN, store=tmp_path / "s")
    assert first.seen and second.seen and not set(first.seen) & set(second.seen)
    assert len(first.seen) + len(second.seen) == 40
    np.testing.assert_allclose(run.values, DESIGN.masks @ np.arange(1.0, 11))
    again = sm.evaluate(Counting(10, fail_after=0), DESIGN, store=tmp_path / "s")
    np.testing.assert_array_equal(again.values, run.values)
    assert (run.evaluated, again.evaluated) == (24, 0)


def batches_seen(store, *, stop: int | None, design=DESIGN, batch=8) -> list[bytes]:
    """The batches that a game is given, one text per batch."""
    seen: list[bytes] = []

    def game(masks):
        if len(seen) == stop:
            raise KeyboardInterrupt
        seen.append(masks.tobytes())
        return masks.sum(axis=1)

    game.fingerprint = "sizes"
    try:
        sm.evaluate(game, design, store=store, batch=batch)
    except KeyboardInterrupt:
        pass
    return seen


@pytest.mark.parametrize("stop", [0, 1, 3, 4])
def test_a_run_that_goes_on_is_given_the_batches_of_one_that_was_never_stopped(tmp_path, stop):
    whole = batches_seen(None, stop=None)
    assert len(whole) == 5
    first = batches_seen(tmp_path / "s", stop=stop)
    second = batches_seen(tmp_path / "s", stop=None, batch=None)
    assert first == whole[:stop] and first + second == whole


def test_a_shard_that_is_lost_is_evaluated_again_in_the_same_batches(tmp_path):
    whole = batches_seen(tmp_path / "s", stop=None)
    shards = sorted((tmp_path / "s" / "shards").iterdir())
    assert len(shards) == 3  # of 1, 2 and 2 batches
    shards[1].unlink()
    with pytest.warns(UserWarning, match=f"shard {shards[1].name} is missing; its masks will be"):
        again = batches_seen(tmp_path / "s", stop=None)
    assert again == whole[1:3]
    flipped = bytearray(shards[2].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    shards[2].write_bytes(flipped)
    with pytest.warns(UserWarning, match=f"shard {shards[2].name} is damaged"):
        again = batches_seen(tmp_path / "s", stop=None)
    assert again == whole[3:]


def test_a_longer_design_adds_to_what_is_there(tmp_path):
    longer = sm.designs.MaskDesign(DESIGN.masks[::-1], seed=0)
    shorter = sm.designs.MaskDesign(DESIGN.masks[40:], seed=0)
    one, two = Counting(10), Counting(10)
    sm.evaluate(one, shorter, store=tmp_path)
    run = sm.evaluate(two, longer, store=tmp_path)
    assert len(one.seen) == len(two.seen) == run.evaluated == 20
    np.testing.assert_allclose(run.values, longer.masks @ np.arange(1.0, 11))


def test_a_store_keeps_its_batch(tmp_path):
    sm.evaluate(Counting(10), DESIGN, store=tmp_path, batch=8)
    assert read_header(tmp_path)["facts"]["batch"] == 8
    with pytest.raises(ValueError, match="in batches of 8 masks, batch is 4; leave batch out"):
        sm.evaluate(Counting(10), DESIGN, store=tmp_path, batch=4)
    with pytest.raises(ValueError, match="batch is 0, expected a number of masks, 1 or more"):
        sm.evaluate(Counting(10), DESIGN, batch=0)


def test_a_store_says_what_was_asked_where_and_with_which_seed(tmp_path):
    design = sm.designs.biased(10, 40, keep_rate=0.8, seed=7)
    sm.evaluate(Counting(10), design, store=tmp_path, spec={"design": {"seed": 7}})
    (session,) = (tmp_path / "sessions").iterdir()
    said = json.loads(session.read_text())
    assert said["spec"] == {"design": {"seed": 7}}
    assert said["design"]["sha256"] == mask_hash(design.masks)
    assert (said["design"]["kind"], said["design"]["seed"]) == ("biased", 7)
    assert said["design"]["keep_rates"] == [0.8] * 10
    assert said["wanted"] == len(np.unique(design.masks, axis=0))
    assert said["environment"]["numpy"] == np.__version__
    assert said["executor"] == {"executor": "local", "workers": 1}
    players = read_header(tmp_path)["facts"]["players"]
    assert players == [[f"p{i}", "part", None, None] for i in range(10)]


class Rough(Counting):
    """Answers depend on the batch a little, as in bfloat16."""

    key: ClassVar = {"dtype": "torch.bfloat16"}

    def __call__(self, masks):
        return super().__call__(masks) + 1e-3 * len(masks)


def test_the_noise_floor_is_measured_where_the_dtype_is_not_float32(tmp_path):
    run = sm.evaluate(Rough(10), DESIGN, store=tmp_path)
    assert run.noise_floor == pytest.approx(7e-3)  # eight together against one by one
    (session,) = (tmp_path / "sessions").iterdir()
    assert json.loads(session.read_text())["noise_floor"] == run.noise_floor
    assert sm.evaluate(Counting(10), DESIGN, store=tmp_path / "exact").noise_floor is None


class Failing(Counting):
    """Fails once, in the middle of a call: at the mask whose number is ``fail_at``."""

    def __init__(self, n: int, fail_at: int, error: BaseException) -> None:
        super().__init__(n)
        self.fail_at, self.error = fail_at, error

    def __call__(self, masks):
        if len(self.seen) <= self.fail_at < len(self.seen) + len(masks):
            raise self.error
        return super().__call__(masks)


@pytest.mark.parametrize("fail_at", [0, 3, 8, 21, 39])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("too large")])
def test_a_failure_inside_a_batch_loses_that_batch_alone(tmp_path, fail_at, error):
    game, folder = Failing(10, fail_at, error), tmp_path / "s"
    with pytest.raises(type(error)):
        sm.evaluate(game, DESIGN, store=folder, batch=8)
    stored = np.concatenate(
        [np.empty((0, 10), bool), *(b.masks for _, b in read_blocks(folder, 10))]
    )
    assert [mask.tobytes() for mask in stored] == game.seen and len(stored) == fail_at // 8 * 8
    resumed = Counting(10)  # as in another process
    run = sm.evaluate(resumed, DESIGN, store=folder)
    assert len(resumed.seen) == run.evaluated == 40 - len(stored)
    assert not set(resumed.seen) & set(game.seen)
    np.testing.assert_array_equal(run.values, DESIGN.masks @ np.arange(1.0, 11))


def test_a_store_with_a_part_of_a_batch_goes_on(tmp_path):
    """Earlier versions stored what was finished inside a batch that failed."""
    masks = DESIGN.masks[::2]
    with RunStore(tmp_path, {"fingerprint": "counting"}, 10, {"batch": 8}) as store:
        store.append(masks[:11], masks[:11] @ np.arange(1.0, 11), None)
    game = Counting(10)
    run = sm.evaluate(game, DESIGN, store=tmp_path)
    assert game.seen == [mask.tobytes() for mask in masks[11:]]
    np.testing.assert_array_equal(run.values, DESIGN.masks @ np.arange(1.0, 11))


def test_a_failure_while_the_noise_floor_is_measured_is_the_games_own(tmp_path):
    class Coarse(Failing):
        key: ClassVar = {"dtype": "torch.bfloat16"}

    with pytest.raises(MemoryError, match="too large"):
        sm.evaluate(Coarse(10, 3, MemoryError("too large")), DESIGN, store=tmp_path)


def test_a_store_of_another_game_is_refused(tmp_path):
    sm.evaluate(Counting(10), DESIGN, store=tmp_path / "s")
    other = Counting(10)
    other.fingerprint = "else"
    with pytest.raises(
        ValueError, match="another fingerprint: it has 'counting', this run has 'else'"
    ):
        sm.evaluate(other, DESIGN, store=tmp_path / "s")


def test_what_a_callable_has_beside_is_taken_up():
    class Model:
        name = "a model"

    game = Counting(10)
    game.model, game.split, game.batch, game.key = Model(), "all", 5, {"weights": "w"}
    adapted = as_game(game)
    assert isinstance(adapted, Game) and as_game(adapted) is adapted
    assert adapted.describe() == {"model": "a model", "split": "all"}
    assert (adapted.batch, adapted.key, adapted.players.n) == (5, {"weights": "w"}, 10)
    plain = as_game(lambda masks: masks.sum(axis=1))
    assert plain.players is None and set(plain.key) == {"function", "code"} and plain.batch == 64


def test_any_callable_is_a_game():
    run = sm.evaluate(lambda masks: masks.sum(axis=1), DESIGN)
    np.testing.assert_array_equal(run.values, DESIGN.masks.sum(axis=1))
    assert run.values.dtype == np.float64


def test_scores_are_kept_and_another_metric_needs_no_model(tiny_llama, tmp_path):
    rng = np.random.default_rng(0)
    task = sm.TokenTask(rng.integers(1, 61, (3, 7)), answers=rng.integers(1, 61, (3, 2)))
    players = sm.select_players(tiny_llama, "heads:0")
    margin = sm.TaskGame(tiny_llama, task, players, metric="margin")
    design = sm.designs.exhaustive(4)
    run = sm.evaluate(margin, design, store=tmp_path / "s")
    assert run.scores is not None and run.scores.shape == (16, 3, 2)
    scores = run.scores.astype(np.float64)
    np.testing.assert_allclose(run.values, (scores[..., 0] - scores[..., 1]).mean(1), atol=1e-6)
    accuracy = sm.TaskGame(tiny_llama, task, players, metric="accuracy")
    other = sm.evaluate(accuracy, design, store=tmp_path / "s")
    assert (run.evaluated, other.evaluated) == (16, 0)
    np.testing.assert_array_equal(other.values, (run.scores[..., 0] > run.scores[..., 1]).mean(1))


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (lambda masks: np.full(len(masks), np.nan), "answered nan for mask"),
        (lambda masks: np.full(len(masks), -np.inf), "answered -inf for mask"),
        (lambda masks: np.zeros((len(masks), 2)), r"shape \(40, 2\) for 40 masks"),
    ],
)
def test_unusable_values_are_named(game, message):
    with pytest.raises(ValueError, match=message):
        sm.evaluate(game, DESIGN)


def scribble(masks):
    values = masks.sum(axis=1)
    masks[:, 0] = True
    return values


@pytest.mark.parametrize("stored", [False, True])
def test_a_game_that_changes_its_masks_changes_its_own_copy(tmp_path, stored):
    store = tmp_path / "s" if stored else None
    before = DESIGN.masks.copy()
    run = sm.evaluate(scribble, DESIGN, store=store, batch=8)
    np.testing.assert_array_equal(run.values, before.sum(axis=1))
    np.testing.assert_array_equal(DESIGN.masks, before)
    for wrapped in (Remembered(Wrapped(scribble)), Metered(Wrapped(scribble), 80)):
        masks = before.copy()
        np.testing.assert_array_equal(wrapped(masks), before.sum(axis=1))
        np.testing.assert_array_equal(masks, before)
    if stored:
        kept = sm.open_run(store)
        np.testing.assert_array_equal(kept.values, kept.masks.sum(axis=1))


class Wrapped:
    players, fingerprint = sm.PlayerSet.from_names(map(str, range(10))), "wrapped"

    def __init__(self, game):
        self.game = game

    def __call__(self, masks):
        return self.game(masks)


def test_a_game_may_answer_the_same_array_every_time():
    buffer = np.zeros(8)

    def game(masks):
        buffer[: len(masks)] = masks.sum(axis=1)
        return buffer[: len(masks)]

    run = sm.evaluate(game, DESIGN, batch=8)
    np.testing.assert_array_equal(run.values, DESIGN.masks.sum(axis=1))


def test_values_that_need_a_gradient_are_taken_as_numbers():
    weights = torch.arange(10.0, requires_grad=True)
    run = sm.evaluate(lambda masks: torch.from_numpy(masks).float() @ weights, DESIGN)
    np.testing.assert_array_equal(run.values, DESIGN.masks @ np.arange(10.0))
    with pytest.raises(ValueError, match="list that is no array of real numbers"):
        sm.evaluate(lambda masks: ["much"] * len(masks), DESIGN)


def test_players_and_executor_must_fit():
    with pytest.raises(ValueError, match="the game has 9 players, the design 10"):
        sm.evaluate(Counting(9), DESIGN)
    with pytest.raises(ValueError, match="unknown executor 'cloud'; expected 'local', 'ray'"):
        sm.evaluate(Counting(10), DESIGN, executor="cloud")


@pytest.mark.parametrize("n", [3, 64, 65, 130])
def test_masks_are_found_where_brute_force_finds_them(n):
    rng = np.random.default_rng(n)
    there, wanted = rng.random((60, n)) < 0.9, rng.random((40, n)) < 0.9
    wanted[::2] = there[rng.integers(60, size=20)]
    equal = (wanted[:, None] == there[None]).all(axis=2)
    expected = np.where(equal.any(axis=1), equal.argmax(axis=1), -1)
    np.testing.assert_array_equal(MaskIndex(there).find(wanted), expected)
    np.testing.assert_array_equal(MaskIndex(there[:0]).find(wanted), -1)


def test_batches_are_cut_before_what_is_known_is_left_out():
    masks = sm.designs.exhaustive(4).masks
    known = np.zeros(16, dtype=bool)
    known[[0, 1, 2, 3, 5, 15]] = True
    cut = batches_of(masks, known, 4)
    np.testing.assert_array_equal([len(batch) for batch in cut], [3, 4, 3])
    np.testing.assert_array_equal(np.concatenate(cut), masks[~known])
    np.testing.assert_array_equal(cut[0], masks[[4, 6, 7]])


@pytest.mark.parametrize(
    ("rows", "length", "expected"), [(2, 5, 64), (60, 400, 32), (200, 500, 8), (2000, 1000, 1)]
)
def test_a_batch_reads_at_most_a_million_tokens(tiny_llama, rows, length, expected):
    task = sm.TokenTask(np.ones((2, 5), dtype=int))
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama, "heads:0"))
    game.prompts = replace(game.prompts, tokens=((0,) * length,) * rows)
    assert game.batch == expected
    assert expected == 1 or expected * rows * length <= 2**20
