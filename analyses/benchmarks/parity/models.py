"""A tiny random Llama with a byte-level tokenizer trained on the questions: nothing is downloaded."""

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
    """Write model and tokenizer; the tokenizer begins sequences with <s> and has a chat template."""
    texts = [
        text
        for subject in subjects
        for row in pq.read_table(data / subject / "dev-00000-of-00001.parquet").to_pylist()
        for text in (row["question"], *row["choices"], "\nAnswer: A B C D")
    ]
    fast = tokenizers.Tokenizer(tokenizers.models.BPE())
    fast.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    fast.train_from_iterator(texts, trainer)
    # The letters with a leading space must be tokens, as they are in every tokenizer in use.
    missing = [f" {x}" for x in "ABCD" if len(fast.encode(f" {x}").ids) != 1]
    fast.add_tokens([tokenizers.AddedToken(x, normalized=False) for x in missing])
    fast.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", fast.token_to_id("<s>"))]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = CHAT
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.25)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
