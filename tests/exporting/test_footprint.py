"""Measured costs: counts against closed forms, and which rounds are compared."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.exporting.export import compact_model
from spex_mech.exporting.footprint import Footprint, footprints, speedup

COST = Footprint(10, 40, None, 8.0, 1, 4, 2, (4.0, 9.0, 16.0), (2.0, 2.0, 2.0))


def test_counts_are_those_of_the_model_and_its_file(tiny_llama, tmp_path):
    players = sm.select_players(tiny_llama, "heads mlps")
    mask = np.array([p.layer != 1 or p.kind == "mlp" for p in players])
    folder = sm.export(tiny_llama, players, mask, tmp_path / "out", mode="compact")
    models = {"full": tiny_llama.hf, "small": compact_model(tiny_llama, players, mask)}
    found = footprints(
        models,
        seed=0,
        folders={"small": folder},
        batch=2,
        prompt_tokens=5,
        new_tokens=3,
        rounds=2,
    )
    assert list(found) == ["full", "small"]
    hidden, words, width = 32, 61, 8
    attention = hidden + hidden * width * (4 + 2 + 2 + 4)
    layer = attention + hidden + 3 * 48 * hidden
    assert found["full"].parameters == 3 * layer + hidden + 2 * words * hidden
    assert found["small"].parameters == found["full"].parameters - attention
    assert found["small"].weight_bytes == 4 * found["small"].parameters
    assert found["small"].file_bytes == (folder / "model.safetensors").stat().st_size
    assert found["full"].file_bytes is None
    # Keys and values of 2 heads, 4 bytes a number, in 3 layers and in 2.
    assert found["full"].kv_bytes_per_token == 3 * 2 * 2 * width * 4
    assert found["small"].kv_bytes_per_token == 2 * 2 * 2 * width * 4
    for cost in found.values():
        assert len(cost.prefill_seconds) == len(cost.decode_seconds) == 2
        assert min(cost.prefill_seconds + cost.decode_seconds) > 0
        assert cost.prefill_speed == 2 * 5 / np.median(cost.prefill_seconds)
        assert cost.decode_speed == 2 * 3 / np.median(cost.decode_seconds)


def test_tied_weights_count_once():
    hf = sm.load_model("embedded").hf
    found = footprints({"it": hf}, seed=0, prompt_tokens=3, new_tokens=1, rounds=2)["it"]
    unique = {p.data_ptr(): p.numel() for p in hf.parameters()}
    assert found.parameters == sum(unique.values())


def test_models_run_in_turns(tiny_llama):
    order = []

    def watch(name):
        def hook(module, args, kwargs):
            order.append((name, args[0].shape[1]))

        return hook

    models = {name: sm.load_model(tiny_llama.hf).hf for name in ("a",)}
    models["b"] = type(tiny_llama.hf)(tiny_llama.hf.config).eval()
    hooks = [
        hf.register_forward_pre_hook(watch(name), with_kwargs=True) for name, hf in models.items()
    ]
    ticks = itertools.count()
    found = footprints(
        models, seed=0, prompt_tokens=4, new_tokens=2, rounds=2, clock=lambda: float(next(ticks))
    )
    for hook in hooks:
        hook.remove()
    turn = [(name, width) for name in "ab" for width in (4, 1, 1)]
    assert order == 3 * turn  # one to warm up, two that count
    for cost in found.values():
        assert cost.prefill_seconds == cost.decode_seconds == (1.0, 1.0)
    assert next(ticks) == 4 * 2 * 3


def test_a_speedup_is_the_geometric_mean_of_paired_ratios():
    after = replace(COST, prefill_seconds=(2.0, 3.0, 4.0))
    prefill, decode = speedup(COST, after, seed=0)
    assert prefill.mean == pytest.approx((2 * 3 * 4) ** (1 / 3), rel=1e-12)
    assert 2 <= prefill.low < prefill.mean < prefill.high <= 4
    assert (decode.mean, decode.low, decode.high) == (1, 1, 1)
    with pytest.raises(ValueError, match="measure them together"):
        speedup(COST, replace(after, batch=2), seed=0)


def test_bad_requests_are_refused(tiny_llama, tmp_path):
    models = {"it": tiny_llama.hf}
    with pytest.raises(ValueError, match="expected two rounds or more"):
        footprints(models, seed=0, rounds=1)
    with pytest.raises(ValueError, match="60 \\+ 5 tokens do not fit the context of 'it', 64"):
        footprints(models, seed=0, prompt_tokens=60, new_tokens=5)
    with pytest.raises(ValueError, match=r"has no \*.safetensors"):
        footprints(models, seed=0, folders={"it": tmp_path})
    assert not torch.is_inference_mode_enabled()
