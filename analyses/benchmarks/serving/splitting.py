"""Texts as tokens by llama.cpp and by Transformers, for every kind of tokenizer of the form ``gguf``.

Without ``--compare``: tokenizers trained on the texts, each in the GGUF file of a tiny random Llama, and
SmolLM2's own. With it, after tokenize.mjs: how many texts get the same tokens.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

import spex_mech as sm
from spex_mech.exporting.forms.gguf_vocabulary import LLAMA3

WORDS = (
    "The the cat's DON'T I'll we've 12 345 7,890.5 hats, dogs! naïve Öl für 你好 世界 emoji😀 <b> a_b "
    "foo(bar) x=1; ÀÉ isn't McDonald iPhone ROME's 'quoted' --- ... 2024-01-02 ½ ² ٣ é \t"
).split(" ")
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
DIGITS = pre_tokenizers.Digits(individual_digits=True)
KINDS = {
    "gpt-2": (GPT2, False),
    "smollm": (pre_tokenizers.Sequence([DIGITS, GPT2]), False),
    "llama-bpe": (
        pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), BYTES]),
        True,
    ),
}


def main() -> None:
    """Write the files, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args()
    if options.compare:
        compare(options.out)
    else:
        prepare(options.out)


def prepare(out: Path) -> None:
    """Write texts, what Transformers makes of them, and a file for each kind of tokenizer."""
    out.mkdir()
    texts = random_texts(200)
    tokenizers = {name: byte_level(texts, *kind) for name, kind in KINDS.items()}
    tokenizers |= {
        "sentencepiece": sentencepiece(texts),
        "smollm2": sm.load_model("smollm2").tokenizer,
    }
    expected = {}
    for name, tokenizer in tokenizers.items():
        model = sm.load_model(tiny_llama(len(tokenizer)), tokenizer=tokenizer)
        players = sm.select_players(model, "heads")
        everything = np.ones(players.n, dtype=bool)
        sm.export(model, players, everything, out / name, mode="compact", form="gguf")
        expected[name] = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    (out / "texts.json").write_text(json.dumps(texts))
    (out / "expected.json").write_text(json.dumps(expected))


def compare(out: Path) -> None:
    """Print how many texts llama.cpp splits in the same way."""
    expected = json.loads((out / "expected.json").read_text())
    for path, got in json.loads((out / "got.json").read_text()).items():
        name = Path(path).parent.name
        equal = sum(a == b for a, b in zip(expected[name], got, strict=True))
        print(f"{name}: {equal} of {len(got)} texts")


def random_texts(count: int) -> list[str]:
    """Words of several scripts, with numbers, marks and all kinds of space between them."""
    rng = random.Random(0)
    made = (
        "".join(
            rng.choice(WORDS) + rng.choice(["", " ", " ", "  ", "\n", "\n\n"]) for _ in range(n)
        )
        for n in (rng.randint(1, 12) for _ in range(count))
    )
    return [text for text in made if text.strip()]


def byte_level(texts: list[str], pre_tokenizer: Any, ignore_merges: bool) -> Any:
    """Byte-level BPE trained on the texts."""
    bare = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    bare.pre_tokenizer = pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    bare.train_from_iterator(texts, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bare, bos_token="<s>", eos_token="</s>"
    )


def sentencepiece(texts: list[str]) -> Any:
    """BPE with byte fallback trained on the texts, as Llama 2's ``tokenizer.json`` says it."""
    spaced = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    learnt = Tokenizer(models.BPE())
    learnt.normalizer = spaced
    trainer = trainers.BpeTrainer(vocab_size=200, max_token_length=6, show_progress=False)
    learnt.train_from_iterator([word for text in texts for word in text.split("\n")], trainer)
    content = json.loads(learnt.to_str())["model"]
    special = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    vocabulary = {text: i for i, text in enumerate([*special, *content["vocab"]])}
    merges = [tuple(merge) for merge in content["merges"]]
    bare = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    bare.normalizer = spaced
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bare, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def tiny_llama(rows: int) -> Any:
    """A random Llama of one layer."""
    config = transformers.LlamaConfig(
        vocab_size=max(300, rows),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=None,
        eos_token_id=None,
    )
    return transformers.LlamaForCausalLM(config)


if __name__ == "__main__":
    main()
