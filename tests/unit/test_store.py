"""The run store: committed rows survive, damage is noticed, keys are compared."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.store import RunStore

KEY = {"weights": "abc", "ablation": "zero"}
MASKS = np.random.default_rng(0).random((6, 11)) < 0.5
VALUES = np.arange(6.0)
SCORES = np.random.default_rng(1).normal(size=(6, 3, 4)).astype(np.float32)


def fill(folder) -> None:
    with RunStore(folder, KEY, 11) as store:
        store.append(MASKS[:4], VALUES[:4], SCORES[:4])
        store.append(MASKS[4:], VALUES[4:], SCORES[4:])


def test_rows_come_back_as_they_went_in(tmp_path):
    fill(tmp_path / "s")
    with RunStore(tmp_path / "s", KEY, 11) as store:
        masks, values, scores = store.read()
    np.testing.assert_array_equal(masks, MASKS)
    np.testing.assert_array_equal(values, VALUES)
    np.testing.assert_array_equal(scores, SCORES)


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_shard_is_set_aside(tmp_path, damage):
    fill(tmp_path / "s")
    shard = min((tmp_path / "s" / "shards").glob("*.parquet"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content if damage == "flip" else content[:-1])
    with RunStore(tmp_path / "s", KEY, 11) as store:
        with pytest.warns(UserWarning, match="00000-.* is damaged; it was set aside"):
            masks, values, _ = store.read()
    np.testing.assert_array_equal(masks, MASKS[4:])
    np.testing.assert_array_equal(values, VALUES[4:])
    assert shard.with_suffix(".damaged").exists() and not shard.exists()


def test_another_key_is_refused_by_the_field_that_differs(tmp_path):
    fill(tmp_path / "s")
    with pytest.raises(ValueError, match="another ablation: it has 'zero', this run has 'mean'"):
        RunStore(tmp_path / "s", {**KEY, "ablation": "mean"}, 11)
    with pytest.raises(
        ValueError, match="another number of players: it has '11', this run has '12'"
    ):
        RunStore(tmp_path / "s", KEY, 12)


def test_a_second_writer_is_told(tmp_path):
    with RunStore(tmp_path / "s", KEY, 11):
        with pytest.raises(ValueError, match="being written by another process"):
            RunStore(tmp_path / "s", KEY, 11)
    with RunStore(tmp_path / "s", KEY, 11):
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="not a run store and not empty"):
        RunStore(tmp_path, KEY, 11)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_failed_write_leaves_no_part(tmp_path, monkeypatch):
    fill(tmp_path / "s")
    before = sorted(p.name for p in (tmp_path / "s" / "shards").iterdir())

    def full(fd):
        raise OSError("no space left on device")

    with RunStore(tmp_path / "s", KEY, 11) as store:
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="no space left"):
            store.append(MASKS, VALUES, SCORES)
    assert sorted(p.name for p in (tmp_path / "s" / "shards").iterdir()) == before
