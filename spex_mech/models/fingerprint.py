"""What a model's weights are, as one hash."""

from __future__ import annotations

import hashlib
from typing import Any

import torch


def weights_fingerprint(hf: Any) -> str:
    """SHA-256 over class name and the names, dtypes, shapes and contents of all weights, in hexadecimal."""
    digest = hashlib.sha256(type(hf).__name__.encode())
    for name, tensor in hf.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
