"""Executors: the same values wherever, by however many workers and in whatever order."""

from __future__ import annotations

import os
import signal
import sys
import time

import cloudpickle
import numpy as np
import pytest
import torch

import spex_mech as sm
import spex_mech.models.loading
from spex_mech.ablation.settings import GameSettings
from spex_mech.evaluation.executors import InProcessExecutor, LocalExecutor, RayExecutor
from spex_mech.evaluation.executors.dispatch import Died, Done, Failed, Started, dispatch
from spex_mech.evaluation.executors.executor import score_batch
from spex_mech.evaluation.executors.pace import Pace
from spex_mech.evaluation.executors.shipping import pack_game
from spex_mech.evaluation.games import as_game
from spex_mech.evaluation.store.store import RunStore

# Workers do not have the tests' folder: what is defined here travels with the game.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

KEY = {"fingerprint": "sums"}
MASKS = sm.designs.uniform(12, 90, seed=0).masks
BATCHES = [MASKS[i : i + 4] for i in range(0, 90, 4)]
WEIGHTS = np.random.default_rng(0).normal(size=12)


class Sums:
    """Weighted sums with scores, that can do what workers should survive."""

    fingerprint = "sums"

    def __init__(self, folder=None, kill_on=None, kills=1, seconds=0.0, worker_key=None) -> None:
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(12))
        self.home, self.folder, self.kill_on, self.kills = os.getpid(), folder, kill_on, kills
        self.seconds, self.worker_key = seconds, worker_key

    @property
    def key(self):
        away = self.worker_key is not None and os.getpid() != self.home
        return {"fingerprint": self.worker_key if away else "sums"}

    def scores(self, masks):
        if self.folder is not None:
            name = f"{os.getpid()}-{time.monotonic_ns()}-{masks.tobytes().hex()}"
            (self.folder / name).touch()
            if self.kill_on is not None and (masks == self.kill_on).all(axis=1).any():
                if len(list(self.folder.glob(f"*-{masks.tobytes().hex()}"))) <= self.kills:
                    os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        return (masks[:, None, :] * WEIGHTS * [[1.0], [2.0]]).sum(axis=2).astype(np.float32)

    def values_from_scores(self, scores):
        return scores.mean(axis=1, dtype=np.float64)

    def __call__(self, masks):
        return self.values_from_scores(self.scores(masks))

    def pids(self) -> set[int]:
        return {int(path.name.split("-")[0]) for path in self.folder.iterdir()}


def collect(chunks) -> dict[int, np.ndarray]:
    values: dict[int, np.ndarray] = {}
    for chunk in chunks:
        lengths = [len(BATCHES[i]) for i in chunk.batches]
        parts = np.split(chunk.values, np.cumsum(lengths)[:-1])
        assert not values.keys() & set(chunk.batches)
        values.update(zip(chunk.batches, parts, strict=True))
    return values


def expected() -> np.ndarray:
    return sm.evaluate(Sums(), sm.MaskDesign(MASKS, 0), batch=4).values


class Scripted:
    """Workers without processes: each chunk is scored, or its worker dies or fails, as a script says."""

    def __init__(self, wanted=2, deaths=(), failed_starts=0, key=KEY, fails=None) -> None:
        self._wanted, self.deaths, self.failed_starts = wanted, list(deaths), failed_starts
        self.key, self.fails = key, fails
        self.started, self.sent, self.closed, self.events = 0, [], False, []

    def wanted(self):
        return self._wanted

    def start(self):
        self.started += 1
        if self.started <= self.failed_starts:
            self.events.append([Died(self.started, "no memory")])
        else:
            self.events.append([Started(self.started, self.key, "here")])
        return self.started

    def send(self, worker, batches):
        self.sent.append((worker, [b.tobytes() for b in batches]))
        self.events.append(events := [])
        for position, batch in enumerate(batches):
            if self.deaths and self.deaths[0] == batch.tobytes():
                self.deaths.pop(0)
                events.append(Died(worker, "killed"))
                return
            if len(self.sent) == self.fails and position:
                events.append(Failed(worker, RuntimeError("broken")))
                return
            events.append(Done(worker, position, score_batch(as_game(Sums()), batch), 0.01))

    def wait(self, seconds):
        events, self.events = self.events, []
        return [event for worker in events[::-1] for event in worker]  # workers in any order

    def close(self):
        self.closed = True


