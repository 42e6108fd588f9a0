"""Runs that ask each mask some questions are killed as processes, and end with the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

import spex_mech as sm
from spex_mech.evaluation.executors import LocalExecutor
from spex_mech.run.rounds import ROUNDS, rounds_from_json
from tests.evaluation.sparse_runs import asked, go_on
from tests.shared.quiz import Quiz

# Workers do not have the tests' folder: what is defined here travels with the game.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
ROOT = Path(__file__).parents[2]


def started(folder: Path, workers: int, last: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.evaluation.sparse_runs", folder, workers, last]
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def unstopped(tmp_path_factory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("unstopped")
    return go_on(folder / "run", folder / "log", 1, 0), folder


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
@pytest.mark.parametrize("workers, after", [((1, 2), 1), ((2, 1), 2)])
def test_a_run_in_rounds_that_is_killed_goes_on_to_the_same_bytes(
    workers, after, unstopped, tmp_path
):
    digest, whole = unstopped
    batches = len(list((whole / "log").iterdir()))
    for count, part in zip(workers, (0.25, 0.75), strict=True):  # in an early and in a later round
        died = started(tmp_path, count, int(part * batches))
        assert died.returncode == -signal.SIGKILL, died.stderr
    assert go_on(tmp_path / "run", tmp_path / "log", after, 0) == digest
    # What was stored is not asked again: a kill loses at most a batch of each worker, and what a worker
    # had not handed over yet.
    assert set(asked(tmp_path / "log")) == set(asked(whole / "log"))
    again = len(asked(tmp_path / "log")) - len(asked(whole / "log"))
    assert 0 <= again < len(asked(whole / "log")) // 2


def test_rounds_that_are_recorded_are_not_taken_again(unstopped, tmp_path):
    digest, whole = unstopped
    before = len(list((whole / "log").iterdir()))
    content = (whole / "run" / ROUNDS).read_text()
    assert go_on(whole / "run", whole / "log", 1, 0) == digest
    assert len(list((whole / "log").iterdir())) == before
    record = rounds_from_json(json.loads(content))
    assert [found.masks for found in record.rounds] == sorted({f.masks for f in record.rounds})
    assert record.message is not None and "below the target 0.999" in record.message


class Fatal(Quiz):
    """Kills the worker that first reaches a mask."""

    def __init__(self, folder: Path, mask: np.ndarray) -> None:
        super().__init__(12, 8, seed=2)
        self.folder, self.mask, self.home = folder, mask, os.getpid()

    def asked_scores(self, masks, questions):
        reached = len(masks) and (masks == self.mask).all(axis=1).any()
        if reached and os.getpid() != self.home and not (self.folder / "killed").exists():
            (self.folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().asked_scores(masks, questions)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_killed_is_replaced_and_the_bytes_are_the_same(workers, tmp_path):
    design = sm.designs.uniform(12, 60, seed=0)
    counts = np.where(np.arange(60) % 5 == 0, 2, 1)
    game = Fatal(tmp_path, design.masks[31])
    run = sm.evaluate(
        game, design, questions=counts, store=tmp_path / "s", batch=1,
        executor=LocalExecutor(workers=workers),
    )  # fmt: skip
    assert (tmp_path / "killed").exists() == (workers > 1)
    alone = sm.evaluate(Quiz(12, 8, seed=2), design, questions=counts, batch=1)
    assert run.answers.values.tobytes() == alone.answers.values.tobytes()
    again = sm.evaluate(game, design, questions=counts, store=tmp_path / "s")
    assert again.evaluated == 0 and again.scores.tobytes() == run.scores.tobytes()
