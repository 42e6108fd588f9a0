"""Random models with tokenizers trained on the questions: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import tokenizers
import torch
import transformers

CHAT = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def tiny_model(folder: Path, data: Path, subjects: list[str], *, context: int) -> None:
    """A Llama; its tokenizer has 8,000 subwords, begins sequences with <s> and has a chat template."""
    tokenizer = _tokenizer(_texts(data, subjects), size=8000, start=True)
    tokenizer.chat_template = CHAT
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    _save(folder, transformers.LlamaForCausalLM, config, tokenizer, std=0.2)


def tiny_byte_model(folder: Path, *, context: int) -> None:
    """A GPT-2; its tokens are bytes and the four letters, and nothing begins a sequence."""
    tokenizer = _tokenizer([], size=300, start=False)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=context,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    _save(folder, transformers.GPT2LMHeadModel, config, tokenizer, std=0.25)


def _texts(data: Path, subjects: list[str]) -> list[str]:
    return [
        text
        for subject in subjects
        for part in ("dev", "test")
        for row in pq.read_table(data / subject / f"{part}-00000-of-00001.parquet").to_pylist()
        for text in (row["question"], *row["choices"])
    ]


def _tokenizer(texts: list[str], *, size: int, start: bool) -> transformers.PreTrainedTokenizerFast:
    fast = tokenizers.Tokenizer(tokenizers.models.BPE())
    fast.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<s>", "</s>"] if start else ["</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    fast.train_from_iterator(texts, trainer)
    # The letters with a leading space must be tokens, as they are in every tokenizer in use.
    missing = [f" {x}" for x in "ABCD" if len(fast.encode(f" {x}").ids) != 1]
    fast.add_tokens([tokenizers.AddedToken(x, normalized=False) for x in missing])
    special = {"eos_token": "</s>", "pad_token": "</s>"}
    if start:
        special["bos_token"] = "<s>"
        fast.post_processor = tokenizers.processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", fast.token_to_id("<s>"))]
        )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, **special)


def _save(folder: Path, kind, config, tokenizer, *, std: float) -> None:
    """A model of random weights, the same every time, and its tokenizer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(config)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=std)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
