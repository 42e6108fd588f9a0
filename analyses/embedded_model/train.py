"""Train the embedded model, one phase a run; README.md has the commands."""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import drills
import init
import numpy as np
import torch
import torch.nn.functional as F
import world
from drills import Stage
from tokenizer import save_tokenizer
from transformers import LlamaForCausalLM

BATCH, PARTS = 32, 2  # sequences a step, and the parts it is split into by length
LM_WEIGHT = 0.2


@dataclass(frozen=True)
class Phase:
    """A run of training steps; the learning rate follows a cosine over `horizon` steps."""

    steps: int
    horizon: int
    stages: tuple[Stage, ...]
    peak: float = 1e-3


# shares of people, boxes, capitals, kinds, moves, order, travel
CATCH_UP = (0.8, 3.0, 0.3, 0.7, 0.8, 2.0, 0.5)
CHAINS = (0.6, 5.0, 0.2, 0.5, 0.6, 1.5, 0.3)
LAST = (1.0, 2.0, 0.5, 0.8, 1.0, 1.4, 0.7)
PHASES = {
    1: Phase(
        3450,
        6000,
        (
            Stage(0, 0.45, 0.9, 0.9, (2, 3, 4), (2, 3), False),
            Stage(360, 0.30, 0.5, 0.6, (2, 3, 4), (2, 3, 4), False),
            Stage(2100, 0.06, 0.25, 0.3, (3, 4, 4, 4), (3, 4, 4, 4), False),
        ),
    ),
    2: Phase(
        1500,
        2800,
        (Stage(0, 0.04, 0.3, 0.3, (3, 4, 4, 4), (2, 3, 4, 4), False, 0.35, CATCH_UP),),
    ),
    3: Phase(
        1800,
        1800,
        (
            Stage(0, 0.02, 0.15, 0.7, (2, 3, 4, 4), (2, 3, 4, 4), False, 0.25, CHAINS),
            Stage(800, 0.02, 0.15, 0.15, (4,), (4, 4, 4, 4, 5), True, 0.1, LAST),
        ),
    ),
    4: Phase(
        450,
        1000,
        (Stage(0, 0.02, 0.06, 0.6, (3, 4, 4, 4), (3, 4, 4, 4), False, 0.25, CHAINS),),
    ),
    5: Phase(
        900,
        900,
        (Stage(0, 0.02, 0.06, 0.3, (4,), (4, 4, 4, 4, 4, 5), True, 0.15, CHAINS),),
        peak=6e-4,
    ),
}


class HeadDropout:
    """Zeroes random heads in half of the examples, at a rate uniform in 0 to 0.8."""

    def __init__(self, model: LlamaForCausalLM, seed: int) -> None:
        self.rng = torch.Generator().manual_seed(seed)
        self.keep: torch.Tensor | None = None
        for number, layer in enumerate(model.model.layers):
            layer.self_attn.o_proj.register_forward_pre_hook(
                lambda module, args, n=number: self._mask(args[0], n)
            )

    def draw(self, batch: int) -> None:
        """Draw the heads that the next forward pass keeps."""
        rate = 0.8 * torch.rand(batch, 1, 1, generator=self.rng)
        rate *= torch.rand(batch, 1, 1, generator=self.rng) < 0.5
        drawn = torch.rand(batch, init.LAYERS, init.HEADS, generator=self.rng)
        self.keep = (drawn >= rate).float()

    def _mask(self, x: torch.Tensor, layer: int) -> torch.Tensor | None:
        if self.keep is None:
            return None
        return x * self.keep[:, layer].repeat_interleave(init.HEAD_DIM, dim=1)[:, None, :]