@pytest.mark.parametrize("workers", [1, 2, 5, 50])
def test_every_batch_is_answered_once_by_any_number_of_workers(workers):
    scripted = Scripted(workers)
    values = collect(dispatch(scripted, BATCHES, KEY))
    np.testing.assert_array_equal(np.concatenate([values[i] for i in range(23)]), expected())
    assert scripted.closed and scripted.started == min(workers, 23)
    assert sorted(b for _, chunk in scripted.sent for b in chunk) == sorted(
        b.tobytes() for b in BATCHES
    )


def test_what_a_dead_worker_did_not_finish_goes_to_another():
    bad = BATCHES[9].tobytes()
    workers = Scripted(2, deaths=[bad, bad])
    values = collect(dispatch(workers, BATCHES, KEY))
    np.testing.assert_array_equal(np.concatenate([values[i] for i in range(23)]), expected())
    assert workers.started == 4  # two of them died
    batches = [batch for _, chunk in workers.sent for batch in chunk]
    again = [batch.tobytes() for batch in BATCHES if batches.count(batch.tobytes()) > 1]
    assert batches.count(bad) == 3 and again[0] == bad  # those before it were done


def test_masks_that_kill_every_worker_are_given_up():
    bad = BATCHES[9].tobytes()
    workers = Scripted(2, deaths=[bad] * 9)
    with pytest.raises(ValueError, match="3 workers died on the same masks, the last one: killed"):
        collect(dispatch(workers, BATCHES, KEY))
    assert workers.closed and workers.started <= 5


def test_workers_that_do_not_start_are_given_up_after_three():
    with pytest.raises(ValueError, match="workers do not start: no memory"):
        collect(dispatch(Scripted(2, failed_starts=99), BATCHES, KEY))
    assert len(collect(dispatch(Scripted(2, failed_starts=2), BATCHES, KEY))) == 23


def test_a_worker_with_other_weights_is_refused():
    with pytest.raises(ValueError, match="on here has another weights: 'b', this process has 'a'"):
        collect(dispatch(Scripted(key={"weights": "b"}), BATCHES, {"weights": "a"}))


def test_what_was_done_before_an_error_is_answered_first():
    workers, found = Scripted(1, fails=3), []
    with pytest.raises(RuntimeError, match="broken"):
        for chunk in dispatch(workers, BATCHES, KEY):
            found += chunk.batches
    assert found == [0, 1, 2, 3]  # chunks of 1 and 2 batches, and the first of the third chunk
    assert workers.closed


def test_a_caller_that_stops_taking_ends_the_workers_and_is_not_outrun():
    workers = Scripted(3)
    answers = dispatch(workers, BATCHES, KEY)
    next(answers)
    assert len(workers.sent) <= 6  # at most a chunk a worker beyond what is answered
    answers.close()
    assert workers.closed


def test_chunks_grow_to_what_two_seconds_hold_and_are_shared_fairly():
    pace = Pace()
    sizes = []
    for _ in range(7):
        sizes.append(pace.size(10_000, 1))
        pace.took(sizes[-1], 0.1 * sizes[-1], 1)
    assert sizes == [1, 2, 4, 8, 16, 20, 20]
    assert pace.size(10, 4) == 3 and pace.size(1, 4) == 1
    pace.took(20, 40.0, 1)
    assert pace.size(10_000, 1) == 1
    pace.took(1, 0.1, 400)
    pace.took(2, 0.2, 400)
    assert pace.size(10_000, 400) == 4  # on its way to 100 seconds


def test_chunks_grow_until_storing_one_is_a_hundredth_of_its_time():
    pace = Pace()
    for wait in (0.5, 0.03, 0.03):  # the first is slow: what is loaded late, a cold disk
        pace.waited(wait)
    for _ in range(8):
        pace.took(pace.size(10_000, 1), 0.1 * pace.size(10_000, 1), 1)
    assert pace.size(10_000, 1) == 30
    pace.waited(2.0)
    pace.waited(2.0)
    pace.waited(2.0)
    for _ in range(8):
        pace.took(pace.size(10_000, 1), 0.1 * pace.size(10_000, 1), 1)
    assert pace.size(10_000, 1) == 600  # a minute at most


