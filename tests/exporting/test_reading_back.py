"""A checkpoint gets its name only when it was read back and answers like the masked model."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import transformers
from tiny_decoders import tiny_decoder

import spex_mech as sm
from spex_mech.core.errors import InputError

MASK = np.arange(8) % 3 > 0


def changed(monkeypatch, hf, change) -> None:
    """Let ``change`` alter the weights file that ``save_pretrained`` writes."""
    save = hf.save_pretrained

    def altered(folder, **options):
        save(folder, **options)
        path = folder / "model.safetensors"
        weights = safetensors.torch.load_file(path)
        change(weights)
        safetensors.torch.save_file(weights, path, metadata={"format": "pt"})

    monkeypatch.setattr(hf, "save_pretrained", altered)


def lose(weights):
    del weights["model.layers.1.self_attn.q_proj.weight"]


def widen(weights):
    key = "model.layers.1.self_attn.q_proj.weight"
    weights[key] = weights[key].repeat(2, 1)


def restore(weights):
    weights["model.layers.0.self_attn.o_proj.weight"] += 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose, "lacks 1 weight .*q_proj"),
        (widen, "of other sizes than config.json says"),
        (restore, "would not hold the masked model: read back, its logits differ by"),
    ],
)
def test_a_checkpoint_that_does_not_hold_the_model_is_not_written(
    tmp_path, monkeypatch, change, message
):
    model = sm.load_model(tiny_decoder("llama"))
    changed(monkeypatch, model.hf, change)
    with pytest.raises(InputError, match=message):
        sm.export(model, sm.select_players(model), MASK, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_adapters_of_peft_are_refused_until_they_are_merged(tmp_path):
    peft = pytest.importorskip("peft")
    adapted = peft.get_peft_model(
        tiny_decoder("llama"),
        peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False),
    )
    for hf in (adapted, adapted.get_base_model()):
        with pytest.raises(InputError, match=r"adapter of peft.*merge_and_unload\(\)"):
            sm.load_model(hf)
    model = sm.load_model(adapted.merge_and_unload())
    folder = sm.export(model, sm.select_players(model), MASK, tmp_path / "out")
    assert (folder / "model.safetensors").exists()
    with pytest.raises(InputError, match="adapter"):
        adapted.save_pretrained(tmp_path / "adapter")
        sm.load_model(tmp_path / "adapter", tokenizer=object())


def test_a_config_that_does_not_describe_the_weights_is_not_written(tmp_path, monkeypatch):
    model = sm.load_model(tiny_decoder("llama"))
    save = model.hf.save_pretrained

    def altered(folder, **options):
        save(folder, **options)
        path = folder / "config.json"
        heads = '"num_attention_heads": '
        path.write_text(path.read_text().replace(f"{heads}4", f"{heads}3"))

    monkeypatch.setattr(model.hf, "save_pretrained", altered)
    with pytest.raises(InputError, match=r"read back, so nothing was written: 'the folder' cannot"):
        sm.export(model, sm.select_players(model), MASK, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*slow reference engine")
def test_experts_in_attention_have_no_heads_but_their_mlps_are_exported(tmp_path):
    config = transformers.JetMoeConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_key_value_heads=2,
        kv_channels=8,
        num_local_experts=4,
        num_experts_per_tok=2,
    )
    model = sm.load_model(transformers.JetMoeForCausalLM(config))
    task = sm.TokenTask(np.arange(3, 12)[None], answers=[[3, 4]])
    with pytest.raises(InputError, match=r"heads of layer 0 of .* cannot be removed"):
        sm.TaskGame(model, task, sm.select_players(model, "heads"))
    mlps = sm.select_players(model, "mlps")
    with pytest.raises(InputError, match=r"heads of layer 0 of .* cannot be removed"):
        sm.export(model, sm.select_players(model), np.zeros(8, dtype=bool), tmp_path / "heads")
    assert sm.export(model, mlps, np.array([True, False]), tmp_path / "out").is_dir()
