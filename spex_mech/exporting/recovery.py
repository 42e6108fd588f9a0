"""Optional recovery: a short fine-tune of the weights that pruning kept."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from spex_mech.core.errors import InputError

METHODS = ("lora", "full")
_RANK = 8  # of LoRA's updates
_IGNORED = -100


@dataclass(frozen=True, eq=False)
class Recovered:
    """A pruned model after fine-tuning. What it scores is not what pruning alone reaches.

    Attributes:
        hf: the fine-tuned model, of the same class and shapes as before, in evaluation mode.
        losses: training loss of every step, before that step's update.
        trained: numbers that were trained.
        method: ``lora`` or ``full``.
    """

    hf: Any
    losses: tuple[float, ...]
    trained: int
    method: str


def recover(
    hf: Any,
    sequences: Sequence[Sequence[int]],
    *,
    seed: int,
    method: str = "lora",
    steps: int = 100,
    batch_size: int = 8,
    learning_rate: float | None = None,
    targets: int | None = None,
) -> Recovered:
    """Fine-tune a compact model on token sequences by next-token prediction.

    Nothing in this library does this unasked. Train on the search questions only, and report what
    comes out beside the pruned model's own numbers, not in their place. ``lora`` trains low-rank
    updates of rank 8 of every linear map inside the layers (Hu et al. 2022, arXiv 2106.09685, by the package
    peft) and merges them; ``full`` trains all weights. AdamW without weight decay, gradients
    clipped to norm 1, dropout off, a constant rate.

    Args:
        hf: a model as `compact_model` makes it or a compact checkpoint holds it. It is copied. In a
            dense export the training would bring removed heads back.
        sequences: token ids, each of two or more.
        seed: seed of the order of the sequences and of LoRA's first weights.
        method: ``lora`` or ``full``.
        steps: updates.
        batch_size: sequences per update; they are drawn in shuffled passes.
        learning_rate: by default 2e-4 for ``lora``, 1e-5 for ``full``.
        targets: how many last tokens of each sequence are to be predicted; by default all but the
            first.

    Raises:
        InputError: an unknown method, no or too short sequences, numbers below one, a loss that is
            not finite, or ``lora`` without peft installed.
    """
    _check(method, sequences, steps, batch_size, targets)
    model = copy.deepcopy(hf).eval()
    frozen = [p.requires_grad for p in model.parameters()]
    trainer = _lora(model, seed) if method == "lora" else model.requires_grad_(True)
    weights = [p for p in trainer.parameters() if p.requires_grad]
    rate = learning_rate or (2e-4 if method == "lora" else 1e-5)
    optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    device = model.get_input_embeddings().weight.device
    losses = []
    for rows in _batches(len(sequences), batch_size, steps, seed):
        ids, labels = _padded([sequences[i] for i in rows], targets, device)
        with torch.enable_grad():
            logits = trainer(ids).logits[:, :-1].float()
            loss = F.cross_entropy(
                logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=_IGNORED
            )
            if not torch.isfinite(loss):
                raise InputError(
                    f"the loss became {loss.item()} at step {len(losses)}; lower learning_rate "
                    f"(it is {rate})"
                )
            optimiser.zero_grad()
            loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        losses.append(loss.item())
    if method == "lora":
        model = trainer.merge_and_unload()
    for parameter, wanted in zip(model.parameters(), frozen, strict=True):
        parameter.grad = None
        parameter.requires_grad_(wanted)
    return Recovered(model.eval(), tuple(losses), sum(w.numel() for w in weights), method)


def _lora(model: Any, seed: int) -> Any:
    try:
        peft: Any = import_module("peft")
    except ImportError as error:
        raise InputError(
            "method='lora' needs the package peft; install it with pip install peft, or use "
            "method='full'"
        ) from error
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    names = [
        name
        for name, part in model.named_modules()
        if isinstance(part, (nn.Linear, Conv1D)) and part is not head
    ]
    if not names:
        raise InputError("no linear map is left in the layers; use method='full'")
    fan_in_fan_out = isinstance(model.get_submodule(names[0]), Conv1D)
    config = peft.LoraConfig(
        r=_RANK, lora_alpha=2 * _RANK, target_modules=names, fan_in_fan_out=fan_in_fan_out
    )
    with torch.random.fork_rng():  # peft draws from the global generator
        torch.manual_seed(seed)
        return peft.get_peft_model(model, config).eval()


def _batches(n: int, size: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of every step, from shuffled passes over all n."""
    rng = np.random.default_rng(seed)
    passes = -(-steps * size // n)
    order = np.concatenate([rng.permutation(n) for _ in range(passes)])
    for step in range(steps):
        yield order[step * size : (step + 1) * size]


def _padded(
    rows: list[Sequence[int]], targets: int | None, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids padded on the right, where a causal model never sees it; labels of what counts."""
    width = max(map(len, rows))
    ids = torch.zeros((len(rows), width), dtype=torch.int64)
    labels = torch.full_like(ids, _IGNORED)
    for i, row in enumerate(rows):
        tokens = torch.tensor([int(token) for token in row])
        first = 1 if targets is None else max(1, len(row) - targets)
        ids[i, : len(row)] = tokens
        labels[i, first : len(row)] = tokens[first:]
    return ids.to(device), labels.to(device)


def _check(
    method: str,
    sequences: Sequence[Sequence[int]],
    steps: int,
    batch_size: int,
    targets: int | None,
) -> None:
    if method not in METHODS:
        raise InputError(f"unknown recovery method {method!r}; expected 'lora' or 'full'")
    short = [i for i, row in enumerate(sequences) if len(row) < 2]
    if not len(sequences) or short:
        fault = f"sequence {short[0]} has fewer" if short else "there are no sequences"
        raise InputError(f"{fault}; give token sequences of two tokens or more")
    numbers = {"steps": steps, "batch_size": batch_size, "targets": targets}
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}, expected 1 or more")
