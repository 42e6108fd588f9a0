"""Seconds of captum's loops and of a `FeatureGame`, on the same models and masks, interleaved on one core."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import tokenizers
import torch
import transformers
from baselines import kernel_shap
from captum.attr import FeatureAblation, KernelShap

from spex_mech import features
from spex_mech.designs import MaskDesign

HERE = Path(__file__).parent
VOCABULARY = 500
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MASK = 4


def main() -> None:
    """Time every pair of sides and write results.json."""
    options = _options()
    torch.set_num_threads(1)
    rows = []
    for case in (classifier(options), causal(options)):
        name, make, forward, ids = case
        for method, ask in (("FeatureAblation", ablation), ("KernelShap", shap)):
            rows.append(
                {"model": name, "method": method, **compare(make, forward, ids, ask, options)}
            )
            print(json.dumps(rows[-1]), flush=True)
    if options.write:
        text = json.dumps({"options": vars(options), "rows": rows}, indent=1)
        (HERE / "results.json").write_text(text + "\n")


def compare(
    make: Callable[[], features.FeatureGame],
    forward: Callable,
    ids: torch.Tensor,
    ask: Callable,
    options: Any,
) -> dict:
    """CPU seconds of captum (one at a time, and batched) and of games on the masks that captum drew.

    A game is timed from its making on, with tokenisation, fingerprint, target and the reading of the
    prefix; and a second time, as it answers when it has all these.
    """
    game = make()
    seen: list[torch.Tensor] = []

    def watched(given: torch.Tensor) -> torch.Tensor:
        seen.append(given.clone())
        return forward(given)

    torch.manual_seed(0)
    ask(watched, ids, 1, options.samples)
    rows = torch.cat(seen)
    masks = (rows == ids).numpy()
    with torch.inference_mode():
        theirs = torch.cat([forward(row[None]) for row in rows]).double().numpy()
    difference = float(np.abs(game(masks) - theirs).max())
    sides: dict[str, Callable[[], object]] = {
        "captum": lambda: ask(forward, ids, 1, options.samples),
        "captum batched": lambda: ask(forward, ids, options.batch, options.samples),
        "ours": lambda: _ours(make(), masks, ask),
        "ours again": lambda: _ours(game, masks, ask),
    }
    times: dict[str, list[float]] = {side: [] for side in sides}
    for repeat in range(options.repeats):
        order = list(sides) if repeat % 2 == 0 else list(sides)[::-1]
        for side in order:
            torch.manual_seed(0)
            began = time.process_time()
            sides[side]()
            times[side].append(time.process_time() - began)
    median = {side: float(np.median(t)) for side, t in times.items()}
    return {
        "masks": len(masks),
        "distinct": len(np.unique(masks, axis=0)),
        "largest difference": difference,
        **{f"{side} s": round(t, 3) for side, t in median.items()},
        "ratio": round(median["captum"] / median["ours"], 2),
        "ratio to batched": round(median["captum batched"] / median["ours"], 2),
        "ratio again": round(median["captum"] / median["ours again"], 2),
    }


def ablation(forward: Callable, ids: torch.Tensor, at_once: int, samples: int) -> object:
    """Captum's leave-one-out."""
    with torch.no_grad():
        return FeatureAblation(forward).attribute(
            ids, baselines=MASK, perturbations_per_eval=at_once
        )


def shap(forward: Callable, ids: torch.Tensor, at_once: int, samples: int) -> object:
    """Captum's KernelSHAP with its regression."""
    with torch.no_grad():
        return KernelShap(forward).attribute(
            ids, baselines=MASK, n_samples=samples, perturbations_per_eval=at_once
        )


def _ours(game: features.FeatureGame, masks: np.ndarray, ask: Callable) -> object:
    values = game(masks)
    if ask is ablation:
        return values[0] - values[1:]
    return kernel_shap(MaskDesign(masks=masks, seed=0), values, empty=float(values.min()))


Case = tuple[str, Callable[[], features.FeatureGame], Callable, torch.Tensor]


def classifier(options: Any) -> Case:
    """A BERT of random weights and a text of words, each replaced by the mask token."""
    tokenizer = _tokenizer(True)
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=options.words + 8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf = transformers.BertForSequenceClassification(config).eval()
    text = _text(options.words)

    def make() -> features.FeatureGame:
        return features.text(hf, text, tokenizer=tokenizer, level="word", removal="mask", target=1)

    ids = torch.tensor([tokenizer(text)["input_ids"][1:-1]])

    def forward(given: torch.Tensor) -> torch.Tensor:
        ends = torch.tensor([[2], [3]]).expand(2, len(given))
        whole = torch.cat([ends[0][:, None], given, ends[1][:, None]], dim=1)
        return hf(input_ids=whole).logits[:, 1]

    return f"BERT, {options.words} words", make, forward, ids


def causal(options: Any) -> Case:
    """A Llama of random weights; a long instruction stands before the text, a question after it."""
    tokenizer = _tokenizer(False)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=512,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf = transformers.LlamaForCausalLM(config).eval()
    before, text = _text(2 * options.words, seed=1), _text(options.words)

    def make() -> features.FeatureGame:
        return features.text(
            hf,
            text,
            tokenizer=tokenizer,
            level="word",
            removal="mask",
            template=f"{before} {{text}} w9",
            target=" w7",
        )

    ids = torch.tensor([tokenizer(text)["input_ids"]])
    fixed, last = (torch.tensor([tokenizer(t)["input_ids"]]) for t in (before, "w9"))
    answer = tokenizer("w7")["input_ids"][0]

    def forward(given: torch.Tensor) -> torch.Tensor:
        whole = torch.cat([fixed.expand(len(given), -1), given, last.expand(len(given), -1)], dim=1)
        logits = hf(input_ids=whole, logits_to_keep=1, use_cache=False).logits[:, -1]
        return logits.log_softmax(-1)[:, answer]

    return f"Llama, {options.words} words after {2 * options.words}", make, forward, ids


def _text(words: int, seed: int = 0) -> str:
    drawn = np.random.default_rng(seed).integers(10, VOCABULARY - 10, words)
    return " ".join(f"w{i}" for i in drawn)


def _tokenizer(ends: bool) -> Any:
    words = [*SPECIAL, *(f"w{i}" for i in range(VOCABULARY - len(SPECIAL)))]
    level = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]")
    )
    level.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if ends:
        level.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=level, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=96)
    parser.add_argument("--samples", type=int, default=256, help="of KernelShap")
    parser.add_argument("--batch", type=int, default=64, help="perturbations_per_eval, batched")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write results.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
