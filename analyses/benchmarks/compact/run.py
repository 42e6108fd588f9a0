"""Compact against dense exports and the full model, at half the heads: size, cache and speed.

python analyses/benchmarks/compact/run.py
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import transformers

import spex_mech as sm
from spex_mech.exporting.footprint import Footprint, footprints, speedup

HERE = Path(__file__).parent
LLAMA = transformers.LlamaConfig(
    vocab_size=4096,
    hidden_size=512,
    intermediate_size=1376,
    num_hidden_layers=8,
    num_attention_heads=8,
    num_key_value_heads=4,
    head_dim=64,
    max_position_embeddings=1024,
)


def main() -> None:
    """Measure every model and mask, and write results.json and a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--new", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    results = []
    for name, model in {"embedded": sm.load_model(), "random Llama": random_llama()}.items():
        heads = sm.select_players(model, "heads")
        rng = np.random.default_rng(0)
        scattered = np.zeros(heads.n, dtype=bool)
        scattered[rng.permutation(heads.n)[: heads.n // 2]] = True
        groups = np.array([p.index < model.shape.n_heads // 2 for p in heads])
        for kind, mask in {"scattered": scattered, "whole groups": groups}.items():
            found = measure(model, heads, mask, options)
            results.append({"model": name, "mask": kind, **report(name, kind, found)})
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")


def random_llama() -> sm.Model:
    """A random Llama of a shape nearer to real ones; speed does not depend on the weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return sm.load_model(transformers.LlamaForCausalLM(LLAMA))


def measure(model, heads, mask, options) -> dict[str, Footprint]:
    """Full, dense and compact side by side, each as loaded from its checkpoint."""
    with tempfile.TemporaryDirectory() as place:
        folders = {
            "full": Path(place) / "full",
            "dense": sm.export(model, heads, mask, Path(place) / "dense"),
            "compact": sm.export(model, heads, mask, Path(place) / "compact", mode="compact"),
        }
        model.hf.save_pretrained(folders["full"])
        models = {name: load(folder) for name, folder in folders.items()}
        ids = torch.arange(32)[None]
        with torch.no_grad():
            gap = (models["dense"](ids).logits - models["compact"](ids).logits).abs().max()
        if gap > 1e-4:
            raise SystemExit(f"compact and dense differ by {gap}")
        return footprints(
            models,
            seed=0,
            folders=folders,
            prompt_tokens=options.prompt,
            new_tokens=options.new,
            rounds=options.rounds,
        )


def load(folder: Path) -> torch.nn.Module:
    """The checkpoint with this package's class where it is compact, else with the stock one."""
    from spex_mech.models.compact_loading import compact_class

    kind = compact_class(folder) or transformers.AutoModelForCausalLM
    return kind.from_pretrained(folder).eval()


def report(name: str, kind: str, found: dict[str, Footprint]) -> dict:
    """Print one block of the table; return what results.json keeps of it."""
    print(f"\n## {name}, {kind}\n")
    print("| | parameters | file bytes | cache bytes per token | prefill tok/s | decode tok/s |")
    print("|---|---|---|---|---|---|")
    for model, cost in found.items():
        print(
            f"| {model} | {cost.parameters:,} | {cost.file_bytes:,} | {cost.kv_bytes_per_token:,.0f} "
            f"| {cost.prefill_speed:,.0f} | {cost.decode_speed:,.0f} |"
        )
    ratios = {}
    for other in ("dense", "full"):
        prefill, decode = speedup(found[other], found["compact"], seed=0)
        ratios[other] = {"prefill": asdict(prefill), "decode": asdict(decode)}
        print(
            f"\ncompact over {other}: prefill {prefill.mean:.2f} ({prefill.low:.2f} to "
            f"{prefill.high:.2f}), decode {decode.mean:.2f} ({decode.low:.2f} to {decode.high:.2f})"
        )
    return {"costs": {k: asdict(v) for k, v in found.items()}, "compact_over": ratios}


if __name__ == "__main__":
    main()
