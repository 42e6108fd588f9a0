"""What a plan says of bytes and of several workers."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.evaluation.store.shards import Rows, to_bytes
from spex_mech.run.plan import Phase, bytes_per_mask


def test_bytes_are_those_of_the_stored_columns(tiny_llama):
    rng = np.random.default_rng(0)
    task = sm.TokenTask(rng.integers(1, 61, (3, 7)), answers=rng.integers(1, 61, (3, 4)))
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama, "heads"))
    masks = sm.designs.exhaustive(12).masks
    scores = np.repeat(game.scores(masks[:1]), 4096, axis=0)
    one, all_ = (len(to_bytes(Rows(masks[:m], np.zeros(m), scores[:m]))) for m in (1, 4096))
    assert 1 <= (all_ - one) / 4095 / bytes_per_mask(game) < 1.05  # and lists' levels, pages' heads
    sequences = sm.TokenTask(rng.integers(1, 61, (3, 7)))
    plain = sm.TaskGame(tiny_llama, sequences, sm.select_players(tiny_llama, "heads"))
    assert bytes_per_mask(plain) == 2 + 8 + 4 * 3


@pytest.mark.parametrize(
    ("workers", "seconds"),
    [(1, 100.0), (2, 50.0), (4, 30.0), (10, 10.0), (99, 10.0)],
)
def test_workers_share_whole_batches(workers, seconds):
    phase = Phase("design", masks=100, rows=0, tokens=0, seconds=100.0, size=0, batch=10)
    assert phase.seconds_with(workers) == pytest.approx(seconds)


def test_few_masks_gain_nothing_from_workers():
    assert Phase("test", 3, 0, 0, 6.0, 0, 64).seconds_with(8) == 6.0


def test_every_worker_prepares_for_itself():
    assert Phase("preparation", 0, 0, 0, 7.0, 0, 1).seconds_with(8) == 7.0
