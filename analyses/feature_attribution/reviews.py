"""Reviews of any length, a sentiment that is built by rule, and a small classifier trained on it."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

POSITIVE = "good great fine charming clever warm moving funny brilliant lovely".split()
NEGATIVE = "bad dull weak clumsy boring awful tired flat noisy silly".split()
NEGATORS = ("not", "never", "hardly")
STRONGER = ("very", "really")
NEUTRAL = (
    "the film is was it that plot actor scene music and with a story in ending camera dialogue this one"
).split()
REACH = 3  # words that a negator looks ahead
BEFORE_BUT = 0.3  # what counts of a sentence before its "but"


def review(words: int, seed: int) -> str:
    """A review of exactly so many words, in sentences of 6 to 14."""
    rng = np.random.default_rng([words, seed])
    sentences, left = [], words
    while left:
        size = left if left < 12 else int(rng.integers(6, min(14, left - 5)))
        sentences.append(" ".join(_word(rng, i) for i in range(size)) + ".")
        left -= size
    return " ".join(sentences)


def score(text: str) -> float:
    """Sum of a text's judgements, by rule: negation, double negation, stress, and "but".

    A judgement counts +1 or -1; twice for each "very" or "really" right before it; times -1 for each
    negator among the three words before it (so two of them cancel).
    """
    total = 0.0
    for sentence in re.split(r"[.!?]", text.lower()):
        words = re.findall(r"[a-z]+", sentence)
        part = 0.0
        for i, word in enumerate(words):
            if word == "but":
                part *= BEFORE_BUT
                continue
            sign = (word in POSITIVE) - (word in NEGATIVE)
            if not sign:
                continue
            stress, k = 1.0, i
            while k and words[k - 1] in STRONGER:
                stress, k = 2 * stress, k - 1
            flips = sum(w in NEGATORS for w in words[max(0, k - REACH) : k])
            part += sign * stress * (-1) ** flips
        total += part
    return total


def sentiment(texts: list[str], scale: float = 1.0) -> list[float]:
    """Saturating sentiment of texts, between -1 and 1."""
    return [math.tanh(score(text) / scale) for text in texts]


def train(folder: Path, *, steps: int = 700, seed: int = 0) -> tuple[Any, Any, float]:
    """Train a two-layer BERT on short reviews, or load it from the folder; and its accuracy on new ones.

    Returns:
        The model, its tokenizer, and the share of 1,000 new reviews it judges as the rule does.
    """
    import torch
    import transformers

    if (folder / "config.json").is_file():
        model = transformers.BertForSequenceClassification.from_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    else:
        tokenizer = _tokenizer()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = transformers.BertForSequenceClassification(
                transformers.BertConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=64,
                    num_hidden_layers=2,
                    num_attention_heads=4,
                    intermediate_size=128,
                    max_position_embeddings=128,
                    hidden_dropout_prob=0.0,
                    attention_probs_dropout_prob=0.0,
                    id2label={0: "negative", 1: "positive"},
                )
            )
            _fit(model, tokenizer, steps, seed)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    model.eval()
    texts, labels = _batch(np.random.default_rng([seed, 1]), 1000)
    with torch.inference_mode():
        given = tokenizer(texts, padding=True, return_tensors="pt")
        accuracy = float((model(**given).logits.argmax(1).numpy() == labels).mean())
    return model, tokenizer, accuracy


def _fit(model: Any, tokenizer: Any, steps: int, seed: int) -> None:
    import torch

    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step in range(steps):
        texts, labels = _batch(rng, 64)
        given = tokenizer(texts, padding=True, return_tensors="pt")
        loss = model(**given, labels=torch.from_numpy(labels)).loss
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {float(loss):.3f}", flush=True)


def _batch(rng: np.random.Generator, count: int) -> tuple[list[str], np.ndarray]:
    """Short reviews with as many negators as they can take, and whether the rule likes them."""
    texts: list[str] = []
    labels: list[int] = []
    while len(texts) < count:
        text = " ".join(_word(rng, i) for i in range(int(rng.integers(1, 11))))
        value = score(text)
        if value:
            texts.append(text)
            labels.append(int(value > 0))
    return texts, np.array(labels)


def _word(rng: np.random.Generator, place: int) -> str:
    kinds = (POSITIVE, NEGATIVE, NEGATORS, STRONGER, NEUTRAL, ("but",))
    odds = (0.15, 0.15, 0.16, 0.06, 0.45, 0.03) if place else (0.15, 0.15, 0.19, 0.06, 0.45, 0.0)
    kind = kinds[rng.choice(6, p=odds)]
    return str(rng.choice(kind))


def _tokenizer() -> Any:
    import tokenizers
    import transformers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *POSITIVE, *NEGATIVE, *NEGATORS, *STRONGER, *NEUTRAL, "but", "."]
    level = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]")
    )
    level.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    level.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=level,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
