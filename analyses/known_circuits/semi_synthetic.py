"""Transformers that are trained to follow a known circuit, as InterpBench makes them (arXiv 2407.14494).

A high-level program has one variable for each head of the circuit. Strict interchange intervention training
(SIIT) minimises three cross-entropies on random pairs of a base and a source:

- behaviour: the model's answer to the base is the program's;
- interchange: with one head of the circuit replaced by its output on the source, the answer is that of the
  program with the head's variable replaced by its value on the source;
- strictness: with any heads outside the circuit replaced by their outputs on the source, the answer stays.

    python analyses/known_circuits/semi_synthetic.py --out runs/known_circuits     # trains all four
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from circuits import KnownCircuit
from transformers import GPT2Config, GPT2LMHeadModel

LAYERS, HEADS, SIZE = 2, 4, 32
TOKENS, ASK, ANSWERS = 8, 8, (9, 10)  # tokens 0 to 7, one that asks, and two answers
LENGTH = 5  # tokens before the one that asks
BATCH, STEPS, RATE = 128, 2500, 3e-3

Values = dict[str, torch.Tensor]
Program = Callable[[torch.Tensor, Values], tuple[torch.Tensor, Values]]
"""From tokens (b, LENGTH) and replaced variables (b,) to the answer's token (b,) and all variables."""


@dataclass(frozen=True)
class Task:
    """A program and the heads of its variables.

    Attributes:
        program: the program.
        heads: variable to (layer, head).
    """

    program: Program
    heads: Mapping[str, tuple[int, int]]


