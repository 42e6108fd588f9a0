"""analyses/data_attribution/cifar10: the smallest setting runs on images made here, and counts right."""

from __future__ import annotations

import csv
import json
import runpy
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import spex_mech as sm
from spex_mech import training_data as td

FOLDER = Path(__file__).parents[2] / "analyses" / "data_attribution" / "cifar10"
OWN = ("images", "job", "pairs", "choices", "scoring", "peers", "table_rows")
PARTS = ("train", "noise", "decode", "pairs", "selection", "figures", "table")


@pytest.fixture
def fresh(monkeypatch):
    """The scripts' modules, not others of the same names that another analysis has imported."""
    for name in OWN:
        monkeypatch.delitem(sys.modules, name, raising=False)
    folders = (FOLDER, FOLDER.parent, FOLDER.parents[1])
    monkeypatch.setattr(sys, "path", [*map(str, folders), *sys.path])
    return monkeypatch


@pytest.fixture
def file(tmp_path) -> Path:
    """Images of ten classes, each a colour of its own under noise."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (10, 1, 1, 3))
    arrays = {"classes": np.array([f"class {c}" for c in range(10)])}
    for part, count in (("train", 40), ("test", 30)):
        labels = np.arange(count) % 10
        noise = rng.normal(scale=40, size=(count, 32, 32, 3))
        arrays[f"{part}_images"] = np.clip(colours[labels] + noise, 0, 255).astype(np.uint8)
        arrays[f"{part}_labels"] = labels
    path = tmp_path / "images.npz"
    np.savez(path, **arrays)
    return path


def test_the_smallest_setting_runs_and_goes_on(fresh, file, tmp_path):
    options = ["--smallest", "--data", str(file), "--out", str(tmp_path / "runs")]
    results = tmp_path / "results"
    fresh.setattr(sys, "argv", ["run.py", *PARTS, *options, "--results", str(results)])
    runpy.run_path(str(FOLDER / "run.py"), run_name="__main__")
    found = json.loads((results / "networks.json").read_text())
    assert (found["players"], found["retrainings"]) == (20, 64)
    assert json.loads((results / "noise.json").read_text())["masks with two seeds"] == 16
    with (results / "decode.csv").open(newline="") as rows:
        assert len(list(csv.DictReader(rows))) == 3 * 3  # points, methods
    with (results / "selection.csv").open(newline="") as rows:
        assert len(list(csv.DictReader(rows))) == 5 * 2 * 7  # draws, sizes, methods
    assert all((results / f"{name}.png").stat().st_size > 5000 for name in ("joint", "selection"))
    before = {path.name: path.read_bytes() for path in results.glob("*.[cjm]*")}

    def again(*_):
        raise AssertionError("trained again")

    # what is stored is not trained again; pairs and selection train one network on all images
    fresh.setattr(td.TorchTrainer, "outputs", again)
    fresh.setattr(sys, "argv", ["run.py", *PARTS[:4], *options, "--results", str(results)])
    runpy.run_path(str(FOLDER / "run.py"), run_name="__main__")
    assert {path.name: path.read_bytes() for path in results.glob("*.[cjm]*")} == before


def test_images_are_the_first_of_every_class_averaged(fresh, file):
    import images

    arrays = images.read(file)
    setting = images.Setting(players=20, points=10, side=16)
    train, test = images.choose(arrays, setting)
    assert (np.bincount(train.labels) == 2).all() and (np.bincount(test.labels) == 1).all()
    assert train.inputs.shape == (20, 3, 16, 16)
    corner = arrays["train_images"][3, 4:6, 6:8].mean(axis=(0, 1)) / 255
    np.testing.assert_allclose(train.inputs[3, :, 2, 3], corner, atol=1e-6)
    whole, _ = images.choose(arrays, setting, side=32)
    np.testing.assert_allclose(
        whole.inputs[3, :, 9, 5], arrays["train_images"][3, 9, 5] / 255, atol=1e-6
    )


def test_the_hub_gives_what_a_file_gives(fresh, file):
    import images

    arrays = images.read(file)

    class Rows(dict):
        def __init__(self, part: str) -> None:
            labels = arrays[f"{part}_labels"].tolist()
            super().__init__(img=list(arrays[f"{part}_images"]), label=labels)
            names = types.SimpleNamespace(names=arrays["classes"].tolist())
            self.features = {"label": names}

    hub = {part: Rows(part) for part in ("train", "test")}
    fresh.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=lambda name: hub))
    found = images.download()
    assert found.keys() == arrays.keys()
    for name, wanted in arrays.items():
        np.testing.assert_array_equal(found[name], wanted)


def test_a_pair_s_joint_value_is_its_second_difference(fresh):
    import pairs

    masks = np.array([[bool(i >> k & 1) for k in range(4)] for i in range(16)])
    x = masks.astype(float)
    values = x[:, 0] + 2 * x[:, 1] + 3 * x[:, 0] * x[:, 1] - x[:, 2] * x[:, 3]
    found = pairs.all_joint(masks, values)
    wanted = np.zeros((4, 4))
    wanted[0, 1], wanted[2, 3] = 3.0, -1.0
    np.testing.assert_allclose(np.triu(found, 1), wanted, atol=1e-12)


def test_joint_values_are_averaged_by_class(fresh):
    import pairs

    labels = np.array([0, 0, 0, 1, 1, 2])
    apart = np.arange(36.0).reshape(6, 6)
    every = pairs.Pairs(labels[:, None] != labels, labels, apart, apart)
    joint = np.zeros((6, 6))
    joint[0, 1], joint[0, 2], joint[1, 2] = 1.0, 2.0, 6.0  # both of class 0; features 1, 2, 8
    joint[0, 3], joint[3, 4], joint[4, 5] = 9.0, 5.0, 4.0
    found = list(pairs.means_by_class(joint, 0, every).values())
    assert found == pytest.approx([3.0, 1.0, 6.0, 1.0, 5.0, 2.0])


def test_kept_pairs_are_those_of_the_decoder(fresh, file, tmp_path):
    space = runpy.run_path(str(FOLDER / "run.py"), run_name="cifar10")
    rng = np.random.default_rng(1)
    supports = [(), *((i,) for i in range(6)), (0, 1), (2, 4), (1, 2, 5)]
    spectrum = sm.Spectrum.from_supports(supports, rng.normal(size=len(supports)), 6)
    setting = space["images"].Setting(players=6)
    job = space["Job"](setting, file, tmp_path, tmp_path)
    space["keep_pairs"](job, spectrum, "auto", 7)
    with np.load(job.spectrum_path("auto", 7)) as kept:
        found = sm.Spectrum(kept["words"], kept["coefficients"], 6)
    for index, order in (("Banzhaf", 1), ("FBII", 2)):
        wanted = sm.interactions(spectrum, index, order).joint(99)
        assert dict(sm.interactions(found, index, order).joint(99)) == pytest.approx(dict(wanted))
    effects = sm.interactions(spectrum, "Banzhaf", 1).values
    assert sm.interactions(found, "Banzhaf", 1).values == pytest.approx(effects)


def test_distances_are_compared_with_pairs_of_their_kind(fresh):
    import pairs

    labels = np.array([0, 0, 1, 1])
    places = np.array([[0.0], [1.0], [4.0], [7.0]])
    apart = np.abs(places - places.T)
    every = pairs.Pairs(labels[:, None] != labels, labels, apart, 2 * apart)
    assert every.of_random("pixels", cross=False) == pytest.approx((1 + 3) / 2)
    assert every.of_random("features", cross=True) == pytest.approx(2 * (4 + 7 + 3 + 6) / 4)
    assert every.beyond("pixels", 0, 1) == pytest.approx(1 / 2)
    assert every.beyond("features", 1, 2) == pytest.approx(3 / 5)
    rows = [
        {"method": "auto", "point": str(p), "kind": kind, "joint": "1", "retrained": "0",
         "cross": "1", "of_class": "0", "pixels": "2", "pixels_beyond": "1", "features": "2",
         "features_beyond": "1"}
        for p in range(3) for kind in pairs.KINDS
    ]  # fmt: skip
    lines = pairs.table(rows, every)
    # 4 of 6 cross classes, and all but one have an image of class 0
    assert "| all pairs | 0.67 | 0.83 | 4.00 |" in lines[-2]
    assert "| all pairs of one class | 0.00 | 0.50 |" in lines[-1]
