"""GGUF files become plain models; bad ones are refused with one message."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import transformers

import spex_mech as sm
from spex_mech.core.errors import InputError, MissingFileError, OutputExistsError

gguf = pytest.importorskip("gguf")

WORDS = ["<s>", "</s>", "A", "B", "C", "D", "AB", *(chr(97 + i) for i in range(25))]
PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def llama(*, tied=True):
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf = transformers.AutoModelForCausalLM.from_config(config).eval()
        for parameter in hf.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return hf


def gguf_name(name):
    name = name.removesuffix(".weight")
    if name in TOP:
        return f"{TOP[name]}.weight"
    layer, part = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{PARTS[part]}.weight"


def rows_as_llama_cpp(name, weight, config):
    """llama.cpp stores the halves of each query and key head interleaved."""
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for part, count in heads.items():
        if f".{part}." in name:
            halves = weight.reshape(count, 2, -1, weight.shape[1])
            return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))
    return weight


def write_gguf(
    path, hf, *, kind=None, architecture="llama", tokenizer=True, leave_out=(), extra=None
):
    """Write a model as llama.cpp's converter does; ``kind`` quantises its matrices."""
    config = hf.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if tokenizer:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(WORDS)
        writer.add_token_types([3, 3, *[1] * (len(WORDS) - 2)])
        writer.add_token_merges(["A B"])
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(1)
    tied = config.tie_word_embeddings
    weights = {
        gguf_name(name): weight.detach().numpy()
        for name, weight in hf.named_parameters()
        if not (tied and name == "lm_head.weight")
    }
    for name, weight in {**weights, **(extra or {})}.items():
        if name in leave_out:
            continue
        rows = rows_as_llama_cpp(name, weight, config)
        if kind is None or rows.ndim == 1:
            writer.add_tensor(name, rows)
        else:
            writer.add_tensor(name, gguf.quantize(rows, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a good file."""
    path = tmp_path_factory.mktemp("whole") / "m.gguf"
    return write_gguf(path, llama(), kind=gguf.GGMLQuantizationType.Q8_0).read_bytes()


@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_file_has_the_logits_of_the_plain_model(tied, tmp_path):
    hf = llama(tied=tied)
    model = sm.load_model(write_gguf(tmp_path / "m.gguf", hf), device="cpu")
    ids = torch.arange(12)[None]
    with torch.no_grad():
        torch.testing.assert_close(model.hf(ids).logits, hf(ids).logits, rtol=0, atol=1e-5)
    assert (model.shape.n_layers, model.shape.n_heads, model.shape.n_kv_heads) == (2, 4, 2)
    assert model.tokenizer("ABC")["input_ids"] == [6, 4]


@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0", "F16"])
def test_quantised_weights_become_the_numbers_that_they_stand_for(kind, tmp_path):
    kind = gguf.GGMLQuantizationType[kind]
    hf = llama()
    path = write_gguf(tmp_path / "m.gguf", hf, kind=kind)
    for name, weight in hf.named_parameters():
        if weight.ndim == 2:
            rows = rows_as_llama_cpp(gguf_name(name), weight.detach().numpy(), hf.config)
            stored = gguf.dequantize(gguf.quantize(rows, kind), kind)
            if "q_proj" in name or "k_proj" in name:
                heads = 4 if "q_proj" in name else 2
                stored = stored.reshape(heads, -1, 2, 32).swapaxes(1, 2).reshape(rows.shape)
            weight.data = torch.from_numpy(np.ascontiguousarray(stored))
    loaded = sm.load_model(path, device="cpu").hf
    for (name, expected), (_, weight) in zip(
        hf.named_parameters(), loaded.named_parameters(), strict=True
    ):
        torch.testing.assert_close(weight, expected, rtol=0, atol=0, msg=name)


def test_the_model_is_plain_and_is_saved_as_a_plain_folder(whole, tmp_path):
    (tmp_path / "m.gguf").write_bytes(whole)
    model = sm.load_model(tmp_path / "m.gguf", device="cpu")
    assert not hasattr(model.hf.config, "quantization_config")
    assert getattr(model.hf, "hf_quantizer", None) is None
    assert {p.dtype for p in model.hf.parameters()} == {torch.float32}
    folder = sm.save_model(model, tmp_path / "plain")
    again = sm.load_model(folder, device="cpu")
    assert again.fingerprint == model.fingerprint
    assert again.tokenizer("ABCD")["input_ids"] == model.tokenizer("ABCD")["input_ids"]
    with pytest.raises(OutputExistsError, match="not empty"):
        sm.save_model(model, folder)


def test_a_model_that_cannot_be_saved_leaves_nothing(tiny_llama, tmp_path, monkeypatch):
    def full(folder, **options):
        (folder / "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tiny_llama.hf, "save_pretrained", full)
    with pytest.raises(InputError, match="No space left"):
        sm.save_model(tiny_llama, tmp_path / "plain")
    assert list(tmp_path.iterdir()) == []


def test_a_gguf_model_is_ablated_by_both_engines(whole, tmp_path):
    (tmp_path / "m.gguf").write_bytes(whole)
    model = sm.load_model(tmp_path / "m.gguf", device="cpu")
    players = sm.select_players(model, "heads")
    task = sm.TokenTask(np.arange(12).reshape(3, 4), answers=np.tile([2, 3], (3, 1)))
    masks = np.random.default_rng(0).random((4, players.n)) < 0.5
    fast, reference = (
        sm.TaskGame(model, task, players, engine=name)(masks) for name in ("fast", "reference")
    )
    np.testing.assert_allclose(fast, reference, atol=1e-5)


@pytest.mark.parametrize("end", [0, 3, 30, 200, 2000, -1])
def test_a_cut_file_is_refused(whole, end, tmp_path):
    (tmp_path / "m.gguf").write_bytes(whole[:end])
    with pytest.raises(InputError, match=r"damaged or cut short|no GGUF file"):
        sm.load_model(tmp_path / "m.gguf")


def test_changed_bytes_at_the_start_never_end_in_another_error(whole, tmp_path):
    draw = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        changed = bytearray(whole)
        for at in draw.integers(0, 1500, 3):
            changed[at] = draw.integers(256)
        (tmp_path / "m.gguf").write_bytes(changed)
        try:
            sm.load_model(tmp_path / "m.gguf", device="cpu")
        except InputError as error:
            refused += 1
            assert "m.gguf" in str(error)
    assert refused > 20


BAD = {
    "junk": (b"not a model" * 10, "no GGUF file"),
    "a version of the future": (b"GGUF" + (9).to_bytes(4, "little") + bytes(16), "version is 9"),
    "countless settings": (b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 64, "end early"),
}


@pytest.mark.parametrize("content, message", BAD.values(), ids=BAD)
def test_junk_is_refused(content, message, tmp_path):
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(InputError, match=message):
        sm.load_model(tmp_path / "m.gguf")


CHANGES = {
    "no tokenizer": ({"tokenizer": False}, "has no tokenizer in it"),
    "a weight that is missing": ({"leave_out": ["blk.1.ffn_up.weight"]}, "lacks 1 weight"),
    "a weight that would not be used": (
        {"extra": {"rope_freqs.weight": np.ones(4, np.float32)}},
        r"leave some out, such as 'rope_freqs\.weight'",
    ),
    "an unknown architecture": ({"architecture": "new-model"}, "architecture 'new-model'"),
    "an encoder": ({"architecture": "t5"}, "'t5'"),
}


@pytest.mark.parametrize("change, message", CHANGES.values(), ids=CHANGES)
def test_what_is_no_whole_decoder_is_refused(change, message, tmp_path):
    write_gguf(tmp_path / "m.gguf", llama(), **change)
    with pytest.raises(InputError, match=message):
        sm.load_model(tmp_path / "m.gguf")


def test_a_folder_with_nothing_but_a_gguf_file_names_the_file(whole, tmp_path):
    (tmp_path / "m.gguf").write_bytes(whole)
    with pytest.raises(MissingFileError, match=r"give that file: .*m\.gguf"):
        sm.load_model(tmp_path)
    with pytest.raises(InputError, match="GGUF file's own path"):
        sm.load_model(tmp_path, gguf_file="m.gguf")
    with pytest.raises(MissingFileError, match="does not exist"):
        sm.load_model(tmp_path / "other.gguf")


def test_an_adapter_beside_it_is_refused(whole, tmp_path):
    (tmp_path / "m.gguf").write_bytes(whole)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="folder of its own"):
        sm.load_model(tmp_path / "m.gguf")


def test_without_the_package_the_message_says_what_to_install(whole, tmp_path, monkeypatch):
    (tmp_path / "m.gguf").write_bytes(whole)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(InputError, match=r"pip install 'spex-mech\[gguf\]'"):
        sm.load_model(tmp_path / "m.gguf")


def test_the_command_line_takes_a_gguf_file(whole, tmp_path, capsys, monkeypatch):
    from spex_mech.cli import main

    (tmp_path / "m.gguf").write_bytes(whole)
    (tmp_path / "bad.gguf").write_bytes(whole[:100])
    for name, code in (("m.gguf", 0), ("bad.gguf", 2)):
        monkeypatch.setattr(sys, "argv", ["spex-mech", "players", str(tmp_path / name)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
    out, err = capsys.readouterr()
    assert "8 players" in out and err.count("\n") == 1 and "cut short" in err
