"""How much fits into memory, and whether running masks together is less work than one by one."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from spex_mech.ablation.gates import Gates
from spex_mech.core.errors import InputError
from spex_mech.core.players import ModelShape
from spex_mech.models.decoder import Decoder
from spex_mech.tasks.prompts import Prompts

# A CPU's caches hold a small batch; a GPU needs a large one to be full.
_CPU_TOKENS, _CPU_ENOUGH, _CPU_KEPT = 1_024, 256, 2 * 2**30
_GPU_TOKENS, _GPU_ENOUGH, _GPU_SHARE = 65_536, 8_192, 0.3
# Multiplications in the time that one more call of an attention kernel takes.
_CPU_CALL, _GPU_CALL = 2.5e6, 2e10


class Budget:
    """How many tokens go through a layer at once; fewer from the time when memory runs out.

    Attributes:
        tokens: that number.
    """

    def __init__(self, tokens: int, device: torch.device) -> None:
        self.tokens, self._device = tokens, device

    def shrink(self, below: int | None = None) -> None:
        """Halve the number, or ``below`` if that is less, and free the memory of the batch that failed."""
        self.tokens = max(1, min(self.tokens, below or self.tokens) // 2)
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def tokens_at_once(device: torch.device, decoder: Decoder) -> int:
    """Tokens that go through a layer together."""
    if device.type != "cuda":
        return _CPU_TOKENS
    block, hidden = decoder.blocks[0], decoder.head.shape[1]
    heads, head_dim = block.q.weight.shape[:2]
    # Streams, queries, keys, values, outputs and the MLP's inner layer, some of them twice.
    a_token = decoder.head.element_size() * (
        6 * hidden + 6 * heads * head_dim + 4 * block.mlp.width
    )
    free, _ = torch.cuda.mem_get_info(device)
    return int(np.clip(free / 2 / a_token, 1, _GPU_TOKENS))


def enough_tokens(device: torch.device) -> int:
    """Tokens from which a larger batch is hardly faster."""
    return _GPU_ENOUGH if device.type == "cuda" else _CPU_ENOUGH


def spare_tokens(device: torch.device, decoder: Decoder) -> int:
    """Tokens of padding that cost as much time as one more segment, which is one more attention call."""
    block = decoder.blocks[0]
    parts = (block.q.weight, block.k.weight, block.v.weight, block.out)
    call = _GPU_CALL if device.type == "cuda" else _CPU_CALL
    return int(call // (sum(p.numel() for p in parts) + block.mlp.work))


def memory_to_keep(device: torch.device) -> int:
    """Bytes that may be kept from one mask to the next."""
    if device.type != "cuda":
        return _CPU_KEPT
    return int(torch.cuda.mem_get_info(device)[0] * _GPU_SHARE)


def bytes_per_token(decoder: Decoder, shape: ModelShape, filled_sites: int) -> int:
    """Upper bound of the bytes kept per token: stream, heads, MLP output, and fills of its own."""
    block, hidden = decoder.blocks[0], decoder.head.shape[1]
    heads = shape.n_heads * block.q.weight.shape[1]
    return decoder.head.element_size() * (2 * hidden + heads + filled_sites * max(hidden, heads))


def work(
    gates: Gates,
    blocks: Sequence[npt.NDArray[np.int64]],
    decoder: Decoder,
    *,
    first: int,
    tokens: int,
    width: int,
    enough: int,
) -> tuple[float, float]:
    """Multiplications of running masks one by one, and of running them in blocks.

    One by one, removed heads cost nothing. In blocks, masks that agree up to a layer are computed once.

    Args:
        gates: what each mask keeps.
        blocks: masks that would run together, in order.
        decoder: the model.
        first: the first ablated layer.
        tokens: tokens of all prompts.
        width: tokens of a prompt.
        enough: a batch of fewer tokens takes as long as one of this many.
    """
    block = decoder.blocks[0]
    hidden = decoder.head.shape[1]
    a_head = block.q.weight.shape[1] * (2 * hidden + width)
    a_group = block.k.weight.shape[1] * 2 * hidden
    share = len(block.q.weight) // len(block.k.weight)
    mlp = np.array([b.mlp.work for b in decoder.blocks[first:]])
    # Heads with a common norm are all projected where one is kept.
    whole = [x.weight.numel() if x.joint else 0 for x in (block.q, block.k)]
    a_head -= whole[0] // len(block.q.weight)
    a_group -= whole[1] // len(block.k.weight)

    def cost_of(heads: np.ndarray, begins: np.ndarray) -> np.ndarray:
        """Cost of the attention of rows with these heads; that of the first layer costs nothing."""
        groups = heads.reshape(*heads.shape[:-1], -1, share).any(axis=-1)
        attention = heads.sum(axis=-1) * a_head + groups.sum(axis=-1) * a_group
        attention = attention + groups.any(axis=-1) * sum(whole)
        return np.where(begins, 0.0, attention)

    heads = gates.heads & gates.attention[:, :, None]
    begins = np.arange(heads.shape[1])[first:] == first
    alone = (cost_of(heads[:, first:], begins) + gates.mlps[:, first:] * mlp).sum()
    together = 0.0
    for rows in blocks:
        before = np.zeros(len(rows), dtype=np.int64)
        for layer in range(first, heads.shape[1]):
            parents = before.max() + 1
            gate = np.column_stack([before, np.packbits(heads[rows, layer], axis=1)])
            before = np.unique(gate, axis=0, return_inverse=True)[1].reshape(-1)
            alive = np.asarray(heads[rows, layer].any(axis=0))
            together += parents * cost_of(alive, begins[layer - first])
            together += gates.mlps[rows, layer].any() * (before.max() + 1) * mlp[layer - first]
            gate = np.column_stack([before, gates.mlps[rows, layer]])
            before = np.unique(gate, axis=0, return_inverse=True)[1].reshape(-1)
    return float(alone) * max(tokens, enough), float(together) * tokens


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of some device ran out."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "DefaultCPUAllocator" in text or "out of memory" in text
    )


def too_large(error: BaseException, device: torch.device, prompts: Prompts, row: int) -> InputError:
    """What to say when memory ran out with a single mask and prompt, the one of a row."""
    return InputError(
        f"memory ran out on {device} with a single mask and prompt (row {row}, "
        f"{len(prompts.tokens[row])} tokens) in a batch. "
        "Use a smaller dtype, fewer shots or shorter prompts, a larger device, or leave "
        f"more memory free ({error})"
    )
