"""Pruned Llamas as GGUF files: llama.cpp's own arithmetic written out, and Transformers' reader beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from tokenizers import decoders, normalizers, pre_tokenizers, processors, trainers
from torch.nn.functional import silu

import spex_mech as sm
from spex_mech.ablation.gates import spread
from spex_mech.core.errors import InputError
from spex_mech.exporting.dense import dense_state
from spex_mech.exporting.export import export_forms
from spex_mech.exporting.forms.gguf_tensors import deci_tensors
from spex_mech.exporting.forms.gguf_vocabulary import LLAMA3 as LLAMA3_SPLIT
from spex_mech.exporting.forms.gguf_vocabulary import vocabulary_of

gguf = pytest.importorskip("gguf")

IDS = torch.from_numpy(np.random.default_rng(0).integers(3, 90, 11))
SMALL = {
    "vocab_size": 96,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
TEXTS = [
    "The cat's 12 hats, and 345 dogs!",
    "  two  spaces\n\nlines\t.",
    "naïve Öl für 你好 <b>",
    "don't",
]
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)


def split(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")


def byte_level(pre_tokenizer=GPT2, ignore_merges=False, bos=False):
    """Byte-level BPE trained on a few texts."""
    bare = tokenizers.Tokenizer(tokenizers.models.BPE(ignore_merges=ignore_merges))
    bare.pre_tokenizer, bare.decoder = pre_tokenizer, decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    bare.train_from_iterator(TEXTS * 3, trainer)
    if bos:
        bare.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bare, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def sentencepiece_like():
    """BPE with byte fallback, as Llama 2's ``tokenizer.json`` says it."""
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    words = ["▁", "t", "h", "e", "c", "a", "▁t", "he", "▁the", "▁c", "at", "▁cat"]
    vocab = {text: i for i, text in enumerate(["<unk>", "<s>", "</s>", *bytes_, *words])}
    merges = [("h", "e"), ("▁", "t"), ("▁t", "he"), ("a", "t"), ("▁", "c"), ("▁c", "at")]
    bare = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    bare.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    bare.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bare, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def llama(
    tokenizer=None, dtype=torch.float32, kind=transformers.LlamaConfig, **changes
) -> sm.Model:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf = transformers.AutoModelForCausalLM.from_config(kind(**{**SMALL, **changes}))
        for parameter in hf.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.2)
            else:
                torch.nn.init.normal_(parameter, mean=1.0, std=0.2)
    return sm.load_model(torch.nn.Module.to(hf, dtype), tokenizer=tokenizer)


def mask_of(players: sm.PlayerSet, gone: str) -> np.ndarray:
    """Layers of 6, 4 and 3 heads, the last without a key/value head; and what else is gone."""
    names = [f"L1H{h}" for h in (0, 3)] + [f"L2H{h}" for h in (0, 1, 2)] + gone.split()
    return np.array([name not in names for name in players.names])


def dense_logits(model, players, mask):
    dense = type(model.hf)(model.hf.config).to(model.dtype).eval()
    dense.load_state_dict(dense_state(model, spread(players, model.shape, mask[None]), False))
    with torch.no_grad():
        return dense(IDS[None]).logits[0].float()


def contents(path):
    reader = gguf.GGUFReader(path)
    settings = {name: entry.contents() for name, entry in reader.fields.items()}
    tensors = {
        x.name: torch.from_numpy(gguf.dequantize(x.data, x.tensor_type).copy())
        for x in reader.tensors
    }
    return settings, tensors


