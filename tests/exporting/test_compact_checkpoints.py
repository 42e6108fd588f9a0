"""Compact checkpoints on disk: round trips, whose code runs, stock forms, refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
import transformers.dynamic_module_utils

import spex_mech as sm
from spex_mech.models import modeling_compact

IDS = torch.from_numpy(np.random.default_rng(0).integers(1, 61, (3, 9)))
# True = kept, for any of the tiny models: no two layers keep equally much.
UNEVEN = np.array([0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 1], dtype=bool)
GREEDY = {"max_new_tokens": 5, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
AUTO = transformers.AutoModelForCausalLM


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A place of its own for the code that Transformers takes from checkpoints."""
    where = tmp_path / "remote_code"
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(where))
    monkeypatch.syspath_prepend(str(where))
    before = {*sys.modules}
    yield where
    for name in {*sys.modules} - before:
        if name.split(".")[0] == "transformers_modules":
            del sys.modules[name]


def exported(model, folder, *, spec="heads mlps", mode="compact", **options):
    players = sm.select_players(model, spec)
    return sm.export(model, players, np.resize(UNEVEN, players.n), folder, mode=mode, **options)


def ours(folder, **options):
    """The checkpoint loaded with this package's own class, without a tokenizer."""
    return sm.load_model(folder, tokenizer=NoTokenizer(), **options).hf


class NoTokenizer:
    """Stands for a tokenizer where only token ids are used."""


def logits(hf):
    with torch.no_grad():
        return hf(IDS).logits


def test_a_round_trip_through_shards_keeps_the_logits_and_what_is_generated(tiny, tmp_path):
    dense = AUTO.from_pretrained(exported(tiny, tmp_path / "dense", mode="dense")).eval()
    folder = exported(tiny, tmp_path / "compact", max_shard_size="30KB")
    assert len([*folder.glob("model-*.safetensors")]) > 2
    small = ours(folder)
    assert type(small).__module__ == "spex_mech.models.modeling_compact"
    torch.testing.assert_close(logits(small), logits(dense), rtol=0, atol=1e-4)
    assert torch.equal(small.generate(IDS, **GREEDY), dense.generate(IDS, **GREEDY))

    def size(folder):
        return sum(path.stat().st_size for path in (tmp_path / folder).glob("*.safetensors"))

    assert size("compact") < size("dense")


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_folders_code_runs_only_when_trusted(tiny, tmp_path, remote):
    folder = exported(tiny, tmp_path / "out")
    code = folder / "modeling_compact.py"
    assert code.read_bytes() == Path(modeling_compact.__file__).read_bytes()
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        AUTO.from_pretrained(folder, trust_remote_code=False)
    theirs = AUTO.from_pretrained(folder, trust_remote_code=True).eval()
    assert type(theirs).__module__.startswith("transformers_modules.")
    assert torch.equal(logits(theirs), logits(ours(folder)))
    theirs.save_pretrained(tmp_path / "again")  # as after fine-tuning
    assert torch.equal(logits(ours(tmp_path / "again")), logits(theirs))
    assert (tmp_path / "again" / "modeling_compact.py").is_file()

    code.write_text("raise RuntimeError('the folder was run')\n")
    for trust_remote_code in (False, True):
        assert (
            type(ours(folder, trust_remote_code=trust_remote_code)).__module__
            == modeling_compact.__name__
        )
    config = json.loads((folder / "config.json").read_text())
    newer = {**config, "model_type": "compact_newer"}
    (folder / "config.json").write_text(json.dumps(newer))
    with pytest.raises(
        ValueError, match="of kind 'compact_newer'; this version of spex_mech loads"
    ):
        ours(folder)
    with pytest.raises(RuntimeError, match="the folder was run"):  # which the user asks for
        ours(folder, trust_remote_code=True)


def test_stock_classes_are_left_alone(tiny_llama, tmp_path):
    ours(exported(tiny_llama, tmp_path / "out"))
    stock = AUTO.from_config(tiny_llama.hf.config)
    assert type(stock) is transformers.LlamaForCausalLM
    assert "compact_llama" not in transformers.CONFIG_MAPPING


