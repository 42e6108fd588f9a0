"""Executors: the same values wherever, by however many workers and in whatever order."""

from __future__ import annotations

import os
import signal
import sys
import time

import cloudpickle
import numpy as np
import pytest

import spex_mech as sm
import spex_mech.models.loading
from spex_mech.evaluation.executors import InProcessExecutor, LocalExecutor, RayExecutor
from spex_mech.evaluation.executors.dispatch import Died, Done, Ready, dispatch
from spex_mech.evaluation.executors.executor import score_batch
from spex_mech.evaluation.executors.pace import Pace
from spex_mech.evaluation.executors.shipping import pack_game, settings
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


def collect(answers) -> dict[int, np.ndarray]:
    found: dict[int, np.ndarray] = {}
    for answer in answers:
        lengths = [len(BATCHES[i]) for i in answer.batches]
        parts = np.split(answer.values, np.cumsum(lengths)[:-1])
        assert not found.keys() & set(answer.batches)
        found.update(zip(answer.batches, parts, strict=True))
    return found


def expected() -> np.ndarray:
    return sm.evaluate(Sums(), sm.MaskDesign(MASKS, 0), batch=4).values


class Troupe:
    """A crew without processes: each chunk is answered, or its worker dies, as a script says."""

    def __init__(self, wanted=2, deaths=(), stillborn=0, key=KEY, partial=None) -> None:
        self._wanted, self.deaths, self.stillborn = wanted, list(deaths), stillborn
        self.key, self.partial = key, partial
        self.hired, self.sent, self.closed, self.events = 0, [], False, []

    def wanted(self):
        return self._wanted

    def hire(self):
        self.hired += 1
        if self.hired <= self.stillborn:
            self.events.append(Died(self.hired, "no memory"))
        else:
            self.events.append(Ready(self.hired, self.key, "here"))
        return self.hired

    def send(self, worker, batches):
        self.sent.append((worker, [b.tobytes() for b in batches]))
        if self.deaths and self.deaths[0] in self.sent[-1][1]:
            self.deaths.pop(0)
            self.events.append(Died(worker, "killed"))
            return
        parts = [score_batch(Sums(), batch) for batch in batches]
        if self.partial is not None and len(self.sent) == self.partial:
            self.events.append(Done(worker, parts[:1], 1.0, RuntimeError("broken")))
        else:
            self.events.append(Done(worker, parts, 0.01))

    def wait(self, seconds):
        events, self.events = self.events, []
        return events[::-1]  # any order

    def interrupt(self, workers):
        return False

    def close(self):
        self.closed = True


@pytest.mark.parametrize("workers", [1, 2, 5, 50])
def test_every_batch_is_answered_once_by_any_number_of_workers(workers):
    crew = Troupe(workers)
    found = collect(dispatch(crew, BATCHES, KEY))
    np.testing.assert_array_equal(np.concatenate([found[i] for i in range(23)]), expected())
    assert crew.closed and crew.hired == min(workers, 23)
    assert sorted(b for _, chunk in crew.sent for b in chunk) == sorted(
        b.tobytes() for b in BATCHES
    )


def test_a_dead_workers_batches_go_to_another_one_by_one():
    bad = BATCHES[9].tobytes()
    crew = Troupe(2, deaths=[bad, bad])
    found = collect(dispatch(crew, BATCHES, KEY))
    np.testing.assert_array_equal(np.concatenate([found[i] for i in range(23)]), expected())
    assert crew.hired == 3  # the last batches are too few for a fourth
    chunks = [chunk for _, chunk in crew.sent if bad in chunk]
    assert len(chunks) == 3 and len(chunks[1]) == len(chunks[2]) == 1


def test_masks_that_kill_every_worker_are_given_up():
    bad = BATCHES[9].tobytes()
    crew = Troupe(2, deaths=[bad] * 9)
    with pytest.raises(ValueError, match="3 workers died on the same masks, the last one: killed"):
        collect(dispatch(crew, BATCHES, KEY))
    assert crew.closed and crew.hired <= 5


def test_workers_that_do_not_start_are_given_up_after_three():
    with pytest.raises(ValueError, match="workers do not start: no memory"):
        collect(dispatch(Troupe(2, stillborn=99), BATCHES, KEY))
    assert len(collect(dispatch(Troupe(2, stillborn=2), BATCHES, KEY))) == 23


def test_a_worker_with_other_weights_is_refused():
    with pytest.raises(ValueError, match="on here has another weights: 'b', this process has 'a'"):
        collect(dispatch(Troupe(key={"weights": "b"}), BATCHES, {"weights": "a"}))


def test_what_was_done_before_an_error_is_answered_first():
    crew, found = Troupe(1, partial=3), []
    with pytest.raises(RuntimeError, match="broken"):
        for answer in dispatch(crew, BATCHES, KEY):
            found += answer.batches
    assert found == [0, 1, 2, 3]  # chunks of 1 and 2 batches, and the first of the third chunk
    assert crew.closed


def test_a_caller_that_stops_taking_ends_the_workers_and_is_not_outrun():
    crew = Troupe(3)
    answers = dispatch(crew, BATCHES, KEY)
    next(answers)
    assert len(crew.sent) <= 6  # at most a chunk a worker beyond what is answered
    answers.close()
    assert crew.closed


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


