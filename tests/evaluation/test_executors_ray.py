"""The Ray executor on real clusters: killed workers, nodes that leave and join."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from functools import partial

import cloudpickle
import numpy as np
import pytest

import spex_mech as sm
from spex_mech.evaluation.executors import RayExecutor
from spex_mech.evaluation.games import as_game
from tests.shared import quiz
from tests.shared.quiz import Quiz

ray = pytest.importorskip("ray", reason="needs the extra: pip install 'spex-mech[ray]'")
pytestmark = [
    # Ray announces a future default, and its own clients leave sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:Tip. In future versions of Ray:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
cloudpickle.register_pickle_by_value(sys.modules[__name__])
cloudpickle.register_pickle_by_value(quiz)

MASKS = sm.designs.uniform(12, 96, seed=0).masks
WEIGHTS = np.random.default_rng(0).normal(size=12)


class Slow:
    """Weighted sums, some time per batch; leaves a file for every batch, named by the process."""

    fingerprint = "slow sums"

    def __init__(self, folder, kill_on=None, gate=None) -> None:
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(12))
        self.folder, self.kill_on, self.gate = folder, kill_on, gate

    def __call__(self, masks):
        name = masks.tobytes().hex()
        (self.folder / f"{os.getpid()}-{name}").touch()
        first = len(list(self.folder.glob(f"*-{name}"))) == 1
        if first and self.kill_on is not None and (masks == self.kill_on).all(axis=1).any():
            os.kill(os.getpid(), signal.SIGKILL)
        late = len(self.done()) > 12
        while self.gate is not None and late and not self.gate.exists():
            time.sleep(0.02)
        time.sleep(0.02)
        return masks @ WEIGHTS

    def done(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]

    def pids(self) -> set[str]:
        return {name.split("-")[0] for name in self.done()}


@pytest.fixture
def cluster():
    """A cluster whose head runs nothing; Ray's own utility, each node with processes of its own."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    ray.shutdown()
    made.shutdown()


def expected(batch: int = 4) -> np.ndarray:
    return sm.evaluate(lambda masks: masks @ WEIGHTS, sm.MaskDesign(MASKS, 0), batch=batch).values


def test_nodes_join_and_leave_and_the_run_ends_with_the_same_values(cluster, tmp_path):
    (tmp_path / "log").mkdir()
    game = Slow(tmp_path / "log", gate=tmp_path / "go")
    first = cluster.add_node(num_cpus=1)

    def leave():
        """Once two nodes work, end the first one with what it is doing."""
        wait_for(lambda: len(game.pids()) == 2)
        cluster.remove_node(first, allow_graceful=False)
        game.gate.touch()

    leaver = threading.Thread(target=leave)
    leaver.start()
    batches = [MASKS[i : i + 4] for i in range(0, 96, 4)]
    found: dict[int, np.ndarray] = {}
    try:
        for answer in RayExecutor(address=cluster.address).map(as_game(game), batches):
            ends = np.cumsum([len(batches[i]) for i in answer.batches])[:-1]
            assert not found.keys() & set(answer.batches)
            if not found:
                cluster.add_node(num_cpus=1)  # it joins a run that has begun
            found.update(zip(answer.batches, np.split(answer.values, ends), strict=True))
    finally:
        game.gate.touch()
        leaver.join()
    values = np.concatenate([found[i] for i in range(24)])
    assert values.tobytes() == expected().tobytes()
    assert not ray.is_initialized()  # what the executor connected, it disconnects
    assert len(game.pids()) == 2
    done = [name.split("-")[1] for name in game.done()]
    again = len(done) - len(set(done))
    assert again <= 8  # at most the removed node's chunk came twice


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


def test_ray_gives_the_bytes_of_this_process_and_stores_them(tmp_path):
    (tmp_path / "log").mkdir()
    game = Slow(tmp_path / "log", kill_on=MASKS[20])
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        run = sm.evaluate(
            game,
            sm.MaskDesign(MASKS, 0),
            batch=4,
            executor=RayExecutor(workers=2),
            store=tmp_path / "s",
        )
        assert ray.is_initialized()  # what was there before stays
    finally:
        ray.shutdown()
    assert run.values.tobytes() == expected().tobytes()
    killed = [name for name in game.done() if MASKS[20:24].tobytes().hex() in name]
    assert len(killed) == 2 and len({name.split("-")[0] for name in killed}) == 2
    again = sm.evaluate(game, sm.MaskDesign(MASKS, 0), store=tmp_path / "s")
    assert again.evaluated == 0 and again.values.tobytes() == run.values.tobytes()