def test_two_processes_give_the_values_of_one(tmp_path):
    game = Sums(tmp_path, seconds=0.02)
    run = sm.evaluate(game, sm.MaskDesign(MASKS, 0), batch=4, executor=LocalExecutor(workers=2))
    np.testing.assert_array_equal(run.values, expected())
    assert len(game.pids() - {os.getpid()}) == 2
    assert len(list(tmp_path.iterdir())) == 23


def test_a_process_that_is_killed_is_replaced_and_the_store_has_every_mask_once(tmp_path):
    (tmp_path / "log").mkdir()
    game = Sums(tmp_path / "log", kill_on=BATCHES[3][0], seconds=0.005)
    design = sm.MaskDesign(MASKS, 0)
    run = sm.evaluate(
        game, design, batch=4, executor=LocalExecutor(workers=2), store=tmp_path / "s"
    )
    np.testing.assert_array_equal(run.values, expected())
    assert len(game.pids()) >= 2
    again = sm.evaluate(game, design, store=tmp_path / "s")
    assert again.evaluated == 0
    np.testing.assert_array_equal(again.scores, run.scores)


def test_an_error_in_a_worker_is_raised_here_and_finished_batches_are_kept(tmp_path):
    class Fails(Sums):
        def scores(self, masks):
            if (masks == MASKS[50]).all(axis=1).any():
                raise sm.InputError("the 50th mask is not for us")
            return super().scores(masks)

    with pytest.raises(sm.InputError, match="the 50th mask is not for us"):
        sm.evaluate(
            Fails(),
            sm.MaskDesign(MASKS, 0),
            batch=4,
            executor=LocalExecutor(workers=2),
            store=tmp_path,
        )
    run = sm.evaluate(Sums(), sm.MaskDesign(MASKS, 0), store=tmp_path)
    assert 0 < run.evaluated < 90
    np.testing.assert_array_equal(run.values, expected())


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt here, also where the shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("interrupted", [True, False])
def test_when_work_stops_every_finished_batch_is_stored(tmp_path, interrupted):
    """Two workers, of which one stops all work in its second chunk, after the first batch of it."""

    class Stops(Sums):
        calls = 0

        def scores(self, masks):
            self.calls += 1
            (self.folder / f"{os.getpid()} {self.calls}").touch()
            if self.calls < 3:
                return super().scores(masks)
            while len(list(self.folder.glob("* 3"))) < 2:  # both are in the middle of a chunk
                time.sleep(0.005)
            if min(self.folder.glob("* 3")).name == f"{os.getpid()} 3":
                time.sleep(0.2)  # what was done before is on its way
                if not interrupted:
                    raise MemoryError("too much")
                os.kill(self.home, signal.SIGINT)
            time.sleep(60)

    (tmp_path / "log").mkdir()
    with pytest.raises(KeyboardInterrupt if interrupted else MemoryError):
        sm.evaluate(
            Stops(tmp_path / "log"),
            sm.MaskDesign(MASKS, 0),
            batch=4,
            executor=LocalExecutor(workers=2),
            store=tmp_path / "s",
        )
    with RunStore(tmp_path / "s", KEY, 12) as store:
        masks, values, _ = store.read()
    assert len(masks) == 4 * 4  # two batches of each worker; the third was being evaluated
    rows = np.array([np.flatnonzero((MASKS == mask).all(axis=1))[0] for mask in masks])
    assert set(np.bincount(rows // 4)) <= {0, 4}  # whole batches
    np.testing.assert_array_equal(values, expected()[rows])


def test_a_worker_whose_game_differs_is_refused_by_field():
    game = Sums(worker_key="others")
    with pytest.raises(ValueError, match="has another fingerprint: 'others', this process has"):
        sm.evaluate(game, sm.MaskDesign(MASKS, 0), executor=LocalExecutor(workers=2))


@pytest.mark.parametrize("kind", ["resample", "counterfactual", "optimal"])
def test_a_model_is_sent_as_weights_and_settings_and_built_again(tiny_llama, kind):
    rng = np.random.default_rng(0)
    ids, answers, partners = (rng.integers(1, 61, shape) for shape in ((3, 7), (3, 2), (3, 7)))
    task = sm.TokenTask(ids, answers=answers, partners=partners)
    players = sm.select_players(tiny_llama, "heads")
    constants = None
    if kind == "optimal":
        constants = sm.fit_constants(sm.TaskGame(tiny_llama, task, players), steps=2)
    options = {"ablation": kind, "seed": 3, "constants": constants}
    game = sm.TaskGame(tiny_llama, task, players, metric="accuracy", **options)
    masks = sm.designs.uniform(12, 6, seed=0).masks
    before = game.scores(masks)  # makes caches, which do not travel
    again = cloudpickle.loads(pack_game(game))()
    assert again.key == game.key and again.fingerprint == game.fingerprint
    assert again.model.hf is not game.model.hf
    np.testing.assert_array_equal(again.scores(masks), before)
    with pytest.raises(ValueError, match="device_map is for games of a model"):
        pack_game(as_game(Sums()), device_map="auto")


def test_a_model_for_several_devices_travels_by_name_and_is_placed_by_device_map(monkeypatch):
    pytest.importorskip("accelerate", reason="Transformers needs it for device_map")
    model = sm.load_model("embedded", device="cpu")
    task = sm.load_task("embedded/people").first(2)
    game = sm.TaskGame(model, task, sm.select_players(model, "heads:0"), metric="accuracy")
    sent = pack_game(game, device_map="cpu")
    assert len(sent) < 300_000 < sum(4 * p.numel() for p in model.hf.parameters())
    load, asked = spex_mech.models.loading.load_model, []

    def placed(name, **options):
        asked.append((name, options["device_map"], options["dtype"]))
        return load(name, **options)

    monkeypatch.setattr(spex_mech.models.loading, "load_model", placed)
    again = cloudpickle.loads(sent)()
    assert asked == [("embedded", "cpu", model.dtype)]
    assert again.key == game.key and again.fingerprint == game.fingerprint


def test_each_process_sees_its_own_devices(tmp_path):
    class Looks(Sums):
        def scores(self, masks):
            (self.folder / os.environ["CUDA_VISIBLE_DEVICES"]).touch()
            return super().scores(masks)

    game = Looks(tmp_path, seconds=0.02)
    executor = LocalExecutor(devices=("0,1", "2,3"))
    run = sm.evaluate(game, sm.MaskDesign(MASKS, 0), batch=4, executor=executor)
    np.testing.assert_array_equal(run.values, expected())
    assert {p.name for p in tmp_path.iterdir() if "-" not in p.name} == {"0,1", "2,3"}


def test_two_processes_score_a_model_as_this_one_does_to_the_last_bit(tiny_llama, tmp_path):
    rng = np.random.default_rng(0)
    task = sm.TokenTask(rng.integers(1, 61, (5, 9)), answers=rng.integers(1, 61, (5, 2)))
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama, "heads"), ablation="mean")
    design = sm.designs.biased(12, 24, keep_rate=0.6, seed=0)
    here = sm.evaluate(game, design, batch=4)
    as_here = LocalExecutor(workers=2, threads=torch.get_num_threads())
    there = sm.evaluate(game, design, batch=4, executor=as_here, store=tmp_path / "s")
    assert there.scores.tobytes() == here.scores.tobytes()
    assert there.values.tobytes() == here.values.tobytes()


