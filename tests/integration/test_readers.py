"""Readers beside a writer: each sees whole shards, right values, and never fewer masks than before."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.evaluation.store.status import run_status
from spex_mech.run.decode import decode_store
from spex_mech.run.spec import DecodeSpec

WEIGHTS = np.arange(1.0, 13.0)
WRITER = """
import os, sys, time
import numpy as np
import spex_mech as sm

stop = sys.argv[2]

def game(masks):
    time.sleep(0.004)
    return masks @ np.arange(1.0, 13.0)

game.fingerprint = "sums"
number, parent = 0, os.getppid()
while not os.path.exists(stop) and os.getppid() == parent:  # one session after the other
    design = sm.designs.uniform(12, 300 * (number + 1), seed=0)
    sm.evaluate(game, design, store=sys.argv[1], batch=2, progress=False)
    number += 1
print(number, flush=True)
"""


@pytest.fixture
def writer(tmp_path):
    """A store that another process writes to until the test has seen enough."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path / "s", tmp_path / "stop"],
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not list((tmp_path / "s" / "shards").glob("*.parquet")):
        assert time.monotonic() < end and child.poll() is None
        time.sleep(0.01)
    with child:
        yield tmp_path / "s"
        (tmp_path / "stop").touch()
        assert int(child.stdout.read()) > 0
    assert child.returncode == 0


def test_a_hundred_readers_see_what_is_committed_and_nothing_else(writer):
    """Warnings are errors here: no reader is told of damage."""
    seen: list[list[int]] = [[] for _ in range(10)]
    wrong: list[BaseException] = []

    def read(counts):
        try:
            for _ in range(10):
                run = sm.open_run(writer)
                np.testing.assert_array_equal(run.values, run.masks @ WEIGHTS)
                assert run.damaged == ()
                counts.append(len(run.masks))
        except BaseException as error:
            wrong.append(error)

    readers = [threading.Thread(target=read, args=(counts,)) for counts in seen]
    for reader in readers:
        reader.start()
    told = [run_status(writer)[0] for _ in range(20)]
    for reader in readers:
        reader.join()
    assert not wrong, wrong
    assert [len(counts) for counts in seen] == [10] * 10
    assert all(counts == sorted(counts) and counts[0] > 0 for counts in seen)
    assert all(s.damaged == () == s.lost and s.missing == 0 for s in told)
    stored = [s.stored for s in told]
    assert stored == sorted(stored)
    final = sm.open_run(writer)
    assert len(final.masks) >= max(counts[-1] for counts in seen)


def test_a_store_is_decoded_while_it_is_written(writer):
    counts = []
    while len(counts) < 4:
        if len(sm.open_run(writer).masks) < 60:
            continue
        decoded = decode_store(writer, settings=DecodeSpec(method="lasso"))
        stored = decoded.stored
        np.testing.assert_array_equal(stored.values, stored.masks @ WEIGHTS)
        np.testing.assert_allclose(decoded.spectrum(stored.masks), stored.values, atol=0.5)
        counts.append(len(stored.masks))
    assert counts == sorted(counts)
