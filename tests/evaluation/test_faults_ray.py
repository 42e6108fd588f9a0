"""Ray when something goes wrong: actors that hang, Ctrl-C, and who can reach the cluster."""

from __future__ import annotations

import os
import signal
import sys
import time

import cloudpickle
import numpy as np
import pytest

import spex_mech as sm
from spex_mech.evaluation.executors import RayExecutor

ray = pytest.importorskip("ray", reason="needs the extra: pip install 'spex-mech[ray]'")
pytestmark = [
    # Ray announces a future default, and its own clients leave sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:Tip. In future versions of Ray:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
cloudpickle.register_pickle_by_value(sys.modules[__name__])

MASKS = sm.designs.uniform(12, 48, seed=0).masks
BATCHES = [MASKS[i : i + 4] for i in range(0, 48, 4)]
DESIGN = sm.MaskDesign(MASKS, 0)
WEIGHTS = np.random.default_rng(0).normal(size=12)


class Sums:
    """Weighted sums; leaves a file for every batch, named by the process."""

    fingerprint = "sums"

    def __init__(self, folder) -> None:
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(12))
        self.folder, self.home = folder, os.getpid()

    def __call__(self, masks):
        name = masks.tobytes().hex()
        (self.folder / f"{os.getpid()}-{name}").touch()
        if len(list(self.folder.glob(f"*-{name}"))) == 1:
            self.at(
                next(i for i, batch in enumerate(BATCHES) if batch.tobytes() == masks.tobytes())
            )
        return masks @ WEIGHTS

    def at(self, batch: int) -> None:
        """What the first process does that reaches a batch."""


class Hangs(Sums):
    """One actor hangs at a batch, one is stopped at another."""

    def at(self, batch):
        if batch == 5:
            time.sleep(600)
        if batch == 8:
            os.kill(os.getpid(), signal.SIGSTOP)


class Interrupts(Sums):
    """Two actors, both in the middle of a chunk when one of them interrupts the caller."""

    calls = 0

    def at(self, batch):
        self.calls += 1
        (self.folder / f"{os.getpid()} {self.calls}").touch()
        if self.calls < 3:
            return
        while len(list(self.folder.glob("* 3"))) < 2:
            time.sleep(0.005)
        if min(self.folder.glob("* 3")).name == f"{os.getpid()} 3":
            time.sleep(1.0)  # what was done before is on its way
            os.kill(self.home, signal.SIGINT)
        time.sleep(60)


@pytest.fixture(scope="module")
def two_cpus():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt here, also where the shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def expected() -> np.ndarray:
    return sm.evaluate(lambda masks: masks @ WEIGHTS, DESIGN, batch=4).values


@pytest.mark.usefixtures("two_cpus")
def test_an_actor_that_hangs_or_is_stopped_is_replaced(tmp_path):
    game, executor = Hangs(tmp_path), RayExecutor(workers=2, batch_seconds=4.0)
    began = time.monotonic()
    run = sm.evaluate(game, DESIGN, batch=4, executor=executor)
    assert time.monotonic() - began < 120
    assert run.values.tobytes() == expected().tobytes()
    for batch in (5, 8):
        assert len(list(tmp_path.glob(f"*-{BATCHES[batch].tobytes().hex()}"))) == 2


@pytest.mark.usefixtures("two_cpus", "interruptible")
def test_ctrl_c_keeps_every_finished_batch(tmp_path):
    (tmp_path / "log").mkdir()
    with pytest.raises(KeyboardInterrupt):
        sm.evaluate(
            Interrupts(tmp_path / "log"),
            DESIGN,
            batch=4,
            executor=RayExecutor(workers=2),
            store=tmp_path / "s",
        )
    kept = sm.open_run(tmp_path / "s")
    assert len(kept.masks) == 4 * 4  # two batches of each actor; the third was being evaluated
    rows = np.array([np.flatnonzero((MASKS == mask).all(axis=1))[0] for mask in kept.masks])
    assert set(np.bincount(rows // 4)) <= {0, 4}  # whole batches
    (tmp_path / "again").mkdir()
    run = sm.evaluate(Sums(tmp_path / "again"), DESIGN, store=tmp_path / "s")
    assert run.evaluated == 48 - 16
    assert run.values.tobytes() == expected().tobytes()