def deci_logits(path: Path) -> torch.Tensor:
    """What llama.cpp computes of a deci file, float32, written from its graph (llm_build_deci)."""
    settings, weight = contents(path)
    deci = {k.removeprefix("deci."): v for k, v in settings.items() if k.startswith("deci.")}
    width, eps = deci["attention.key_length"], deci["attention.layer_norm_rms_epsilon"]
    heads, keys = deci["attention.head_count"], deci["attention.head_count_kv"]
    assert heads[0] > 0, "llama.cpp reads the width of a head only where the first layer has some"

    def norm(x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight[name]

    steps = torch.arange(0, width, 2) / width
    angles = torch.arange(len(IDS))[:, None] * deci["rope.freq_base"] ** -steps
    angles = angles / weight.get("rope_freqs.weight", torch.ones(width // 2))

    def turned(x):  # neighbouring pairs (llama.cpp's "normal" rope)
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
        turn = torch.polar(torch.ones_like(angles), angles)[:, None]
        return torch.view_as_real(pairs * turn).flatten(-2)

    x = weight["token_embd.weight"][IDS]
    for i, units in enumerate(deci["feed_forward_length"]):
        at = f"blk.{i}."
        after = x
        if heads[i]:
            y = norm(x, at + "attn_norm.weight")
            q, k, v = (
                (y @ weight[f"{at}attn_{n}.weight"].T).unflatten(-1, (-1, width)) for n in "qkv"
            )
            assert q.shape[1] == heads[i] and k.shape[1] == keys[i]
            k, v = (z.repeat_interleave(heads[i] // keys[i], dim=1) for z in (turned(k), v))
            scores = torch.einsum("qhd,khd->hqk", turned(q), k) / width**0.5
            scores = scores.masked_fill(torch.ones(scores.shape[1:]).triu(1) > 0, -torch.inf)
            y = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).flatten(1)
            after = x + y @ weight[at + "attn_output.weight"].T
        if not units:
            continue  # which drops ``after``, attention and all
        y = norm(after, at + "ffn_norm.weight")
        gate, up = (y @ weight[f"{at}ffn_{n}.weight"].T for n in ("gate", "up"))
        x = after + (silu(gate) * up) @ weight[at + "ffn_down.weight"].T
    output = weight.get("output.weight", weight["token_embd.weight"])
    return norm(x, "output_norm.weight") @ output.T


def exported(model, mask, folder, spec="heads mlps", **options):
    players = sm.select_players(model, spec)
    folder = sm.export(model, players, mask, folder, mode="compact", form="gguf", **options)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.gguf"]
    return folder / "model.gguf"


@pytest.mark.parametrize(
    ("gone", "changes"),
    [
        ("", {}),
        ("L2MLP L2H3 L2H4 L2H5", {"tie_word_embeddings": True}),  # a layer's all
        ("L3MLP L1MLP", {"rope_parameters": LLAMA3}),
        ("L0H0 L0H1 L0H2 L0H3 L0H4 L0H5", {"rope_parameters": {**LLAMA3, "rope_type": "linear"}}),
        ("L3H0 L3H1 L3H2 L3H3 L3H4 L3H5 L0MLP L1MLP L2MLP", {}),
        ("L0MLP", {"kind": transformers.MistralConfig, "sliding_window": None}),
    ],
)
def test_llama_cpp_computes_what_the_masked_model_computes(gone, changes, tmp_path):
    model = llama(**changes)
    players = sm.select_players(model, "heads mlps")
    mask = mask_of(players, gone)
    path = exported(model, mask, tmp_path / "out")
    expected = dense_logits(model, players, mask)
    torch.testing.assert_close(deci_logits(path), expected, rtol=0, atol=1e-3)
    whole = sum(x.numel() for x in model.hf.parameters())
    assert sum(x.numel() for x in contents(path)[1].values()) < whole
    again = sm.load_model(path, tokenizer=word_level(), device="cpu")
    assert again.hf.config.model_type == "compact_llama"
    small = sm.compact_model(model, players, mask, form="gguf")
    assert {k: v.shape for k, v in again.hf.state_dict().items()} == {
        k: v.shape for k, v in small.state_dict().items()
    }
    saved = sm.load_model(sm.save_model(again, tmp_path / "saved"), device="cpu")
    for hf in (again.hf, saved.hf):
        with torch.no_grad():
            logits = hf(IDS[None]).logits[0]
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept_bit_by_bit(dtype, tmp_path):
    model = llama(dtype=dtype)
    players = sm.select_players(model, "heads")
    mask = mask_of(players, "")
    path = exported(model, mask, tmp_path / "out", "heads")
    settings, tensors = contents(path)
    assert settings["general.file_type"] == {torch.float16: 1, torch.bfloat16: 32}[dtype]
    down = model.hf.model.layers[3].mlp.down_proj.weight
    assert torch.equal(tensors["blk.3.ffn_down.weight"], down.float())
    exact = llama().hf.to(dtype).float()
    exact = sm.load_model(exact)
    torch.testing.assert_close(
        deci_logits(path), dense_logits(exact, players, mask), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("make", ["plain", "digits", "llama3", "sentencepiece"])
def test_load_model_reads_an_exported_file_with_its_tokenizer(make, tmp_path):
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2])
    llama3 = pre_tokenizers.Sequence([split(LLAMA3_SPLIT), BYTES])
    tokenizer = {
        "plain": byte_level,
        "digits": lambda: byte_level(digits),
        "llama3": lambda: byte_level(llama3, True, True),
        "sentencepiece": sentencepiece_like,
    }[make]()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    model = llama(tokenizer, vocab_size=len(tokenizer) + 3, dtype=torch.bfloat16)
    model.hf.model.rotary_emb.inv_freq = llama().hf.model.rotary_emb.inv_freq  # never in bfloat16
    players = sm.select_players(model, "heads")
    path = exported(model, mask_of(players, ""), tmp_path / "out", "heads")
    again = sm.load_model(path, device="cpu", dtype=torch.bfloat16)
    small = sm.compact_model(model, players, mask_of(players, ""), form="gguf")
    assert again.dtype == torch.bfloat16
    for name, tensor in small.state_dict().items():
        assert torch.equal(again.hf.state_dict()[name], tensor), name
    with torch.no_grad():
        assert torch.equal(again.hf(IDS[None]).logits, small(IDS[None]).logits)
    assert again.tokenizer.chat_template == tokenizer.chat_template
    for text in TEXTS[3:] if make == "sentencepiece" else TEXTS:
        assert again.tokenizer(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_an_even_file_is_a_plain_llama_that_can_be_pruned_again(tmp_path):
    embedded = sm.load_model("embedded", device="cpu")
    bare = sm.load_model(embedded.hf)  # llama.cpp has no tokenizer like the model's own
    players = sm.select_players(bare, "heads")
    for step, name in ((2, "even"), (3, "uneven")):
        mask = np.array([step == 2 or player.layer < step for player in players])
        mask &= np.array([player.index % step != 1 for player in players])
        if step == 3:
            mask = np.array([p.layer != 1 and (p.layer != 2 or p.index < 4) for p in players])
        path = exported(bare, mask, tmp_path / name, "heads")
        again = sm.load_model(path, tokenizer=embedded.tokenizer, device="cpu")
        assert (type(again.hf) is transformers.LlamaForCausalLM) == (step == 2)
        with torch.no_grad():
            logits = again.hf(IDS[None]).logits[0]
        torch.testing.assert_close(logits, dense_logits(bare, players, mask), rtol=0, atol=1e-3)
        if step == 2:
            assert sm.select_players(again, "heads").n == mask.sum() == 16
        else:
            with pytest.raises(InputError, match="is a compact export"):
                sm.select_players(again, "heads")


def changed(path: Path, out: Path, settings: dict, tensors: dict) -> Path:
    """The same file with other settings and tensors."""
    old, kept = contents(path)
    writer = gguf.GGUFWriter(out, "deci")
    for key, value in {**old, **settings}.items():
        if not key.startswith(("GGUF.", "general.architecture")):
            writer.add_key_value(key, value, gguf.GGUFValueType.get_type(value))
    for name, tensor in {**kept, **tensors}.items():
        if tensor is not None:
            writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


@pytest.mark.parametrize(
    ("settings", "tensors", "message"),
    [
        ({"deci.attention.head_count_kv": [2, 2, 0, 2]}, {}, "layer 2 has 3 query heads, 0 key"),
        ({"deci.feed_forward_length": [64, 64, 64, 32]}, {}, "layer 3 has an MLP of 32 units"),
        ({}, {"blk.1.attn_q.bias": torch.zeros(64)}, "attn_q.bias"),
        ({}, {"blk.1.attn_q.weight": None}, "layers.1.self_attn.q_proj.weight"),
        ({}, {"rope_freqs.weight": torch.arange(1.0, 9.0)}, "its rotary angles are scaled"),
    ],
)
def test_files_of_others_that_are_no_such_model_are_refused(settings, tensors, message, tmp_path):
    model = llama()
    mask = mask_of(sm.select_players(model, "heads mlps"), "")
    path = exported(model, mask, tmp_path / "out")
    other = changed(path, tmp_path / "other.gguf", settings, tensors)
    with pytest.raises(
        InputError, match=r"other.gguf' is a GGUF file of architecture deci"
    ) as said:
        sm.load_model(other, tokenizer=word_level(), device="cpu")
    assert message in str(said.value)


def as_llama(path: Path, out: Path) -> Path:
    """The same file under the name of llama.cpp's Llama, which Transformers reads, too."""
    settings, tensors = contents(path)
    writer = gguf.GGUFWriter(out, "llama")
    for key, value in settings.items():
        if key.startswith(("GGUF.", "general.architecture")):
            continue
        if key.startswith("deci."):
            key = key.replace("deci.", "llama.")
            value = value[0] if isinstance(value, list) else value
        kind = gguf.GGUFValueType.get_type(value)
        writer.add_key_value(key, value, kind)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


@pytest.mark.parametrize("make", [byte_level, sentencepiece_like])
def test_transformers_reads_the_same_model_and_tokenizer(make, tmp_path):
    pytest.importorskip("accelerate")
    tokenizer = make()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    model = llama(tokenizer, vocab_size=len(tokenizer) + 3)
    players = sm.select_players(model, "heads")
    mask = np.array([player.index % 3 > 0 for player in players])  # four of six heads everywhere
    path = exported(model, mask, tmp_path / "out", "heads")
    again = sm.load_model(as_llama(path, tmp_path / "llama.gguf"), device="cpu")
    with torch.no_grad():
        theirs = again.hf(IDS[None]).logits[0]
    torch.testing.assert_close(theirs, dense_logits(model, players, mask), rtol=0, atol=1e-3)
    assert again.tokenizer.chat_template == tokenizer.chat_template
    for text in TEXTS[3:] if make is sentencepiece_like else TEXTS:
        ours = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert again.tokenizer(text, add_special_tokens=False)["input_ids"] == ours


def test_each_kind_of_tokenizer_gets_llama_cpps_name():
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2])
    for tokenizer, name in [
        (byte_level(), "gpt-2"),
        (byte_level(digits), "smollm"),
        (
            byte_level(pre_tokenizers.Sequence([split(LLAMA3_SPLIT), BYTES]), True, True),
            "llama-bpe",
        ),
    ]:
        found = vocabulary_of(llama(tokenizer, vocab_size=310))
        assert (found.model, found.pre) == ("gpt2", name)
        assert found.tokens[:3] == ["<unk>", "<s>", "</s>"] and list(found.types[:4]) == [
            3,
            3,
            3,
            1,
        ]
        assert found.tokens[-1] == "[PAD309]" and found.types[-1] == 5
        assert found.special["add_bos_token"] is (name == "llama-bpe")
        assert (found.special["bos_token_id"], found.special["eos_token_id"]) == (1, 2)
    assert vocabulary_of(llama()).settings() == {"tokenizer.ggml.model": "no_vocab"}


def test_sentencepiece_gets_scores_in_the_order_of_its_merges():
    model = llama(sentencepiece_like(), vocab_size=280)
    found = vocabulary_of(model)
    score = dict(zip(found.tokens, found.scores, strict=True))
    order = ["he", "▁t", "▁the", "at", "▁c", "▁cat"]
    assert sorted(order, key=lambda token: -score[token]) == order
    assert max(score[token] for token in found.tokens if token not in order) < score["▁cat"]
    assert found.types[found.tokens.index("<0x41>")] == 6 and found.special["add_bos_token"]


def word_level():
    bare = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>")
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bare, eos_token="a")


def no_merges():
    alphabet = {text: i for i, text in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    bare = tokenizers.Tokenizer(tokenizers.models.BPE(alphabet, []))
    bare.pre_tokenizer = GPT2
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bare)


def lowercase():
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: llama(word_level()), "tokenizer: it has the model 'WordLevel'"),
        (lambda: llama(byte_level(split("x")), vocab_size=310), "'Split'|\"Split\""),
        (lambda: llama(lowercase(), vocab_size=310), "Lowercase"),
        (lambda: llama(no_merges(), vocab_size=310), "it has no merges"),
        (lambda: llama(byte_level(ignore_merges=True), vocab_size=310), "ByteLevel"),
        (lambda: llama(byte_level(), vocab_size=290), "the model has embeddings of 290"),
        (lambda: llama(attention_bias=True), "it has biases"),
        (lambda: llama(hidden_act="gelu"), "the activation 'gelu'"),
        (lambda: llama(kind=transformers.MistralConfig, sliding_window=8), "sees 8 tokens only"),
        (lambda: llama(rope_parameters={**LLAMA3, "rope_type": "yarn"}), "scaled by 'yarn'"),
        (lambda: llama(kind=transformers.Qwen2Config), "only Llama and Mistral do"),
    ],
)
def test_what_a_gguf_file_cannot_hold_is_refused_with_the_reason(model, message, tmp_path):
    loaded = model()
    players = sm.select_players(loaded, "heads mlps")
    mask = mask_of(players, "")
    with pytest.raises(InputError, match=message) as raised:
        exported(loaded, mask, tmp_path / "out")
    assert str(raised.value).startswith("form='gguf' cannot hold this mask: ")
    assert not [*tmp_path.iterdir()]
    assert str(export_forms(loaded, players, mask)["gguf"]) in str(raised.value)


