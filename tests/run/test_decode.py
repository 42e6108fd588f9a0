"""Decoding from stores, and the interval of R²."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.run.decode import decode_folder, decode_store, save_decoded
from spex_mech.run.designs import check_design, search_design
from spex_mech.run.opening import claim
from spex_mech.run.spec import DecodeSpec, InteractionsSpec
from spex_mech.run.spec_file import with_settings


def spec(*settings):
    usual = [
        "design.budget=60",
        "design.keep_rate=0.5",
        "design.check=20",
        "decode.method=walsh_gp",
    ]
    return with_settings({}, [*usual, *settings])


class Game:
    players = sm.PlayerSet.from_names(f"p{i}" for i in range(8))
    fingerprint = "game"

    def __init__(self, scale: float = 1.0):
        self.scale = scale

    def __call__(self, masks):
        x = masks.astype(float)
        return self.scale * (2 * x[:, 0] * x[:, 3] - x[:, 5] + 0.5 * x[:, 6])


def evaluated(folder, game=None):
    for design, store in (
        (search_design(folder.spec.design, 8), folder.masks),
        (check_design(folder.spec.design, 8), folder.check),
    ):
        if design is not None:
            sm.evaluate(game or Game(), design, store=store, progress=False)
    return folder


def test_a_folder_is_decoded_as_its_masks_in_memory_are(tmp_path):
    folder = evaluated(claim(tmp_path / "run", spec()))
    decoded = decode_folder(folder)
    design = search_design(folder.spec.design, 8)
    direct = sm.decode(design, Game()(design.masks), method="walsh_gp", seed=0)
    assert decoded.spectrum.top(50) == direct.top(50)
    check = check_design(folder.spec.design, 8)
    assert check is not None and decoded.held_out is not None
    np.testing.assert_array_equal(decoded.held_out.measured, Game()(check.masks))
    np.testing.assert_allclose(decoded.held_out.predicted, direct(check.masks))
    assert decoded.interactions.joint(1)[0][0] == (0, 3)


def test_more_masks_in_the_store_change_nothing(tmp_path):
    """Pruning evaluates into the same store; what is decoded are the design's masks."""
    folder = evaluated(claim(tmp_path / "run", spec()))
    before = decode_folder(folder).spectrum.top(50)
    sm.evaluate(Game(), sm.designs.uniform(8, 30, seed=9), store=folder.masks, progress=False)
    assert decode_folder(folder).spectrum.top(50) == before
    everything = decode_store(folder.masks, settings=DecodeSpec(method="walsh_gp"))
    assert len(everything.design) > 60


def test_part_of_a_design_is_its_first_masks(tmp_path):
    folder = evaluated(claim(tmp_path / "run", spec("design.first=30")))
    assert len(decode_folder(folder).design) == 30
    whole, part = search_design(spec().design, 8), decode_folder(folder).design
    np.testing.assert_array_equal(part.masks, whole.masks[:30])


def test_equal_held_out_values_have_no_r2(tmp_path):
    folder = evaluated(claim(tmp_path / "run", spec()), Game(0.0))
    decoded = decode_folder(folder)
    assert decoded.held_out is None
    save_decoded(decoded, folder)
    assert not folder.has("check.json") and folder.has("spectrum.json")


def test_held_out_masks_that_cannot_be_read_are_told_before_the_decoder_runs(tmp_path, monkeypatch):
    folder = evaluated(claim(tmp_path / "run", spec()))
    shutil.rmtree(folder.check)
    monkeypatch.setattr(
        "spex_mech.run.decode.decode", lambda *a, **k: pytest.fail("decoded for nothing")
    )
    with pytest.raises(sm.InputError, match=r"check.* is no run store"):
        decode_folder(folder)


def test_what_is_saved_says_how_it_was_found(tmp_path):
    folder = evaluated(claim(tmp_path / "run", spec("interactions.index=FSII")))
    save_decoded(decode_folder(folder), folder)
    saved = folder.load("spectrum.json")
    assert saved["settings"]["masks"] == 60 and saved["settings"]["method"] == "walsh_gp"
    assert saved["info"]["method"] == "walsh_gp" and 0 < saved["info"]["r2_cv"] <= 1
    assert folder.load("interactions.json")["index"] == "FSII"
    assert len(folder.load("interactions.json")["std"]) == len(
        folder.load("interactions.json")["values"]
    )


def test_unfinished_evaluations_are_refused_with_both_ways_on(tmp_path):
    folder = claim(tmp_path / "run", spec())
    design = search_design(folder.spec.design, 8)
    part = sm.MaskDesign(design.masks[:20], seed=0)
    sm.evaluate(Game(), part, store=folder.masks, progress=False)
    with pytest.raises(sm.InputError, match=r"not finished.*spex-mech evaluate.*spex-mech decode"):
        decode_folder(folder)
    assert len(decode_store(folder.masks, settings=DecodeSpec(method="lasso")).design) <= 20


def test_other_readings_of_a_store(tmp_path):
    folder = evaluated(claim(tmp_path / "run", spec()))
    decoded = decode_store(
        folder.masks,
        settings=DecodeSpec(method="lasso", seed=2),
        index=InteractionsSpec(index="Shapley", order=1),
    )
    assert decoded.interactions.index == "Shapley" and decoded.held_out is None
    with pytest.raises(sm.InputError, match="has no intact examples"):
        decode_store(folder.masks, metric="accuracy")
