"""Cutting prompts into batches, and reading scores from them.

Equal prompts go through the model once, and so do beginnings that prompts of a batch share. A beginning that
all prompts share is left out of the batches, and is computed once for each mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from spex_mech.ablation.fast.layout import Layout
from spex_mech.models.decoder import Decoder
from spex_mech.tasks.prompts import Prompts

_SHORTEST_PREFIX = 4
_LOGITS_AT_ONCE = 2**24


@dataclass(frozen=True)
class PromptBatch:
    """p different prompts, and the k rows of the task that have one of them.

    Attributes:
        ids: int64 (t,), tokens after the shared prefix, in the order of the layout.
        layout: where the tokens stand.
        rows: int64 (k,), rows of the task.
        place: int64 (k,), the prompt of each row.
        prompt: int64 (p,), a row of the task with each prompt.
    """

    ids: torch.Tensor
    layout: Layout
    rows: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    prompt: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.prompt)

    def __getitem__(self, prompts: slice) -> PromptBatch:
        start, stop, _ = prompts.indices(len(self))
        inside = (self.place >= start) & (self.place < stop)
        return PromptBatch(
            self.ids[torch.from_numpy(self.layout.tokens_within(prompts)).to(self.ids.device)],
            self.layout[prompts],
            self.rows[inside],
            self.place[inside] - start,
            self.prompt[prompts],
        )


def read_counts(prompts: Prompts) -> npt.NDArray[np.int64]:
    """How many positions at the end of each row are read, (rows,)."""
    if prompts.answers is not None:
        return np.ones(len(prompts), dtype=np.int64)
    if prompts.targets is not None:
        return np.asarray(prompts.targets, dtype=np.int64)
    return np.array([len(t) - 1 for t in prompts.tokens], dtype=np.int64)


def shared_prefix(prompts: Prompts) -> int:
    """Number of tokens with which all prompts begin and of which none is read.

    It is 0 where sharing would save too little.
    """
    first, last = min(prompts.tokens), max(prompts.tokens)
    if first == last:
        return 0
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    shared = min(len(first), len(last)) if same is None else same
    free = min(start for start, _ in (_read_span(prompts, r) for r in range(len(prompts))))
    shared = min(shared, free)
    return shared if shared >= _SHORTEST_PREFIX else 0


def batches(
    prompts: Prompts, *, prefix: int, most: int, spare: int, distinct: bool, device: torch.device
) -> list[PromptBatch]:
    """Cut a task's rows into batches.

    Neighbours are prompts of about one length, which need little padding, or prompts that begin alike,
    whichever leaves fewer tokens to compute.

    Args:
        prompts: the task's rows.
        prefix: tokens that stand before every batch and are left out.
        most: largest number of places of a batch, padding included.
        spare: largest number of padding tokens in a segment (neighbouring prompts of one width).
        distinct: keep equal prompts and equal beginnings apart, because their fills differ.
        device: where the token ids go.
    """
    counts = read_counts(prompts)
    rows_of: dict[tuple, list[int]] = {}
    for row, tokens in enumerate(prompts.tokens):
        rows_of.setdefault((tokens, int(counts[row]), row if distinct else 0), []).append(row)

    def tokens_of(rows: list[int]) -> tuple[int, ...]:
        return prompts.tokens[rows[0]]

    orders = [sorted(rows_of.values(), key=lambda rows: len(tokens_of(rows)))]
    if not distinct:
        orders.append(sorted(rows_of.values(), key=tokens_of))
    cuts = [
        [
            _batch(prompts, group, prefix, spare, device, share=not distinct)
            for group in _groups(
                order, [len(tokens_of(rows)) - prefix for rows in order], most, spare
            )
        ]
        for order in orders
    ]
    return min(cuts, key=lambda cut: sum(batch.ids.numel() for batch in cut))


def scores(
    decoder: Decoder, prompts: Prompts, batch: PromptBatch, stream: torch.Tensor
) -> npt.NDArray[np.float32]:
    """Scores of a batch's rows, (w, k, answers) or (w, k), from the last stream (w, p·r, hidden)."""
    stream = stream.unflatten(1, (len(batch), -1))
    if prompts.answers is not None:
        return _answer_logits(decoder, prompts.answers[batch.rows], batch, stream[:, :, 0])
    return _log_probabilities(decoder, prompts, batch, stream)


def _answer_logits(
    decoder: Decoder, answers: npt.NDArray[np.int64], batch: PromptBatch, stream: torch.Tensor
) -> npt.NDArray[np.float32]:
    tokens, column = np.unique(answers, return_inverse=True)
    wanted = torch.from_numpy(tokens).to(stream.device)
    logits = _logits(decoder, decoder.norm(stream), wanted).float().cpu().numpy()
    return logits[:, batch.place[:, None], column.reshape(answers.shape)]


