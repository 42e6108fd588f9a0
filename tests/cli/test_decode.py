"""`spex-mech decode`: other metrics, decoders and questions from what is stored."""

from __future__ import annotations

import json

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.evaluation.stored_answers import every_answer
from spex_mech.run.opening import open_folder


def test_another_metric_and_decoder_from_the_store_alone(ask, job, tmp_path):
    folder, _ = job
    chosen = np.array([0, 1, 2, 3, 4, 6])
    every = every_answer(sm.open_run(folder / "masks").with_metric("accuracy", examples=chosen))
    options = ("--metric", "accuracy", "--method", "lasso", "--seed", "3", "--questions", "0-4,6")
    out = ask(
        "decode", folder / "masks", *options, "--index", "Shapley", "--order", 1, "--out", tmp_path
    )
    assert "no interaction of two or more players (Shapley)" in out
    saved = json.loads((tmp_path / "spectrum.json").read_text())
    assert saved["settings"] == {
        "store": "masks",
        "metric": "accuracy",
        "questions": [0, 1, 2, 3, 4, 6],
        "masks": len(every.masks),
        "answers": len(every.answers),
        "method": "lasso",
        "seed": 3,
    }
    again = sm.decode(every.design, every, method="lasso", seed=3)
    expected = [[[saved["players"][i] for i in s], c] for s, c in again.top(99, include_empty=True)]
    assert saved["terms"] == expected


def test_another_spectrum_of_a_run_goes_elsewhere_once_kept_sets_follow_from_it(
    ask, copy, tmp_path
):
    before = (copy / "spectrum.json").read_text()
    with pytest.raises(InputError, match="holds kept sets that follow from its present spectrum"):
        ask("decode", copy, "--method", "lasso")
    assert (copy / "spectrum.json").read_text() == before
    ask("decode", copy, "--method", "lasso", "--out", tmp_path / "other")
    assert (
        json.loads((tmp_path / "other" / "spectrum.json").read_text())["settings"]["method"]
        == "lasso"
    )
    assert open_folder(copy).spec.decode.method == "auto"
    (copy / "kept.json").unlink()
    ask("decode", copy, "--method", "lasso")
    assert open_folder(copy).spec.decode.method == "lasso"
