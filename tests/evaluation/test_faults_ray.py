"""Ray when something goes wrong: actors that hang, Ctrl-C, and who can reach the cluster."""

from __future__ import annotations

import ipaddress
import os
import signal
import sys
import time

import cloudpickle
import numpy as np
import pytest

import spex_mech as sm
from spex_mech.evaluation.executors import RayExecutor
from spex_mech.evaluation.executors.ray_cluster import connect
from spex_mech.evaluation.games import as_game

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


def listening() -> list[tuple[str, str]]:
    """Processes of this test, itself among them, and the addresses on which they listen."""
    psutil = pytest.importorskip("psutil", reason="says which process listens where")
    me = psutil.Process()
    found = []
    for process in [me, *me.children(recursive=True)]:
        try:
            sockets = process.net_connections("inet")
        except psutil.AccessDenied:
            pytest.skip("this system does not say which process listens where")
        except psutil.NoSuchProcess:
            continue
        found += [(process.name(), s.laddr.ip) for s in sockets if s.status == psutil.CONN_LISTEN]
    return found


@pytest.mark.skipif(bool(os.environ.get("RAY_ADDRESS")), reason="RAY_ADDRESS names a cluster")
def test_a_cluster_of_its_own_is_reached_by_this_machine_alone(tmp_path):
    before, found = listening(), []
    for _ in RayExecutor(workers=1).map(as_game(Sums(tmp_path)), BATCHES):
        found = found or listening()  # while it is up
    new = [pair for pair in found if pair not in before]
    assert {"gcs_server", "raylet"} <= {name for name, _ in new}
    outside = [(name, ip) for name, ip in new if not is_loopback(ip)]
    assert not outside, outside
    assert not ray.is_initialized()


def is_loopback(ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def test_an_address_that_is_none_is_refused():
    with pytest.raises(sm.InputError, match="listen is 'everyone', expected an IP address"):
        RayExecutor(listen="everyone")


def test_a_ray_that_does_not_keep_to_the_loopback_address_is_told(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray._private.utils, "read_ray_address", lambda: None)
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "192.0.2.7")
    with pytest.warns(RuntimeWarning, match="listens on 192.0.2.7, not on 127.0.0.1 alone"):
        connect(ray, None, "127.0.0.1")


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
