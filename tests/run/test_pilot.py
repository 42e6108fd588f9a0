"""A run's pilot: its keep rates are written once, and every later step reads them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.report import write_report
from spex_mech.run.decode import decode_folder
from spex_mech.run.opening import claim
from spex_mech.run.setup import prepare
from spex_mech.run.spec_file import read_spec
from spex_mech.run.steps import decode_step, evaluate_step

SETTINGS = [
    "game.examples=4", "design.budget=100", "design.check=12", "decode.method=lasso",
    "circuit.subsets=0",
]  # fmt: skip


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    setup = prepare(read_spec(None, SETTINGS))
    folder = claim(tmp_path_factory.mktemp("runs") / "run", setup.spec)
    return setup, folder, evaluate_step(setup, folder)


def test_masks_are_drawn_at_the_keep_rates_that_were_written(evaluated):
    setup, folder, (searched, checked) = evaluated
    low, high = folder.keep_rate()
    assert setup.spec.design.keep_rate == "auto"
    # the answers of 100 masks with 4 questions: 5 masks with 4, and others with 1 or 2
    assert len(searched.design) == 5 + 316 and len(searched.answers) == 20 + 316 + 64
    present = searched.masks.mean(axis=1)
    assert present[:2].tolist() == [1.0, 0.0]
    assert present[5:].mean() == pytest.approx((low + high) / 2, abs=0.03)
    assert checked.masks.mean() == pytest.approx((low + high) / 2, abs=0.06)
    again, _ = evaluate_step(setup, folder)
    assert again.evaluated == 0
    np.testing.assert_array_equal(again.masks, searched.masks)


def test_later_steps_read_them(evaluated, undrawn):
    setup, folder, (searched, _) = evaluated
    decoded = decode_step(folder)
    np.testing.assert_array_equal(decoded.design.masks, searched.masks)
    page = write_report(folder).read_text()
    assert "found by a pilot of 5 masks" in page
    assert "saw values move" in page
    pilot = folder.path / "pilot.json"
    content = pilot.read_text()
    try:
        pilot.write_text(json.dumps({**json.loads(content), "keep_rate": [0.9, 0.2]}))
        with pytest.raises(InputError, match=r"pilot\.json is not what this version writes"):
            decode_folder(folder)
        pilot.unlink()
        with pytest.raises(MissingFileError, match=r"no pilot\.json yet; spex-mech evaluate"):
            decode_folder(folder)
        evaluate_step(setup, folder)  # reads the stored values, and writes the same file
    finally:
        rewritten = pilot.read_text() if pilot.exists() else None
        pilot.write_text(content)
    assert rewritten == content
