"""Loading models from folders and objects, and refusing what cannot be used."""

from __future__ import annotations

import json

import pytest
import tokenizers
import torch
import transformers

import spex_mech as sm
from spex_mech.core.errors import InputError


@pytest.fixture
def hf(tiny_llama):
    return tiny_llama.hf


def save_tokenizer(folder) -> None:
    words = {"[PAD]": 0, "[UNK]": 1, "A": 2, "B": 3}
    level = tokenizers.models.WordLevel(words, unk_token="[UNK]")
    fast = tokenizers.Tokenizer(level)
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)


def test_a_folder_loads_with_its_weights_and_tokenizer(hf, tmp_path):
    hf.save_pretrained(tmp_path / "m")
    save_tokenizer(tmp_path / "m")
    model = sm.load_model(tmp_path / "m", device="cpu")
    assert model.tokenizer("A B")["input_ids"] == [2, 3]
    assert (model.shape.n_layers, model.shape.n_heads, model.shape.n_kv_heads) == (3, 4, 2)
    assert model.fingerprint == sm.load_model(hf).fingerprint
    assert model.context == 64


def test_the_fingerprint_follows_every_weight(hf):
    before = sm.load_model(hf).fingerprint
    with torch.no_grad():
        hf.model.layers[2].mlp.down_proj.weight[0, 0] += 1e-3
    assert sm.load_model(hf).fingerprint != before
    assert sm.load_model(hf.to(torch.bfloat16)).fingerprint != before


def test_the_bridge_shares_weights_and_leaves_the_model_alone(tiny):
    ids = torch.arange(8)[None]
    with torch.no_grad():
        before = tiny.hf(ids).logits
        modules = [type(m) for m in tiny.hf.modules()]
        bridged = tiny.bridge(ids)
        after = tiny.hf(ids).logits
    assert [type(m) for m in tiny.hf.modules()] == modules
    torch.testing.assert_close(before, after, rtol=0, atol=0)
    torch.testing.assert_close(bridged, before, rtol=0, atol=1e-5)
    own = {p.data_ptr() for p in tiny.hf.parameters()}
    for block in tiny.bridge.blocks:
        assert block.attn.o.original_component.weight.data_ptr() in own
        assert block.mlp.out.original_component.weight.data_ptr() in own


def test_a_missing_folder():
    with pytest.raises(FileNotFoundError, match=r"'\./nowhere' does not exist"):
        sm.load_model("./nowhere")


def test_a_folder_without_config(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        sm.load_model(tmp_path)


def test_a_folder_without_weights(hf, tmp_path):
    hf.config.save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    torch.save(hf.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"no weights .* pickled \.bin files are not read"):
        sm.load_model(tmp_path)


def test_a_folder_without_tokenizer(hf, tmp_path):
    hf.save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="no tokenizer; save one there"):
        sm.load_model(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        transformers.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2),
        transformers.T5Config(d_model=16, d_kv=8, num_layers=1, num_heads=2),
    ],
)
def test_models_that_are_not_decoder_only(config, tmp_path):
    architecture = {"bert": "BertForMaskedLM", "t5": "T5ForConditionalGeneration"}[
        config.model_type
    ]
    config.architectures = [architecture]
    config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    save_tokenizer(tmp_path)
    with pytest.raises(ValueError, match=f"{architecture}, expected a decoder-only"):
        sm.load_model(tmp_path)
    with pytest.raises(ValueError, match="expected a decoder-only"):
        sm.load_model(getattr(transformers, architecture)(config))


def test_a_bert_head_that_attends_both_ways():
    config = transformers.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    config.is_decoder = False
    with pytest.raises(InputError, match="expected a decoder-only"):
        sm.load_model(transformers.BertLMHeadModel(config))


def test_code_that_came_with_a_checkpoint_does_not_run(hf, tmp_path):
    hf.save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    config["model_type"] = "evil"
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ValueError, match="trust_remote_code"):
        sm.load_model(tmp_path)