def test_a_game_is_made_again_of_its_settings(tiny_llama):
    task = sm.TokenTask(np.arange(1, 15).reshape(2, 7), answers=np.array([[1, 2], [3, 4]]))
    players = sm.select_players(tiny_llama, "heads:0")
    settings = GameSettings("all", "accuracy", "zero", rescale=True, engine="reference")
    game = sm.TaskGame(tiny_llama, task, players, **settings.options)
    assert game.settings == settings and game.with_split("all").settings == settings
    assert sm.TaskGame(tiny_llama, task, players).settings == GameSettings(metric=task.metric)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="workers is 0, expected 1 or more"):
        LocalExecutor(workers=0)
    with pytest.raises(ValueError, match="3 workers for 2 devices"):
        LocalExecutor(workers=3, devices=("0", "1"))
    with pytest.raises(ValueError, match="workers is 0, expected 1 or more, or None"):
        RayExecutor(workers=0)
    assert LocalExecutor(devices=("0,1", "2,3")).count == 2
    assert isinstance(
        LocalExecutor().map(as_game(Sums()), BATCHES[:1]),
        type(InProcessExecutor().map(as_game(Sums()), [])),
    )


def test_a_game_that_cannot_be_sent_is_told(tmp_path):
    game = Sums()
    with (tmp_path / "open").open("w") as game.folder:
        with pytest.raises(ValueError, match="cannot be sent to other processes"):
            sm.evaluate(game, sm.MaskDesign(MASKS, 0), executor=LocalExecutor(workers=2))
