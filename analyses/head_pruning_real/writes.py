"""What heads write, and through which later parts their removal acts; see the README beside this file.

    python analyses/head_pruning_real/writes.py

The margin is the last position's residual stream, divided by its root mean square, times one vector. With the
divisor of the full model it is a sum over all that was written into the stream, so that what the removal of a
head changes is a sum, too: of what it wrote itself, of changes in later heads, and of changes in later MLPs.
That holds for models of Llama's form, whose last norm subtracts no mean and whose blocks write directly.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path += [str(HERE), str(HERE.parent)]

from attention import AFTER_SUBJECT, parts_of
from cards import load, one_token_of
from table_rows import mean_text

import spex_mech as sm
from spex_mech.tasks.task import Example

Place = tuple[int, int]  # layer of a head, and its number there


def main() -> None:
    """Write what the removal of each head changes, and what of it each later part changes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--heads", nargs="+", default=["L15H3", "L15H4", "L29H0", "L29H1"])
    parser.add_argument("--readers", nargs="+", default=["L26H0", "L27H8"], help="later heads")
    parser.add_argument("--tasks", nargs="+", default=["ioi", *AFTER_SUBJECT])
    parser.add_argument("--questions", type=int, default=100, help="the first ones of each set")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "blimp")
    parser.add_argument("--results", type=Path, default=HERE / "writes.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/head_pruning_real"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = sm.load_model(args.model)
    heads, readers = ([place_of(name) for name in names] for names in (args.heads, args.readers))
    rows = []
    for name in args.tasks:
        task = load(name, data=args.data, folder=args.out, one_token=one_token_of(model))
        asked = [ask(model, example, heads) for example in task.select("test")[: args.questions]]
        for number in range(len(heads)):
            rows.append({"task": name} | row(name, number, heads, readers, asked))
    with args.results.open("w", newline="", encoding="utf-8") as file:
        columns = list(dict.fromkeys(key for found in rows for key in found))
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@dataclass(frozen=True)
class Asked:
    """One question under 1 + 3k masks: none removed, then for each of k heads three ways to remove it.

    The ways: at all positions, at the last one only, and at the last one only what it reads of itself.

    Attributes:
        example: the question.
        tokens: texts of its t tokens.
        margins: (1 + 3k,), logit of the right option's first token minus that of the wrong one's.
        embedding: (1 + 3k,), what the embedding adds to the margin with the divisor of the full model.
        heads: (1 + 3k, layers, heads), what each head adds.
        mlps: (1 + 3k, layers), what each MLP adds.
        options: (k, 2), what the full model's k heads add to the logits of the right and of the wrong option,
            minus what they add to logits on average over the vocabulary.
        attention: (1 + 3k, layers, heads, t), of the last position.
    """

    example: Example
    tokens: tuple[str, ...]
    margins: np.ndarray
    embedding: np.ndarray
    heads: np.ndarray
    mlps: np.ndarray
    options: np.ndarray
    attention: np.ndarray


def ask(model: sm.Model, example: Example, heads: Sequence[Place]) -> Asked:
    """Ask one question under all masks at once."""
    ids = model.tokenizer(example.prompt)["input_ids"]
    right, wrong = (
        model.tokenizer(example.options[place], add_special_tokens=False)["input_ids"][0]
        for place in (example.answer, 1 - example.answer)
    )
    norm, layers = model.hf.model.norm, model.hf.model.layers
    kept: dict[str, list[torch.Tensor]] = {site: [] for site in ("in", "attention", "z", "mlp")}

    def removed(layer: int) -> list[tuple[int, int]]:
        return [(1 + 3 * k, head) for k, (there, head) in enumerate(heads) if there == layer]

    def on_attention(x: torch.Tensor, hook: Any) -> torch.Tensor:
        for mask, head in removed(hook.layer()):
            x[mask + 2, head, -1, -1] = 0
        kept["attention"].append(x[:, :, -1].clone())
        return x

    def on_z(x: torch.Tensor, hook: Any) -> torch.Tensor:
        for mask, head in removed(hook.layer()):
            x[mask, :, head] = 0
            x[mask + 1, -1, head] = 0
        kept["z"].append(x[:, -1].clone())
        return x

    def on_mlp(x: torch.Tensor, hook: Any) -> None:
        kept["mlp"].append(x[:, -1].clone())

    def on_stream(x: torch.Tensor, hook: Any) -> None:
        kept["in"].append(x[:, -1].clone())

    hooks = [("blocks.0.hook_resid_pre", on_stream)]
    hooks += [(f"blocks.{len(layers) - 1}.hook_resid_post", on_stream)]
    for layer in range(len(layers)):
        hooks += [
            (f"blocks.{layer}.attn.hook_pattern", on_attention),
            (f"blocks.{layer}.attn.hook_z", on_z),
            (f"blocks.{layer}.hook_mlp_out", on_mlp),
        ]
    with torch.inference_mode():
        model.bridge.run_with_hooks(
            torch.tensor([ids] * (1 + 3 * len(heads))), fwd_hooks=hooks, return_type=None
        )
        rows = model.hf.lm_head.weight
        direction = (rows[right] - rows[wrong]) * norm.weight
        embedding, stream = kept["in"]
        divisor = (stream.pow(2).mean(dim=-1) + norm.variance_epsilon).sqrt()
        both = (rows[[right, wrong]] - rows.mean(dim=0)) * norm.weight
        written, options = [], []
        for layer, z in zip(layers, kept["z"], strict=True):
            through = direction @ layer.self_attn.o_proj.weight
            written.append((z * through.view(z.shape[1:])).sum(dim=-1))
        for layer, head in heads:
            z = kept["z"][layer][0]
            through = both @ layers[layer].self_attn.o_proj.weight
            options.append(through.view(2, *z.shape)[:, head] @ z[head] / divisor[0])
        return Asked(
            example=example,
            tokens=tuple(model.tokenizer.decode([i]) for i in ids),
            margins=(stream @ direction / divisor).numpy(),
            embedding=(embedding @ direction / divisor[0]).numpy(),
            heads=(torch.stack(written, dim=1) / divisor[0]).numpy(),
            mlps=(torch.stack(kept["mlp"], dim=1) @ direction / divisor[0]).numpy(),
            options=torch.stack(options).numpy(),
            attention=torch.stack(kept["attention"], dim=1).numpy(),
        )


def row(
    task: str,
    number: int,
    heads: Sequence[Place],
    readers: Sequence[Place],
    asked: Sequence[Asked],
) -> dict[str, str]:
    """Means over questions, with intervals, for one of the heads that were removed."""
    head, mask = heads[number], 1 + 3 * number
    margins = np.array([one.margins[mask : mask + 3] - one.margins[0] for one in asked])
    changes = np.array([one.heads[mask] - one.heads[0] for one in asked])
    mlps = np.array([one.mlps[mask] - one.mlps[0] for one in asked])
    own = changes[:, *head].copy()
    changes[:, *head] = 0
    found = {
        "head": name_of(head),
        "questions": str(len(asked)),
        "removed": mean_text(margins[:, 0]),
        "at the last position only": mean_text(margins[:, 1]),
        "of that, what it reads there": mean_text(margins[:, 2]),
        "full model's divisor": mean_text(own + changes.sum(axis=(1, 2)) + mlps.sum(axis=1)),
        "without its own write": mean_text(own),
        "later heads": mean_text(changes.sum(axis=(1, 2))),
        "largest of them": _largest(changes),
        "later MLPs": mean_text(mlps.sum(axis=1)),
        "its write on the right option": mean_text(
            [float(one.options[number, 0]) for one in asked]
        ),
        "on the wrong option": mean_text([float(one.options[number, 1]) for one in asked]),
        "attention of the last position to itself": mean_text(
            [float(one.attention[0, *head, -1]) for one in asked]
        ),
    }
    for reader in readers if task in AFTER_SUBJECT else ():
        for part in ("subject's noun", "last noun"):
            before, after = (
                _read(task, reader, part, asked, 0),
                _read(task, reader, part, asked, mask),
            )
            found[f"{name_of(reader)} reads {part}"] = mean_text(before)
            found[f"{name_of(reader)} reads {part}, change"] = mean_text(after - before)
    return found


def _read(task: str, reader: Place, part: str, asked: Sequence[Asked], mask: int) -> np.ndarray:
    parts = [(one, parts_of(task, one.tokens, one.example)) for one in asked]
    return np.array(
        [one.attention[mask, *reader, list(p[part])].sum() for one, p in parts if part in p]
    )


def _largest(changes: np.ndarray, count: int = 3) -> str:
    """The heads whose writes change most, each with the mean change."""
    means = changes.mean(axis=0)
    order = np.argsort(-np.abs(means), axis=None)[:count]
    places = [divmod(int(i), means.shape[1]) for i in order if means.ravel()[i]]
    return ", ".join(f"{name_of(place)} {means[place]:+.3f}" for place in places)


def place_of(name: str) -> Place:
    """Layer and number of a head by its name, such as ``L15H3``."""
    layer, _, number = name.removeprefix("L").partition("H")
    return int(layer), int(number)


def name_of(place: Place) -> str:
    """A head's name, such as ``L15H3``."""
    return f"L{place[0]}H{place[1]}"


if __name__ == "__main__":
    main()