class Fatal(sm.TaskGame):
    """A model's game; the first process that reaches the 10th mask is killed there."""

    def __init__(self, model, task, players, *, folder, **options) -> None:
        super().__init__(model, task, players, **options)
        self.folder = folder

    def rebuild(self, *, device=None, device_map=None):
        parts = super().rebuild(device=device, device_map=device_map)
        return replace(parts, game=partial(Fatal, folder=self.folder))

    def scores(self, masks):
        name = np.packbits(masks).tobytes().hex()
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
        (self.folder / f"{os.getpid()}-{seen}-{name}").touch()
        if (masks == REAL[9]).all(axis=1).any() and not (self.folder / "killed").exists():
            (self.folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().scores(masks)


REAL = sm.designs.biased(32, 24, keep_rate=0.7, seed=0).masks


def test_a_real_model_gives_the_same_bytes_though_its_worker_is_killed(tmp_path):
    """An actor has two GPUs, as far as Ray is told, and places the model by `device_map`."""
    pytest.importorskip("accelerate", reason="Transformers needs it for device_map")
    model = sm.load_model("embedded", device="cpu")
    task, players = sm.load_task("embedded/people").first(4), sm.select_players(model, "heads")
    (tmp_path / "log").mkdir()
    ray.init(num_cpus=2, num_gpus=4, include_dashboard=False, log_to_driver=False)
    try:
        there = sm.evaluate(
            Fatal(model, task, players, folder=tmp_path / "log", metric="margin"),
            sm.MaskDesign(REAL, 0),
            batch=4,
            executor=RayExecutor(workers=1, gpus=2, device_map="cpu"),
            store=tmp_path / "s",
        )
    finally:
        ray.shutdown()
    here = sm.evaluate(sm.TaskGame(model, task, players), sm.MaskDesign(REAL, 0), batch=4)
    assert there.scores.tobytes() == here.scores.tobytes()
    assert there.values.tobytes() == here.values.tobytes()
    did = [path.name.split("-") for path in (tmp_path / "log").iterdir() if "-" in path.name]
    assert str(os.getpid()) not in {pid for pid, _, _ in did}
    assert {len(seen.split(",")) for _, seen, _ in did} == {2}
    assert len({pid for pid, _, _ in did}) == 2  # the one that was killed, and its successor
    twice = [name for _, _, name in did if name == np.packbits(REAL[8:12]).tobytes().hex()]
    assert len(twice) == 2 and len({name for _, _, name in did}) == 7  # and the full model


def test_a_cluster_that_is_not_there_is_told(tmp_path):
    executor = RayExecutor(address="127.0.0.1:1")
    with pytest.raises(ValueError, match=r"no Ray cluster at '127.0.0.1:1' can be reached"):
        next(executor.map(as_game(Slow(tmp_path)), [MASKS[:4]]))
    assert not ray.is_initialized()


class Quizzed(Quiz):
    """Asked some questions; kills the worker that first reaches a mask."""

    def __init__(self, folder) -> None:
        super().__init__(12, 8, seed=2)
        self.folder, self.home = folder, os.getpid()

    def asked_scores(self, masks, questions):
        reached = len(masks) and (masks == MASKS[20]).all(axis=1).any()
        if reached and os.getpid() != self.home and not (self.folder / "killed").exists():
            (self.folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().asked_scores(masks, questions)


def test_ray_gives_the_same_bytes_for_some_questions_though_a_worker_is_killed(tmp_path):
    counts, design = np.where(np.arange(96) % 5 == 0, 2, 1), sm.MaskDesign(MASKS, 0)
    game = Quizzed(tmp_path)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        run = sm.evaluate(
            game, design, questions=counts, batch=1, executor=RayExecutor(workers=2), store=tmp_path / "s"
        )  # fmt: skip
    finally:
        ray.shutdown()
    assert (tmp_path / "killed").exists()
    alone = sm.evaluate(Quiz(12, 8, seed=2), design, questions=counts, batch=1)
    assert run.answers.values.tobytes() == alone.answers.values.tobytes()
    again = sm.evaluate(Quizzed(tmp_path), design, questions=counts, store=tmp_path / "s")
    assert again.evaluated == 0 and again.scores.tobytes() == run.scores.tobytes()
