"""File systems that are full, too small, or cannot do what a store relies on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.evaluation.store.store import RunStore

KEY = {"weights": "abc"}
DESIGN = sm.designs.uniform(10, 40, seed=0)
VALUES = DESIGN.masks @ np.arange(10.0)


def game(masks):
    return masks @ np.arange(10.0)


game.fingerprint = "sums"


@pytest.mark.parametrize("where", ["fsync", "write"])
def test_a_disk_that_fills_at_any_step_costs_nothing_that_was_committed(
    tmp_path, monkeypatch, where
):
    """The disk is full at one step of writing after the other; each time there is room again."""
    real, at, calls, full = getattr(os, where), 0, 0, True

    def step(handle, *content):
        nonlocal calls
        calls += 1
        if calls == at:
            if content:
                real(handle, content[0][: len(content[0]) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, *content)

    monkeypatch.setattr(os, where, step)
    before, kept, failed = 0, 0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while full:
            at, calls, full = at + 1, 0, False
            try:
                run = sm.evaluate(game, DESIGN, store=tmp_path, batch=4, progress=False)
            except sm.InputError as error:
                full = True
                failed += 1
                assert "No space left on device; what was committed stays readable" in str(error)
                assert "make room" in str(error)
            calls, kept = 99, stored(tmp_path)
            assert kept >= before
            before = kept
    assert failed >= (4 if where == "fsync" else 2) and kept == 40
    assert run.values.tobytes() == VALUES.tobytes()
    assert not list(tmp_path.rglob("*.part"))
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert sum(line.get("rows", 0) for line in lines) == 40


def stored(folder) -> int:
    """How many masks can be read; their values are right."""
    if not any((folder / "shards").glob("*.parquet")):
        return 0
    run = sm.open_run(folder)
    np.testing.assert_array_equal(run.values, run.masks @ np.arange(10.0))
    return len(run.masks)


def test_half_a_line_in_the_journal_is_taken_back_by_the_process_that_wrote_it(
    tmp_path, monkeypatch
):
    real = os.write

    def half(handle, content):
        real(handle, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with RunStore(tmp_path, KEY, 10) as store:
        store.append(DESIGN.masks[:4], VALUES[:4], None)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(sm.InputError, match="No space left on device"):
                store.append(DESIGN.masks[4:8], VALUES[4:8], None)
        store.append(DESIGN.masks[8:], VALUES[8:], None)  # room was made
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with RunStore(tmp_path, KEY, 10) as store:
            np.testing.assert_array_equal(np.sort(store.read()[1]), np.sort(VALUES))


CHILD = """
import json, resource, subprocess, sys, warnings
import numpy as np
import spex_mech as sm
warnings.simplefilter("error")

class Game:
    fingerprint = "wide"
    fails_at = None
    def __init__(self):
        self.players, self.calls = sm.PlayerSet.from_names(map(str, range(12))), 0
    def scores(self, masks):
        self.calls += 1
        if self.calls == self.fails_at:
            np.ones(1 << 28)  # 2 GiB
        return (masks @ np.arange(12.0))[:, None] * np.ones((1, 1500), np.float32)
    def values_from_scores(self, scores):
        return scores.mean(axis=1, dtype=np.float64)
    def __call__(self, masks):
        return self.values_from_scores(self.scores(masks))

design, store, told = sm.designs.uniform(12, 600, seed=0), sys.argv[1] + "/s", None
first = Game()
if sys.argv[2] == "memory":
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), before[1]))
    first.fails_at = 5
try:
    sm.evaluate(first, design, store=store, batch=20, progress=False)
except Exception as error:
    told = type(error).__name__ + ": " + str(error)
run = sm.open_run(store)
right = np.array_equal(run.values, Game()(run.masks))
if sys.argv[2] == "memory":
    resource.setrlimit(resource.RLIMIT_AS, before)
else:
    subprocess.run(["mount", "-o", "remount,size=40m", sys.argv[1]], check=True)
again = sm.evaluate(Game(), design, store=store, progress=False)
whole = sm.evaluate(Game(), design, batch=20, progress=False)
same = (again.values.tobytes(), again.scores.tobytes()) == (whole.values.tobytes(), whole.scores.tobytes())
print(json.dumps({"told": told, "kept": len(run.masks), "right": bool(right), "same": same,
    "evaluated": again.evaluated, "distinct": whole.evaluated}))
"""


def mounts() -> bool:
    """Whether this user may mount a file system in a namespace of its own."""
    if not (shutil.which("unshare") and shutil.which("mount")):
        return False
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/tmp"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_small_file_system_that_fills_in_mid_run_is_gone_on_with_when_there_is_room(tmp_path):
    if not mounts():
        pytest.skip("this user may not mount a file system (unshare -rm)")
    script = 'mount -t tmpfs -o size=2m none "$1" && exec "$0" -c "$2" "$1" disk'
    command = ["unshare", "-rm", "sh", "-c", script, sys.executable, str(tmp_path), CHILD]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["told"].startswith("InputError: cannot write 0")
    assert "No space left on device; what was committed stays readable" in said["told"]
    assert 0 < said["kept"] < 600 and said["right"] and said["same"]
    assert said["evaluated"] == said["distinct"] - said["kept"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, limits memory")
def test_a_limit_of_memory_leaves_finished_batches_stored_and_the_next_run_goes_on(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, tmp_path, "memory"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["told"].startswith(("MemoryError", "_ArrayMemoryError"))
    assert said["kept"] == 4 * 20 and said["right"] and said["same"]
    assert said["evaluated"] == said["distinct"] - 80


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_before_anything_is_written(
    tmp_path, monkeypatch, number
):
    fcntl = pytest.importorskip("fcntl", reason="this platform has no locks at all")
    with RunStore(tmp_path / "before", KEY, 3):
        pass

    def flock(handle, how):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        for name in ("before", "new"):
            with pytest.raises(sm.InputError) as told:
                RunStore(tmp_path / name, KEY, 3)
            assert f"cannot lock files ({os.strerror(number)})" in str(told.value)
            assert "put the store on a local disk, or mount" in str(told.value)
            assert "make room" not in str(told.value)
    assert not (tmp_path / "new" / "key.json").exists()
    for name in ("before", "new"):  # with locks it goes on
        with RunStore(tmp_path / name, KEY, 3) as store:
            assert len(store.read()[0]) == 0