def _two_bits(combine: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Program:
    def program(tokens: torch.Tensor, replaced: Values) -> tuple[torch.Tensor, Values]:
        values = {
            "first": tokens[:, 0] < TOKENS // 2,
            "third": tokens[:, 2] < TOKENS // 2,
        } | replaced
        return combine(values["first"], values["third"]).long() + ANSWERS[0], values

    return program


def _majority(tokens: torch.Tensor, replaced: Values) -> tuple[torch.Tensor, Values]:
    values = {str(i): tokens[:, i] < TOKENS // 2 for i in range(3)} | replaced
    votes = sum(values[str(i)].long() for i in range(3))
    return (votes >= 2).long() + ANSWERS[0], values


def _pointer(tokens: torch.Tensor, replaced: Values) -> tuple[torch.Tensor, Values]:
    """The first token modulo 4 names one of the four that follow, which is the answer."""
    values = {"place": tokens[:, 0] % 4} | replaced
    fetched = tokens[:, 1:].gather(1, values["place"][:, None])[:, 0]
    values = {"fetched": fetched, **values}
    return values["fetched"], values


TASKS: Mapping[str, Task] = {
    "trained and": Task(_two_bits(torch.logical_and), {"first": (0, 1), "third": (0, 2)}),
    "trained xor": Task(_two_bits(torch.logical_xor), {"first": (0, 3), "third": (1, 0)}),
    "trained majority": Task(_majority, {"0": (0, 0), "1": (0, 2), "2": (1, 3)}),
    "trained pointer": Task(_pointer, {"place": (0, 2), "fetched": (1, 1)}),
}


def trained(name: str, folder: Path) -> KnownCircuit:
    """Train a model, or load the one that was trained before into the folder."""
    task, path = TASKS[name], folder / name.replace(" ", "_")
    if not path.exists():
        model, losses = train(task, seed=0, steps=STEPS)
        model.save_pretrained(path)
        (path / "training.json").write_text(json.dumps(losses), encoding="utf-8")
    model = GPT2LMHeadModel.from_pretrained(path).eval()
    truth = np.zeros(LAYERS * HEADS, dtype=bool)
    truth[[layer * HEADS + head for layer, head in task.heads.values()]] = True

    def draw(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        return questions(task, seed, count)

    return KnownCircuit(name, model, dict(task.heads), truth, {}, draw, ablation="resample")


def questions(task: Task, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Token ids (e, LENGTH + 1) and answers (e, 2), the right one first; right answers equally often."""
    generator = torch.Generator().manual_seed(seed + 1_000_003)
    tokens = torch.randint(0, TOKENS, (64 * count, LENGTH), generator=generator)
    right, _ = task.program(tokens, {})
    kinds = right.unique()
    rows = torch.cat([torch.nonzero(right == k)[: -(-count // len(kinds)), 0] for k in kinds])
    rows = rows[torch.randperm(len(rows), generator=generator)[:count]]
    tokens, right = tokens[rows], right[rows]
    if len(kinds) == 2:
        wrong = sum(ANSWERS) - right
    else:
        wrong = (right + torch.randint(1, TOKENS, (count,), generator=generator)) % TOKENS
    asked = torch.full((count, 1), ASK)
    ids = torch.cat([tokens, asked], dim=1)
    return ids.numpy(), torch.stack([right, wrong], dim=1).numpy()


def train(task: Task, *, seed: int, steps: int) -> tuple[GPT2LMHeadModel, list[float]]:
    """Train a model by SIIT; the losses of the last step are returned too."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=TOKENS + 3, n_positions=LENGTH + 1, n_embd=SIZE, n_layer=LAYERS, n_head=HEADS,
        n_inner=2 * SIZE, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    rng = np.random.default_rng(seed)
    losses = torch.zeros(3)
    for _ in range(steps):
        losses = siit_losses(model, task, rng)
        optimizer.zero_grad()
        losses.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval(), losses.tolist()


def siit_losses(model: GPT2LMHeadModel, task: Task, rng: np.random.Generator) -> torch.Tensor:
    """Behaviour, interchange and strictness loss of a batch, (3,)."""
    base, source = (_balanced_tokens(task) for _ in range(2))
    right, _ = task.program(base, {})
    _, theirs = task.program(source, {})
    loss = torch.nn.functional.cross_entropy
    recorded: dict[int, torch.Tensor] = {}
    _last_logits(model, source, record=recorded)
    behaviour = loss(_last_logits(model, base), right)
    name = list(task.heads)[int(rng.integers(len(task.heads)))]
    changed, _ = task.program(base, {name: theirs[name]})
    replaced = np.zeros((LAYERS, HEADS), dtype=bool)
    replaced[task.heads[name]] = True
    interchange = loss(_last_logits(model, base, replaced=replaced, by=recorded), changed)
    others = rng.random((LAYERS, HEADS)) < rng.random()
    for place in task.heads.values():
        others[place] = False
    strictness = loss(_last_logits(model, base, replaced=others, by=recorded), right)
    return torch.stack([behaviour, interchange, strictness])


def _balanced_tokens(task: Task) -> torch.Tensor:
    """Random tokens (BATCH, LENGTH), of which answers of both kinds are equally often right."""
    tokens = torch.randint(0, TOKENS, (4 * BATCH, LENGTH))
    right, _ = task.program(tokens, {})
    weights = 1.0 / torch.bincount(right, minlength=TOKENS + 3)[right]
    return tokens[torch.multinomial(weights, BATCH)]


def _last_logits(
    model: GPT2LMHeadModel,
    tokens: torch.Tensor,
    *,
    record: dict[int, torch.Tensor] | None = None,
    replaced: np.ndarray | None = None,
    by: dict[int, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Logits (b, v) at the token that asks; heads' outputs are recorded, or replaced by recorded ones."""
    handles = []
    for layer, block in enumerate(model.transformer.h):

        def hook(module: torch.nn.Module, args: tuple, layer: int = layer) -> tuple | None:
            z = args[0]
            if record is not None:
                record[layer] = z
            if replaced is None or by is None or not replaced[layer].any():
                return None
            chosen = torch.from_numpy(replaced[layer]).repeat_interleave(SIZE // HEADS)
            return (torch.where(chosen, by[layer], z),)

        handles.append(block.attn.c_proj.register_forward_pre_hook(hook))
    ids = torch.cat([tokens, torch.full((len(tokens), 1), ASK)], dim=1)
    logits = model(ids).logits[:, -1]
    for handle in handles:
        handle.remove()
    return logits


def main() -> None:
    """Train all four."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/known_circuits"))
    args = parser.parse_args()
    for name in TASKS:
        known = trained(name, args.out)
        ids, answers = known.draw(1, 256)
        with torch.no_grad():
            logits = known.model(torch.from_numpy(ids)).logits[:, -1].numpy()
        rows = np.arange(len(ids))
        right = logits[rows, answers[:, 0]] > logits[rows, answers[:, 1]]
        path = args.out / name.replace(" ", "_") / "training.json"
        print(name, f"right {right.mean():.3f}", "losses", path.read_text(), flush=True)


if __name__ == "__main__":
    main()
