"""Tokenizers of several kinds, trained or made in memory, and tiny random models."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "The trolley runs down the track. Pulling the lever moves the trolley to another track.",
    "The movie was not bad at all, it was surprisingly good. I never want to see it again!",
    "A watermelon is a fruit. The key is in the basket and the basket is in the kitchen.",
]


def byte_bpe() -> transformers.PreTrainedTokenizerFast:
    """Byte-level BPE as in GPT-2, without special tokens around a text."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=["<|end|>", "<|user|>", "<|assistant|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    found = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|end|>", pad_token="<|end|>"
    )
    found.chat_template = (
        "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content | trim }}<|end|>\n{% endfor %}"
        "<|assistant|>"
    )
    return found


def closed_bpe() -> transformers.PreTrainedTokenizerFast:
    """The same with an end token after a text, for encoder-decoder models."""
    tokenizer = byte_bpe()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|end|>", special_tokens=[("<|end|>", tokenizer.eos_token_id)]
    )
    return tokenizer


def word_piece() -> transformers.PreTrainedTokenizerFast:
    """WordPiece as in BERT, with [CLS] before and [SEP] after a text."""
    # Not trained: its trainer breaks ties by chance. Every other word is whole, the others are in pieces.
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = sorted(set(re.findall(r"\w+", " ".join(CORPUS).lower())))
    letters = sorted(set("".join(words)))
    pieces = [*letters, *(f"##{c}" for c in letters), ".", ",", "!", *words[::2]]
    pieces += sorted({w[:3] for w in words[1::2]} - set(pieces))
    vocabulary = {piece: i for i, piece in enumerate([*special, *pieces])}
    assert len(vocabulary) <= 120
    made = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def seeded(make, seed: int = 0):
    """A random model, with weights large enough that every token matters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "norm" not in name.lower():
                torch.nn.init.normal_(
                    parameter, std=0.3 if "embed" in name or "wte" in name else 0.15
                )
    return model.eval()


def tiny_gpt2(vocab: int = 300, positions: int = 256):
    """A causal model."""
    config = transformers.GPT2Config(
        vocab_size=vocab, n_embd=32, n_layer=2, n_head=4, n_positions=positions
    )
    return seeded(lambda: transformers.GPT2LMHeadModel(config))


def tiny_bert(labels: int = 3, positions: int = 128):
    """A sequence classifier."""
    config = transformers.BertConfig(
        vocab_size=120,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=positions,
        num_labels=labels,
    )
    return seeded(lambda: transformers.BertForSequenceClassification(config))


def tiny_t5():
    """An encoder-decoder model."""
    config = transformers.T5Config(
        vocab_size=384,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
        pad_token_id=0,
    )
    return seeded(lambda: transformers.T5ForConditionalGeneration(config))


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Makers of tokenizers and models."""
    return SimpleNamespace(
        byte_bpe=byte_bpe,
        closed_bpe=closed_bpe,
        word_piece=word_piece,
        seeded=seeded,
        gpt2=tiny_gpt2,
        bert=tiny_bert,
        t5=tiny_t5,
    )