def _log_probabilities(
    decoder: Decoder, prompts: Prompts, batch: PromptBatch, stream: torch.Tensor
) -> npt.NDArray[np.float32]:
    counts = read_counts(prompts)[batch.prompt]
    used = np.arange(stream.shape[2]) < counts[:, None]
    predicted = np.concatenate(
        [prompts.tokens[r][-c:] for r, c in zip(batch.prompt, counts, strict=True)]
    )
    target = torch.from_numpy(predicted).to(stream.device).repeat(len(stream))
    flat = stream[:, torch.from_numpy(used).to(stream.device)].flatten(0, 1)
    at_once = max(1, _LOGITS_AT_ONCE // len(decoder.head))
    parts = []
    for states, wanted in zip(flat.split(at_once), target.split(at_once), strict=True):
        logits = _logits(decoder, decoder.norm(states), None).float()
        parts.append(logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(dim=1))
    token = torch.cat(parts).view(len(stream), -1).cpu().double().numpy()
    total = np.add.reduceat(token, np.cumsum(counts) - counts, axis=1)
    if prompts.targets is None:
        total = total / counts
    return total[:, batch.place].astype(np.float32)


def _logits(decoder: Decoder, states: torch.Tensor, tokens: torch.Tensor | None) -> torch.Tensor:
    weight, bias = decoder.head, decoder.head_bias
    if tokens is not None:
        weight, bias = weight[tokens], None if bias is None else bias[tokens]
    logits = F.linear(states, weight, bias)
    if decoder.logit_scale != 1.0:
        logits = logits * decoder.logit_scale
    if decoder.softcap is None:
        return logits
    return torch.tanh(logits / decoder.softcap) * decoder.softcap


def _read_span(prompts: Prompts, row: int) -> tuple[int, int]:
    """First and last position read in a row: the last token, or the tokens just before each target."""
    length = len(prompts.tokens[row])
    if prompts.answers is not None:
        return length - 1, length - 1
    count = length - 1 if prompts.targets is None else int(prompts.targets[row])
    return length - 1 - count, length - 2


def _groups(
    order: Sequence[list[int]], lengths: Sequence[int], most: int, spare: int
) -> list[list[list[int]]]:
    """Cut an order of prompts into groups of at most ``most`` places, and sort each by length."""
    groups: list[list[int]] = [[]]
    total, different = 0, set()
    for i, length in enumerate(lengths):
        total, different = total + length, different | {length}
        padded = min(total + spare * len(different), max(different) * (len(groups[-1]) + 1))
        if groups[-1] and padded > most:
            groups.append([])
            total, different = length, {length}
        groups[-1].append(i)
    return [[order[i] for i in sorted(group, key=lengths.__getitem__)] for group in groups]


def _widths(lengths: Sequence[int], spare: int) -> npt.NDArray[np.int64]:
    """Padded widths of prompts in order of length; a segment has at most ``spare`` padding tokens."""
    widths = np.array(lengths)
    start = 0
    for stop, length in enumerate(lengths):
        if length * (stop - start) - sum(lengths[start:stop]) > spare:
            start = stop
        widths[start : stop + 1] = length
    return widths


def _once(padded: Sequence[tuple[int, ...]]) -> npt.NDArray[np.int64]:
    """The token that stands at each place of some prompts; equal beginnings have the same ones."""
    known: dict[tuple[int, int], int] = {}
    computed = []
    for tokens in padded:
        before = -1
        for token in tokens:
            before = known.setdefault((before, token), len(known))
            computed.append(before)
    return np.array(computed)


def _batch(
    prompts: Prompts,
    group: Sequence[Sequence[int]],
    prefix: int,
    spare: int,
    device: torch.device,
    *,
    share: bool,
) -> PromptBatch:
    prompt = np.array([rows[0] for rows in group])
    tokens = [prompts.tokens[row][prefix:] for row in prompt]
    widths = _widths([len(t) for t in tokens], spare)
    padded = [t + (0,) * int(w - len(t)) for t, w in zip(tokens, widths, strict=True)]
    ids = np.concatenate(padded)
    computed = _once(padded) if share else np.arange(len(ids))
    firsts = np.unique(computed, return_index=True)[1]
    shared = len(firsts) < len(ids)
    spans = np.array([_read_span(prompts, row) for row in prompt]) - prefix
    most = int((spans[:, 1] - spans[:, 0]).max()) + 1
    reads = np.minimum(spans[:, :1] + np.arange(most), spans[:, 1:])
    return PromptBatch(
        ids=torch.from_numpy(ids[firsts] if shared else ids).to(device),
        layout=Layout(widths, reads, computed if shared else None),
        rows=np.concatenate([np.asarray(rows) for rows in group]),
        place=np.repeat(np.arange(len(group)), [len(rows) for rows in group]),
        prompt=prompt,
    )