def test_uneven_groups_are_refused_or_filled(tmp_path):
    model = llama()
    players = sm.select_players(model, "heads mlps")
    mask = mask_of(players, "L1H1 L0H5")
    with pytest.raises(InputError, match=r"layer 0 keeps 3, 2 query heads .*servable\('gguf'\)"):
        exported(model, mask, tmp_path / "out")
    path = exported(model, mask, tmp_path / "even", even=True)
    assert contents(path)[0]["deci.attention.head_count"] == [6, 4, 3, 6]
    assert contents(path)[0]["deci.attention.head_count_kv"] == [2, 2, 1, 2]
    expected = dense_logits(model, players, mask)
    torch.testing.assert_close(deci_logits(path), expected, rtol=0, atol=1e-3)


def test_a_file_that_does_not_hold_the_model_is_not_written(tmp_path, monkeypatch):
    from spex_mech.exporting.forms import gguf as form

    def turned(small):
        return deci_tensors(small) | {
            "blk.0.attn_q.weight": small.model.layers[0].self_attn.q_proj.weight.detach()
        }

    monkeypatch.setattr(form, "deci_tensors", turned)
    model = llama()
    mask = mask_of(sm.select_players(model, "heads mlps"), "")
    with pytest.raises(InputError, match="would not hold the masked model: read back"):
        exported(model, mask, tmp_path / "out")
    assert not [*tmp_path.iterdir()]


def test_the_card_says_how_llama_cpp_loads_it(tmp_path):
    model = llama()
    path = exported(model, mask_of(sm.select_players(model, "heads mlps"), ""), tmp_path / "out")
    card = (path.parent / "README.md").read_text()
    assert "library_name: gguf" in card and "llama-cli -m model.gguf" in card
    assert json.dumps(contents(path)[0]["general.name"]) == '"model object, pruned"'