@pytest.mark.parametrize("family", ["gemma2", "gpt2", "qwen2"])
def test_bfloat16_holds_the_same_rounded_numbers_as_dense(tiny, tmp_path):
    torch.nn.Module.to(tiny.hf, torch.bfloat16)
    options = {"spec": "heads", "rescale": True}
    dense = exported(tiny, tmp_path / "dense", mode="dense", **options)
    compact = exported(tiny, tmp_path / "compact", **options)
    assert ours(compact).dtype == torch.bfloat16
    ours(compact).generate(IDS, **GREEDY)
    exact = AUTO.from_pretrained(dense, dtype=torch.float32).eval()
    torch.testing.assert_close(
        logits(ours(compact, dtype=torch.float32)), logits(exact), rtol=0, atol=1e-4
    )


def test_tied_embeddings_are_stored_once(tmp_path):
    model = sm.load_model("embedded")
    folder = exported(model, tmp_path / "out")
    names = safetensors.torch.load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in names
    loaded = sm.load_model(folder)
    assert loaded.hf.lm_head.weight is loaded.hf.model.embed_tokens.weight
    prompt = "Who is it?"
    assert loaded.tokenizer(prompt)["input_ids"] == model.tokenizer(prompt)["input_ids"]


def test_equal_layers_make_a_stock_checkpoint(tiny, tmp_path):
    """Head 0 of every key/value group stays in every layer; GPT-2 has no such stock form."""
    players = sm.select_players(tiny, "heads")
    size = tiny.shape.n_heads // tiny.shape.n_kv_heads
    mask = np.array([p.index % max(size, 2) == 0 for p in players])
    folder = sm.export(tiny, players, mask, tmp_path / "out", mode="compact")
    dense = sm.export(tiny, players, mask, tmp_path / "dense")
    if type(tiny.hf) is transformers.GPT2LMHeadModel:
        assert (folder / "modeling_compact.py").exists()
        return
    assert not (folder / "modeling_compact.py").exists()
    stock = AUTO.from_pretrained(folder, trust_remote_code=False).eval()
    assert type(stock) is type(tiny.hf)
    assert stock.config.num_attention_heads == mask.sum() // 3
    torch.testing.assert_close(
        logits(stock), logits(AUTO.from_pretrained(dense).eval()), rtol=0, atol=1e-4
    )
    assert sm.select_players(sm.load_model(stock), "heads").n == mask.sum()


@pytest.mark.parametrize("family", ["gemma2", "gpt2", "qwen2"])
def test_whole_layers_gone_leave_a_stock_checkpoint(tiny, tmp_path):
    players = sm.select_players(tiny, "layers")
    mask = np.array([True, False, True])
    stock = AUTO.from_pretrained(
        sm.export(tiny, players, mask, tmp_path / "out", mode="compact")
    ).eval()
    dense = AUTO.from_pretrained(sm.export(tiny, players, mask, tmp_path / "dense")).eval()
    assert type(stock) is type(tiny.hf) and stock.config.num_hidden_layers == 2
    torch.testing.assert_close(logits(stock), logits(dense), rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["gemma2", "gpt2", "llama", "qwen2"])
def test_even_makes_a_stock_checkpoint_of_unequal_layers(tiny, tmp_path):
    players = sm.select_players(tiny, "heads mlps")
    mask = np.array([p.kind == "head" and p.index <= p.layer - 1 for p in players])
    make = {"mode": "compact", "even": True}
    if type(tiny.hf) is transformers.GPT2LMHeadModel:
        with pytest.raises(ValueError, match="no head width of its own"):
            sm.export(tiny, players, mask, tmp_path / "out", **make)
        assert list(tmp_path.iterdir()) == []
        return
    stock = AUTO.from_pretrained(
        sm.export(tiny, players, mask, tmp_path / "out", **make), trust_remote_code=False
    ).eval()
    dense = AUTO.from_pretrained(sm.export(tiny, players, mask, tmp_path / "dense")).eval()
    torch.testing.assert_close(logits(stock), logits(dense), rtol=0, atol=1e-4)
    assert stock.num_parameters() < dense.num_parameters()


def test_a_compact_model_has_no_players_of_its_own(tiny_llama, tmp_path):
    folder = exported(tiny_llama, tmp_path / "out")
    loaded = sm.load_model(folder, tokenizer=NoTokenizer())
    assert "CompactLlamaForCausalLM, 3 layers of unequal size" in repr(loaded)
    with pytest.raises(ValueError, match="select players from the model that it was made from"):
        sm.select_players(loaded, "heads")
