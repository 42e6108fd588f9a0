"""Operations that remain: counted as the engine runs, and the rate at which this machine multiplies."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode


def counted(run: Callable[[], object]) -> float:
    """Floating-point operations of all matrix products and attention kernels of a call."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    counter = FlopCounterMode(display=False, custom_mapping={attention: _attention})
    with counter:
        run()
    return float(counter.get_total_flops())


def _attention(
    q: torch.Size,
    k: torch.Size,
    v: torch.Size,
    dropout: float = 0.0,
    is_causal: bool = False,
    **_: object,
) -> int:
    """Two products of (heads, queries, keys, head_dim), half of each where causality masks it."""
    batch, heads, queries, width = q
    return 4 * batch * heads * queries * k[-2] * width // (2 if is_causal else 1)


def attainable(device: str, dtype: torch.dtype, hidden: int, inner: int, tokens: int) -> float:
    """Operations per second of ``torch.matmul`` at the sizes of the model's own MLP, best of many."""
    a = torch.randn(tokens, hidden, device=device, dtype=dtype)
    b = torch.randn(hidden, inner, device=device, dtype=dtype)
    best = 0.0
    for _ in range(30):
        began = now(device)
        for _ in range(8):
            torch.matmul(a, b)
        best = max(best, 8 * 2 * tokens * hidden * inner / (now(device) - began))
    return best


def now(device: str) -> float:
    """Seconds: of this process's own computing on a CPU, of the wall clock on a GPU that has finished."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
