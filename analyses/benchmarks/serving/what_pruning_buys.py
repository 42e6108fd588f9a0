"""What removing heads buys by Transformers: parameters, cache, prefill and decode speed, evenly and unevenly.

Two shapes with random weights, since sizes and speeds do not depend on the numbers: SmolLM2-135M and a
Llama of 1.2 billion parameters. Of each, sets of heads of five kinds are cut out (`sm.compact_model`) at 10
to 60 % of the heads removed, and measured in turns with the whole model (`footprints`), in seconds of one
processor. A size of a shape is a piece of work: what has been measured is not measured again.

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
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

import spex_mech as sm
from spex_mech.exporting.footprint import footprints, speedup

HERE = Path(__file__).parent
KINDS = {  # the marker of each, its size, and the colour
    "even": ("o", 4, "#1b6ca8"),
    "gguf": ("s", 4, "#d1495b"),
    "groups": ("^", 9, "#2e8b57"),  # layers hides its line where both save equally much
    "scattered": ("x", 5, "#7a5195"),
    "layers": ("d", 4, "#b8860b"),
}
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
    """Measure the shapes and sizes asked for that have not been measured, and draw all that have."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="*", default=[*SHAPES], choices=SHAPES)
    parser.add_argument("--removed", nargs="+", type=float, default=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--new", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = HERE / "what_pruning_buys.json"
    pieces = json.loads(file.read_text()) if file.is_file() else []
    for name in options.shapes:
        done = {piece["removed"] for piece in pieces if piece["shape"] == name}
        model = None
        for share in options.removed:
            if share in done:
                continue
            model = model or random_model(SHAPES[name])
            pieces.append({"shape": name, "removed": share, **measured(model, share, options)})
            print(name, share, pieces[-1]["dense"], flush=True)
            file.write_text(json.dumps(pieces, indent=1) + "\n")
    draw(pieces)


def measured(model: sm.Model, share: float, options: argparse.Namespace) -> dict[str, Any]:
    """The whole model, and what every kind of cut of one size has in comparison."""
    players = sm.select_players(model, "heads")
    sets = ((kind, kept(kind, share, model, players)) for kind in KINDS)
    masks = {kind: mask for kind, mask in sets if mask is not None}
    cut = {kind: sm.compact_model(model, players, mask) for kind, mask in masks.items()}
    costs = footprints(
        {"dense": model.hf, **cut},
        seed=0,
        prompt_tokens=options.prompt,
        new_tokens=options.new,
        rounds=options.rounds,
        clock=time.process_time,
    )
    dense, rows = costs.pop("dense"), []
    for kind, cost in costs.items():
        speeds = speedup(dense, cost, seed=0)
        rows.append(
            {
                "kind": kind,
                "heads removed": 1 - masks[kind].sum() / players.n,
                "parameters": cost.parameters / dense.parameters,
                "cache": cost.kv_bytes_per_token / dense.kv_bytes_per_token,
                **{n: vars(x) for n, x in zip(("prefill", "decode"), speeds, strict=True)},
            }
        )
    told = {
        "prompt tokens": options.prompt,
        "new tokens": options.new,
        "rounds": options.rounds,
        "parameters": dense.parameters,
        "cache bytes a token": dense.kv_bytes_per_token,
        "prefill tokens a second": round(dense.prefill_speed, 1),
        "decode tokens a second": round(dense.decode_speed, 1),
    }
    return {"dense": told, "cut": rows}


def random_model(shape: dict[str, Any]) -> sm.Model:
    """A Llama with random weights, float32."""
    config = transformers.LlamaConfig(**shape, max_position_embeddings=2048)
    with torch.device("meta"):
        hf = transformers.LlamaForCausalLM(config)
    hf = hf.to_empty(device="cpu")
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
    if kind == "even" and abs(near - keep) > 0.07 * players.n:
        return None
    return sets.projected(rng.standard_normal(players.n), near)


def draw(pieces: list[dict[str, Any]]) -> None:
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
    shapes = [name for name in SHAPES if any(piece["shape"] == name for piece in pieces)]
    figure, axes = plt.subplots(
        len(shapes), 4, figsize=(13, 3.1 * len(shapes)), squeeze=False, layout="constrained"
    )
    for of_shape, name in zip(axes, shapes, strict=True):
        rows = [row for piece in pieces if piece["shape"] == name for row in piece["cut"]]
        rows.sort(key=lambda row: row["heads removed"])
        for ax, (key, title) in zip(of_shape, panels.items(), strict=True):
            for kind, (marker, size, colour) in KINDS.items():
                own = [row for row in rows if row["kind"] == kind]
                x = [100 * row["heads removed"] for row in own]
                look = {"marker": marker, "ms": size, "color": colour, "lw": 1, "label": kind}
                if key in ("prefill", "decode"):
                    means = np.array([row[key]["mean"] for row in own])
                    ends = np.array([[row[key]["low"], row[key]["high"]] for row in own]).T
                    ax.errorbar(x, means, yerr=np.abs(ends - means), **look)
                else:
                    ax.plot(x, [row[key] for row in own], **look)
            ax.axhline(1, color="0.6", lw=0.8)
            ax.set_title(f"{name}: {title}", fontsize=9)
            ax.set_xlabel("heads removed, %", fontsize=8)
            ax.set_xlim(7, 65)
            ax.tick_params(labelsize=8)
    axes[0, 0].legend(fontsize=8, frameon=False)
    figure.suptitle(TITLE, fontsize=10)
    figure.savefig(HERE / "what_pruning_buys.png", dpi=110)


TITLE = (
    "Cache shrinks by as much as is removed only where whole key/value heads, or the attention of whole "
    "layers, go"
)


if __name__ == "__main__":
    main()
