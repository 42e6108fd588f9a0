"""The state of a run, read while another process writes it."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.evaluation.store.status import run_status

DESIGN = sm.designs.uniform(10, 40, seed=0)

WRITER = """
import sys, time
import spex_mech as sm
from spex_mech.evaluation.evaluate import evaluate

def game(masks):
    if len(done) == 3:
        print("three", flush=True)
        sys.stdin.read()  # until the test has looked
    done.append(1)
    time.sleep(0.01)
    return masks.sum(axis=1)

done = []
game.fingerprint = "sizes"
evaluate(game, sm.designs.uniform(10, 40, seed=0), store=sys.argv[1], batch=4, progress=False)
"""


def sizes(masks):
    return masks.sum(axis=1)


sizes.fingerprint = "sizes"


def test_a_run_is_watched_while_it_is_written_and_after_it_was_killed(tmp_path):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path / "s"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        assert writer.stdout.readline() == "three\n"
        (seen,) = run_status(tmp_path)
        assert seen.writer.startswith(f"writing (process {writer.pid} on ")
        assert (seen.stored, seen.done, seen.wanted, seen.shards) == (12, 12, 40, 2)
        assert seen.rate > 0 and seen.seconds_left == pytest.approx(28 / seen.rate)
        assert 0 <= seen.last < 600 and seen.size > 0
        with pytest.raises(ValueError, match=f"another process .process {writer.pid} on"):
            sm.evaluate(sizes, DESIGN, store=tmp_path / "s")
        writer.kill()
    (seen,) = run_status(tmp_path / "s")
    assert seen.writer.startswith("ended (process") and seen.done == 12
    sm.evaluate(sizes, DESIGN, store=tmp_path / "s")
    (seen,) = run_status(tmp_path / "s")
    assert (seen.writer, seen.stored, seen.done, seen.wanted) == ("finished", 40, 28, 28)
    assert seen.seconds_left == 0.0


def test_lost_shards_are_named(tmp_path):
    sm.evaluate(lambda masks: masks.sum(axis=1), DESIGN, store=tmp_path, batch=4)
    first, second = sorted((tmp_path / "shards").iterdir())[:2]
    first.unlink()
    (seen,) = run_status(tmp_path)
    assert seen.damaged == (first.name,) and seen.stored == 36 and seen.missing == 4
    content = second.read_bytes()
    second.write_bytes(content[:-2])
    (seen,) = run_status(tmp_path)
    assert seen.damaged == (first.name, second.name) and seen.stored + seen.missing == 40
    (seen,) = run_status(tmp_path, verify=False)
    assert seen.damaged == (first.name,)
    with pytest.warns(UserWarning):
        sm.evaluate(lambda masks: masks.sum(axis=1), DESIGN, store=tmp_path)
    (seen,) = run_status(tmp_path)
    assert set(seen.lost) == {first.name, second.name} and seen.stored == 40
    assert seen.damaged == () and seen.missing == 0


def test_all_stores_of_a_run_are_shown_oldest_first(tmp_path):
    for name in ("masks", "check"):
        sm.evaluate(lambda masks: masks.sum(axis=1), DESIGN, store=tmp_path / name)
        time.sleep(0.02)
    assert [seen.folder.name for seen in run_status(tmp_path)] == ["masks", "check"]
    with pytest.raises(FileNotFoundError, match="holds no run store"):
        run_status(tmp_path / "none")


def test_the_command_prints_it(tmp_path, monkeypatch, capsys):
    from spex_mech import cli

    sm.evaluate(lambda masks: np.ones(len(masks)), DESIGN, store=tmp_path / "masks")
    monkeypatch.setattr(sys, "argv", ["spex-mech", "status", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    out = capsys.readouterr().out
    row = out.splitlines()[1].split()
    assert row[:8] == ["masks", "40", "of", "40", "40", "in", "1", "shard"]
    assert row[-2:] == ["local", "finished"]
