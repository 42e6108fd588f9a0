"""A small GPT-2 of 32 layers of 32 heads that is trained here, for a game of 1,024 trained heads.

    python analyses/benchmarks/walsh_gp/many_heads.py --out runs/many_heads

A prompt has six facts, one token each: a key with its value, in any order. Queries follow: "the value of
key k", or "the value of the key that has the number of this value", for which two facts are needed.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import spex_mech as sm

LAYERS, HEADS = 32, 32
KEYS = 6  # and as many values
QUERY, HOPS = KEYS**2, KEYS**2 + KEYS  # first tokens of the queries for one fact, and for two
ANSWER = KEYS**2 + 2 * KEYS  # first token of the answers
BATCH, STEPS, WARM, RATE = 32, 3000, 200, 1e-3
ENOUGH = 0.995  # right answers in the last 100 batches, with which training ends


def sequences(
    count: int, queries: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids (count, KEYS + queries), facts first, and the answer to each query (count, queries)."""
    keys = generator.permuted(np.tile(np.arange(KEYS), (count, 1)), axis=1)
    values = generator.integers(0, KEYS, (count, KEYS))  # of each key
    facts = KEYS * keys + np.take_along_axis(values, keys, axis=1)
    asked = generator.integers(0, 2 * KEYS, (count, queries))
    once = np.take_along_axis(values, asked % KEYS, axis=1)
    twice = np.take_along_axis(values, once, axis=1)
    ids = np.concatenate([facts, QUERY + asked], axis=1)
    return ids, ANSWER + np.where(asked < KEYS, once, twice)


def questions(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Prompts (count, KEYS + 1) with one query, and answers (count, 2): the right one and another."""
    generator = np.random.default_rng(1_000_003 + seed)
    ids, right = sequences(count, 1, generator)
    wrong = ANSWER + (right[:, 0] - ANSWER + generator.integers(1, KEYS, count)) % KEYS
    return ids, np.stack([right[:, 0], wrong], axis=1)


def train(folder: Path, *, seed: int = 0, steps: int = STEPS) -> None:
    """Train the model and save it as a checkpoint."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    config = GPT2Config(
        vocab_size=ANSWER + KEYS, n_positions=2 * KEYS, n_embd=128, n_inner=128, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=WARM)
    began, right = time.process_time(), []
    for step in range(1, steps + 1):
        ids, answers = sequences(BATCH, KEYS, generator)
        logits = model(torch.from_numpy(ids)).logits[:, KEYS:]
        wanted = torch.from_numpy(answers)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        right.append(float((logits.argmax(dim=2) == wanted).float().mean()))
        if step % 100 == 0:
            share = float(np.mean(right[-100:]))
            print(step, f"loss {loss:.3f}, right {share:.3f}", flush=True)
            if share >= ENOUGH:
                break
    model.eval().save_pretrained(folder)
    told = {"steps": step, "right": right[-1], "cpu": time.process_time() - began}
    (folder / "training.json").write_text(json.dumps(told), encoding="utf-8")


def game(folder: Path, count: int, *, seed: int = 0) -> sm.TaskGame:
    """The game of all heads on so many questions; the model is trained unless the folder has it."""
    if not (folder / "training.json").exists():
        train(folder)
    model = sm.load_model(GPT2LMHeadModel.from_pretrained(folder).eval())
    ids, answers = questions(count, seed)
    players = sm.select_players(model, "heads")
    return sm.TaskGame(model, sm.TokenTask(ids, answers=answers), players, metric="margin")


def main() -> None:
    """Train the model, and say how often it is right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/many_heads"))
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if not (args.out / "training.json").exists():
        train(args.out, steps=args.steps)
    asked = game(args.out, 200)
    margins = asked.per_question(np.ones((1, asked.players.n), dtype=bool))
    print(f"right: {(margins > 0).mean():.3f}, margin {margins.mean():.2f}")


if __name__ == "__main__":
    main()
