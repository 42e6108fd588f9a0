"""Transformers and vLLM learn the classes of compact checkpoints, and only when they are told."""

from __future__ import annotations

import sys
import tomllib
import types
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from registered import forget_afterwards
from tiny_decoders import tiny_decoder

import spex_mech as sm
from spex_mech.models.modeling_compact import FAMILIES

IDS = torch.from_numpy(np.random.default_rng(0).integers(3, 61, (2, 7)))


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """What a test registers is forgotten afterwards."""
    forget_afterwards(monkeypatch)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gpt2"])
def test_auto_classes_load_a_compact_checkpoint_without_its_code(kind, tmp_path):
    model = sm.load_model(tiny_decoder(kind))
    players = sm.select_players(model)
    mask = np.array([1, 0, 1, 1, 0, 1, 0, 0], dtype=bool)
    folder = sm.export(model, players, mask, tmp_path / "out", mode="compact")
    with pytest.raises(ValueError, match="trust_remote_code"):
        transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False)
    (folder / "modeling_compact.py").write_text("raise RuntimeError('the folder was run')\n")
    sm.register_compact()
    sm.register_compact()
    ours = sm.load_model(folder, tokenizer=object()).hf
    auto = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    assert type(auto) is type(ours) is FAMILIES[type(model.hf)]
    body = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        assert torch.equal(auto(IDS).logits, ours(IDS).logits)
        hidden = ours.base_model(IDS).last_hidden_state
        assert torch.equal(body(IDS).last_hidden_state, hidden)
    stock = transformers.AutoModelForCausalLM.from_config(model.hf.config)
    assert type(stock) is type(model.hf)


def test_vllm_is_told_of_every_class_by_the_entry_point(monkeypatch):
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    (target,) = tomllib.loads(text)["project"]["entry-points"]["vllm.general_plugins"].values()
    told = {}
    vllm = types.ModuleType("vllm")
    vllm.ModelRegistry = types.SimpleNamespace(register_model=told.__setitem__)
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    module, function = target.split(":")
    getattr(import_module(module), function)()
    assert {*told} == {compact.__name__ for compact in FAMILIES.values()}
    (served,) = {*told.values()}
    home, name = served.split(":")
    source = Path(__file__).parents[2] / f"{home.replace('.', '/')}.py"
    assert f"class {name}(TransformersForCausalLM)" in source.read_text(encoding="utf-8")
    assert "compact_llama" in transformers.CONFIG_MAPPING
