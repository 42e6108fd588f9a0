"""What removing heads buys by Transformers: parameters, cache, prefill and decode speed, evenly and unevenly.

Two shapes with random weights, since sizes and speeds do not depend on the numbers: SmolLM2-135M and a
Llama of 1.2 billion parameters. Of each, sets of heads of five kinds are cut out (`sm.compact_model`) at 10
to 60 % of the heads removed, and measured in turns with the whole model (`sm.footprints`):

- ``even``: every layer keeps equally much (form family); only at the sizes that this allows
- ``gguf``: any layers whose key/value heads keep equally many query heads (form gguf), drawn at random
- ``groups``: whole key/value heads, drawn at random (form gguf too, with fewer key/value heads)
- ``scattered``: any heads, drawn at random (form own)
- ``layers``: the attention of whole layers (form gguf)
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

import spex_mech as sm
from spex_mech.exporting.footprint import footprints, speedup

HERE = Path(__file__).parent
KINDS = ("even", "gguf", "groups", "scattered", "layers")
SHAPES: dict[str, dict[str, Any]] = {
    "SmolLM2 135M": {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
    "Llama 1.2B": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
}


def main() -> None:
    """Measure the shapes asked for, and draw what has been measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="*", default=[*SHAPES], choices=SHAPES)
    parser.add_argument("--removed", nargs="+", type=float, default=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--new", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = HERE / "what_pruning_buys.json"
    results = json.loads(file.read_text()) if file.is_file() else {}
    for name in options.shapes:
        results[name] = measured(name, options)
        file.write_text(json.dumps(results, indent=1) + "\n")
    draw(results)


def measured(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for every cut model of a shape."""
    model = random_model(SHAPES[name], getattr(torch, options.dtype))
    players = sm.select_players(model, "heads")
    masks = {}
    for share in options.removed:
        for kind in KINDS:
            mask = kept(kind, share, model, players)
            if mask is not None and (mask != masks.get((kind, int(mask.sum())), ~mask)).any():
                masks[kind, int(mask.sum())] = mask
    cut = {key: sm.compact_model(model, players, mask) for key, mask in masks.items()}
    costs = footprints(
        {"dense": model.hf, **{f"{kind} {keep}": hf for (kind, keep), hf in cut.items()}},
        seed=0,
        prompt_tokens=options.prompt,
        new_tokens=options.new,
        rounds=options.rounds,
    )
    dense, rows = costs["dense"], []
    for kind, keep in masks:
        cost = costs[f"{kind} {keep}"]
        speeds = speedup(dense, cost, seed=0)
        rows.append(
            {
                "kind": kind,
                "heads removed": 1 - keep / players.n,
                "parameters": cost.parameters / dense.parameters,
                "cache": cost.kv_bytes_per_token / dense.kv_bytes_per_token,
                **{n: vars(x) for n, x in zip(("prefill", "decode"), speeds, strict=True)},
            }
        )
    told = {
        "dtype": options.dtype,
        "prompt tokens": options.prompt,
        "new tokens": options.new,
        "rounds": options.rounds,
        "dense parameters": dense.parameters,
        "dense cache bytes a token": dense.kv_bytes_per_token,
        "dense prefill tokens a second": round(dense.prefill_speed, 1),
        "dense decode tokens a second": round(dense.decode_speed, 1),
    }
    print(name, told)
    return [told, *rows]


def random_model(shape: dict[str, Any], dtype: torch.dtype) -> sm.Model:
    """A Llama with random weights."""
    config = transformers.LlamaConfig(**shape, max_position_embeddings=2048)
    with torch.device("meta"):
        hf = transformers.LlamaForCausalLM(config)
    hf = hf.to(dtype).to_empty(device="cpu")
    torch.manual_seed(0)
    for parameter in hf.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    hf.model.rotary_emb = type(hf.model.rotary_emb)(config)
    hf.tie_weights()
    return sm.load_model(hf)


def kept(kind: str, share: float, model: sm.Model, players: sm.PlayerSet) -> np.ndarray | None:
    """Which heads stay; None for a share at which there is no such set."""
    shape, rng = model.shape, np.random.default_rng(round(100 * share))
    keep = round((1 - share) * players.n)
    layers = np.array([player.layer for player in players])
    if kind == "scattered":
        return rng.permutation(players.n) < keep
    if kind == "layers":
        gone = rng.permutation(shape.n_layers)[: round(share * shape.n_layers)]
        return ~np.isin(layers, gone)
    if kind == "groups":
        size = shape.n_heads // shape.n_kv_heads
        count = shape.n_layers * shape.n_kv_heads
        return np.repeat(rng.permutation(count) < round((1 - share) * count), size)
    sets = sm.servable("family" if kind == "even" else "gguf").of(players, model)
    near = sets.size_near(keep)
    if kind == "even" and abs(near - keep) > 0.05 * players.n:
        return None
    return sets.projected(rng.standard_normal(players.n), near)


def draw(results: dict[str, list[dict[str, Any]]]) -> None:
    """Everything relative to the whole model, a row of panels for each shape."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = {
        "parameters": "parameters, share of dense",
        "cache": "key/value cache, share of dense",
        "prefill": "prefill, times as fast",
        "decode": "decode, times as fast",
    }
    figure, axes = plt.subplots(
        len(results), 4, figsize=(13, 3.1 * len(results)), squeeze=False, layout="constrained"
    )
    for of_shape, (name, (_, *rows)) in zip(axes, results.items(), strict=True):
        for ax, (key, title) in zip(of_shape, panels.items(), strict=True):
            for kind in KINDS:
                own = sorted(
                    (row for row in rows if row["kind"] == kind), key=lambda r: r["heads removed"]
                )
                x = [100 * row["heads removed"] for row in own]
                if key in ("prefill", "decode"):
                    y = [row[key]["mean"] for row in own]
                    spread = [
                        [row[key]["mean"] - row[key]["low"] for row in own],
                        [row[key]["high"] - row[key]["mean"] for row in own],
                    ]
                    ax.errorbar(x, y, yerr=spread, marker="o", ms=3, lw=1, label=kind)
                else:
                    ax.plot(x, [row[key] for row in own], marker="o", ms=3, lw=1, label=kind)
            ax.axhline(1, color="0.6", lw=0.8)
            ax.set_title(f"{name}: {title}", fontsize=9)
            ax.set_xlabel("heads removed, %", fontsize=8)
            ax.tick_params(labelsize=8)
    axes[0, 0].legend(fontsize=8, frameon=False)
    figure.suptitle(TITLE, fontsize=10)
    figure.savefig(HERE / "what_pruning_buys.png", dpi=110)


TITLE = (
    "Heads of uneven groups save parameters, but no cache; only whole key/value heads and layers do"
)


if __name__ == "__main__":
    main()
