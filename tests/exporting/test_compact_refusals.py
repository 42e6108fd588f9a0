"""A compact export says why it cannot be made, and leaves nothing half-written."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

import spex_mech as sm
from spex_mech.core.errors import InputError


def exported(model, folder, *, spec="heads mlps", mode="compact", **options):
    players = sm.select_players(model, spec)
    mask = np.arange(players.n) > 0
    return sm.export(model, players, mask, folder, mode=mode, **options)


def test_what_cannot_be_cut_is_refused_with_the_reason_and_dense_as_the_way_out(tmp_path):
    config = transformers.BloomConfig(vocab_size=61, hidden_size=32, n_layer=2, n_head=4)
    model = sm.load_model(transformers.BloomForCausalLM(config))
    with pytest.raises(ValueError, match=r"only these architectures .* use mode='dense'"):
        exported(model, tmp_path / "out", spec="heads")
    cross = transformers.GPT2Config(
        vocab_size=61, n_embd=32, n_layer=2, n_head=4, add_cross_attention=True
    )
    model = sm.load_model(transformers.GPT2LMHeadModel(cross))
    with pytest.raises(ValueError, match="it has cross-attention; use mode='dense'"):
        exported(model, tmp_path / "out", spec="heads")
    assert list(tmp_path.iterdir()) == []


def test_a_replaced_projection_is_refused(tiny_llama, tmp_path):
    class Quantised(torch.nn.Linear):
        pass

    tiny_llama.hf.model.layers[1].self_attn.k_proj.__class__ = Quantised
    with pytest.raises(ValueError, match="a projection is a Quantised, not a plain linear map"):
        exported(tiny_llama, tmp_path / "out")


def test_a_checkpoint_of_a_later_version_is_refused(tiny_llama, tmp_path):
    folder = exported(tiny_llama, tmp_path / "out")
    path = folder / "config.json"
    config = json.loads(path.read_text()) | {"model_type": "compact_future"}
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="of kind 'compact_future'; this version of spex_mech"):
        sm.load_model(folder, tokenizer=object())


def test_a_taken_folder_and_a_wrong_wish_are_refused(tiny_llama, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes").touch()
    with pytest.raises(FileExistsError, match="taken exists; choose a new folder"):
        exported(tiny_llama, tmp_path / "taken")
    with pytest.raises(ValueError, match="even=True is for mode='compact'"):
        exported(tiny_llama, tmp_path / "new", mode="dense", even=True)
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_a_failing_save_leaves_nothing_behind(tiny_llama, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    monkeypatch.setattr(transformers.modeling_utils, "safe_save_file", fail)
    with pytest.raises(
        InputError, match=r"cannot write the checkpoint .*: disk full; nothing of it"
    ):
        exported(tiny_llama, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