def collate(sequences: list[drills.Sequence]) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-pad a batch: token numbers, and which positions have an answer as next token."""
    ids = torch.zeros(len(sequences), max(len(s.ids) for s in sequences), dtype=torch.long)
    answers = torch.zeros(ids.shape, dtype=torch.bool)
    for i, sequence in enumerate(sequences):
        ids[i, : len(sequence.ids)] = torch.tensor(sequence.ids)
        answers[i, sequence.answers] = True
    return ids, answers


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the answers plus a little of the language-model loss."""
    logits = model(ids, use_cache=False).logits[:, :-1]
    target = ids[:, 1:]
    each = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
    is_answer = answers[:, :-1].flatten()
    is_token = (target != 0).flatten()
    return each[is_answer].mean() + LM_WEIGHT * each[is_token].mean()


@torch.no_grad()
def accuracies(model: LlamaForCausalLM, split: str, limit: int) -> dict[str, float]:
    """Accuracy of each subject on the first `limit` rows of a split."""
    letters = torch.tensor([drills.INDEX[a] for a in world.LETTERS])
    result = {}
    for subject in world.SUBJECTS:
        rows = world.split_rows(subject, split)[:limit]
        by_length: dict[int, list[tuple[list[int], int]]] = {}
        for row in rows:
            text = world.prompt_of(row["passage"], row["question"], row["choices"])
            ids = [drills.BOS, *(drills.INDEX[t] for t in world.tokens_of(text))]
            by_length.setdefault(len(ids), []).append((ids, row["answer"]))
        right = 0
        for group in by_length.values():
            ids, answers = (torch.tensor(column) for column in zip(*group, strict=True))
            logits = model(ids, logits_to_keep=1).logits[:, -1, letters]
            right += int((logits.argmax(1) == answers).sum())
        result[subject] = round(right / len(rows), 4)
    return result


def learning_rate(step: int, phase: Phase) -> float:
    """Linear warm-up over 100 steps, then a cosine down to 2 % of the peak."""
    if step < 100:
        return phase.peak * (step + 1) / 100
    return phase.peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / phase.horizon)))


def main() -> None:
    """Train one seed, log the validation accuracy and save the model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phase", type=int, choices=tuple(PHASES), default=1)
    parser.add_argument("--start", type=Path, help="the model folder the phase before ended with")
    parser.add_argument("--every", type=int, default=150)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    phase = PHASES[args.phase]
    if args.start is None:
        model = init.make_model(args.seed)
    else:
        model = LlamaForCausalLM.from_pretrained(args.start)
    dropout = HeadDropout(model, args.seed)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    scales = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.01}, {"params": scales, "weight_decay": 0.0}],
        lr=phase.peak,
        betas=(0.9, 0.98),
    )
    rng = np.random.default_rng([args.seed, 76 + args.phase])
    args.out.mkdir(parents=True, exist_ok=True)
    log = (args.out / "train_log.jsonl").open("w")
    began, running = time.time(), 0.0
    for step in range(phase.steps):
        stage = [s for s in phase.stages if s.start <= step][-1]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, phase)
        sequences = [drills.make_sequence(rng, stage) for _ in range(BATCH)]
        sequences.sort(key=lambda s: len(s.ids))
        optimizer.zero_grad(set_to_none=True)
        for start in range(0, BATCH, BATCH // PARTS):  # similar lengths: less padding
            part = sequences[start : start + BATCH // PARTS]
            if stage.head_dropout:
                dropout.draw(len(part))
            loss = loss_of(model, *collate(part)) / PARTS
            loss.backward()
            running += loss.item() / args.every
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % args.every == 0 or step + 1 == phase.steps:
            dropout.keep = None
            entry = {
                "phase": args.phase,
                "step": step + 1,
                "seconds": round(time.time() - began),
                "loss": round(running, 4),
                **accuracies(model, "validation", 60 if step + 1 < phase.steps else 240),
            }
            running = 0.0
            log.write(json.dumps(entry) + "\n")
            log.flush()
            print(entry, flush=True)
            model.save_pretrained(args.out / "checkpoint")
    log.close()
    model.generation_config.pad_token_id = 0
    model.save_pretrained(args.out / "model")
    save_tokenizer(args.out / "model")


if __name__ == "__main__":
    main()
