from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.training_data import load_trainings


def made(m: int = 300, n: int = 10, t: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    masks = rng.random((m, n)) < 0.5
    margins = np.stack([masks[:, 1] * 3.0, 2.0 * masks[:, 0] * masks[:, 4]], axis=1)
    return masks, margins[:, :t]


def test_npy_files_go_straight_into_the_decoders(tmp_path: Path):
    masks, margins = made()
    np.save(tmp_path / "masks.npy", masks)
    np.save(tmp_path / "margins.npy", margins.astype(np.float16))
    found = load_trainings(tmp_path / "masks.npy", tmp_path / "margins.npy")
    spectrum = sm.decode(found.design, found.values(1), method="lasso", seed=0)
    pairs = sm.interactions(spectrum, "FBII", 2).joint(1)
    assert pairs[0][0] == (0, 4)
    assert pairs[0][1] == pytest.approx(2.0, abs=0.05)
    assert isinstance(found.masks, np.memmap)


@pytest.mark.parametrize("kind", ["bool", "uint8", "float"])
def test_masks_of_any_numbers(kind: str):
    masks, margins = made()
    found = load_trainings(masks.astype(kind), margins[:, 0])
    assert found.masks.dtype == np.bool_
    np.testing.assert_array_equal(found.masks, masks)
    assert found.margins.shape == (300, 1)


def test_packed_masks(tmp_path: Path):
    masks, margins = made()
    np.save(tmp_path / "packed.npy", np.packbits(masks, axis=1))
    found = load_trainings(tmp_path / "packed.npy", margins, players=10)
    np.testing.assert_array_equal(found.masks, masks)
    with pytest.raises(InputError, match="other values than 0 and 1"):
        load_trainings(tmp_path / "packed.npy", margins)


@pytest.mark.parametrize("fixed", [True, False])
def test_parquet(tmp_path: Path, fixed: bool):
    masks, margins = made()
    bools = pa.list_(pa.bool_(), 10) if fixed else pa.list_(pa.bool_())
    floats = pa.list_(pa.float32(), 2) if fixed else pa.large_list(pa.float64())
    table = pa.table(
        {"mask": pa.array(masks.tolist(), bools), "margins": pa.array(margins.tolist(), floats)}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    found = load_trainings(tmp_path / "t.parquet", players=[f"p{i}" for i in range(10)])
    np.testing.assert_array_equal(found.masks, masks)
    np.testing.assert_array_equal(found.margins, margins)
    assert found.players.names[3] == "p3"


def test_parquet_of_single_values_and_ragged_lists(tmp_path: Path):
    masks, margins = made()
    pq.write_table(
        pa.table({"mask": masks.tolist(), "margins": margins[:, 0]}), tmp_path / "one.parquet"
    )
    assert load_trainings(tmp_path / "one.parquet").margins.shape == (300, 1)
    pq.write_table(
        pa.table({"mask": [[True], [True, False]], "margins": [1.0, 2.0]}), tmp_path / "r.parquet"
    )
    with pytest.raises(InputError, match="of 2 lengths"):
        load_trainings(tmp_path / "r.parquet")
    pq.write_table(pa.table({"subset": [[True]]}), tmp_path / "c.parquet")
    with pytest.raises(InputError, match="columns subset, expected one called 'mask'"):
        load_trainings(tmp_path / "c.parquet")


def test_masks_and_margins_of_different_lengths():
    masks, margins = made()
    with pytest.raises(InputError, match=r"masks of 300 trainings .* margins of 299"):
        load_trainings(masks, margins[:-1])


def test_nothing_is_unpickled(tmp_path: Path):
    masks, margins = made()
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="nothing is unpickled"):
        load_trainings(tmp_path / "objects.npy", margins)
    (tmp_path / "margins.pkl").write_bytes(b"")
    with pytest.raises(InputError, match=r"\.pkl file, expected \.npy or \.parquet"):
        load_trainings(masks, tmp_path / "margins.pkl")


def test_other_bad_input(tmp_path: Path):
    masks, margins = made()
    with pytest.raises(MissingFileError, match="is not there"):
        load_trainings(tmp_path / "no.npy", margins)
    with pytest.raises(InputError, match="margins is missing"):
        load_trainings(masks)
    with pytest.raises(InputError, match="10 players wide, expected 11"):
        load_trainings(masks, margins, players=11)
    with pytest.raises(InputError, match="3 point classes for 2"):
        load_trainings(masks, margins, point_classes=["a", "b", "c"])
    (tmp_path / "bad.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match="no Parquet file"):
        load_trainings(tmp_path / "bad.parquet")
    with pytest.raises(InputError, match="expected numbers"):
        load_trainings(masks, np.array([["a"]] * 300))


def test_a_value_that_is_not_finite_is_named_when_it_is_used():
    masks, margins = made()
    margins[7, 1] = np.nan
    found = load_trainings(masks, margins)
    assert len(found.values(0)) == 300
    with pytest.raises(InputError, match="training 7 has nan at test point 1"):
        found.values(1)
    rest = found.take(np.arange(300) != 7)
    assert len(rest.values(1)) == 299
    with pytest.raises(InputError, match="test point 2 of 2"):
        found.values(2)