def test_what_a_worker_had_finished_of_a_batch_that_failed_is_kept(tmp_path):
    class Fails(Sums):
        """Fails in the middle of the batch of the 50th mask, and says what it had done by then."""

        broken = False

        def finished(self, masks):
            return self.broken & (np.arange(len(masks)) < 2)

        def scores(self, masks):
            if (masks == MASKS[50]).all(axis=1).any():
                self.broken = True
                raise sm.InputError("the 50th mask is not for us")
            return super().scores(masks)

    # The 50th mask stands third in its batch; a second worker would have other batches in flight.
    with pytest.raises(sm.InputError, match="the 50th mask is not for us"):
        executor = LocalExecutor(devices=("",))
        sm.evaluate(Fails(), sm.MaskDesign(MASKS, 0), batch=4, executor=executor, store=tmp_path)
    with RunStore(tmp_path, KEY, 12) as store:
        masks, values, _ = store.read()
    np.testing.assert_array_equal(masks, MASKS[:50])
    np.testing.assert_array_equal(values, expected()[:50])


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt here, also where the shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("interrupted", [True, False])
def test_when_work_stops_every_worker_hands_over_what_it_had_finished(tmp_path, interrupted):
    """Two workers, each in the middle of a batch of which it has finished two masks."""

    class Stops(Sums):
        inside = False

        def finished(self, masks):
            return self.inside & (np.arange(len(masks)) < 2)

        def scores(self, masks):
            if len(masks) == 2:  # those that it has finished
                return Sums().scores(masks)
            self.inside = True
            mine = self.folder / str(os.getpid())
            mine.touch()
            while len(list(self.folder.iterdir())) < 2:
                time.sleep(0.005)
            first = min(path.name for path in self.folder.iterdir()) == mine.name
            if first and interrupted:
                os.kill(self.home, signal.SIGINT)
            elif first:
                raise MemoryError("too much")
            time.sleep(60)

    (tmp_path / "log").mkdir()
    game = Stops(tmp_path / "log")
    with pytest.raises(KeyboardInterrupt if interrupted else MemoryError):
        sm.evaluate(
            game,
            sm.MaskDesign(MASKS, 0),
            batch=4,
            executor=LocalExecutor(workers=2),
            store=tmp_path / "s",
        )
    with RunStore(tmp_path / "s", KEY, 12) as store:
        masks, values, _ = store.read()
    order = np.argsort([np.flatnonzero((MASKS == mask).all(axis=1))[0] for mask in masks])
    np.testing.assert_array_equal(masks[order], MASKS[[0, 1, 4, 5]])
    np.testing.assert_array_equal(values[order], expected()[[0, 1, 4, 5]])


def test_a_worker_whose_game_differs_is_refused_by_field():
    game = Sums(worker_key="others")
    with pytest.raises(ValueError, match="has another fingerprint: 'others', this process has"):
        sm.evaluate(game, sm.MaskDesign(MASKS, 0), executor=LocalExecutor(workers=2))


def test_a_model_is_sent_as_weights_and_settings_and_built_again(tiny_llama):
    rng = np.random.default_rng(0)
    task = sm.TokenTask(rng.integers(1, 61, (3, 7)), answers=rng.integers(1, 61, (3, 2)))
    players = sm.select_players(tiny_llama, "heads")
    game = sm.TaskGame(tiny_llama, task, players, metric="accuracy", ablation="resample", seed=3)
    masks = sm.designs.uniform(12, 6, seed=0).masks
    before = game.scores(masks)  # makes caches, which do not travel
    again = cloudpickle.loads(pack_game(game))()
    assert again.key == game.key and again.fingerprint == game.fingerprint
    assert again.model.hf is not game.model.hf
    np.testing.assert_array_equal(again.scores(masks), before)
    with pytest.raises(ValueError, match="device_map is for games of a model"):
        pack_game(Sums(), device_map="auto")


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
    there = sm.evaluate(
        game, design, batch=4, executor=LocalExecutor(workers=2), store=tmp_path / "s"
    )
    assert there.scores.tobytes() == here.scores.tobytes()
    assert there.values.tobytes() == here.values.tobytes()


def test_settings_of_a_game_are_read_from_its_parts(tiny_llama):
    task = sm.TokenTask(np.arange(1, 15).reshape(2, 7), answers=np.array([[1, 2], [3, 4]]))
    players = sm.select_players(tiny_llama, "heads:0")
    given = {"split": "all", "metric": "accuracy", "ablation": "zero", "rescale": True}
    game = sm.TaskGame(tiny_llama, task, players, engine="reference", **given)
    assert settings(game) == {**given, "seed": game.ablation.seed, "engine": "reference"}


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="workers is 0, expected 1 or more"):
        LocalExecutor(workers=0)
    with pytest.raises(ValueError, match="3 workers for 2 devices"):
        LocalExecutor(workers=3, devices=("0", "1"))
    with pytest.raises(ValueError, match="workers is 0, expected 1 or more, or None"):
        RayExecutor(workers=0)
    assert LocalExecutor(devices=("0,1", "2,3")).count == 2
    assert isinstance(
        LocalExecutor().map(Sums(), BATCHES[:1]), type(InProcessExecutor().map(Sums(), []))
    )


def test_a_game_that_cannot_be_sent_is_told(tmp_path):
    game = Sums()
    with (tmp_path / "open").open("w") as game.folder:
        with pytest.raises(ValueError, match="cannot be sent to other processes"):
            sm.evaluate(game, sm.MaskDesign(MASKS, 0), executor=LocalExecutor(workers=2))
