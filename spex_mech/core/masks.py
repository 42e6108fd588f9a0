"""Operations on boolean masks: checking, packing into words, hashing, deduplication."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Int64, UInt64

from spex_mech.core.errors import InputError


def check_masks(masks: npt.ArrayLike, n: int | None = None) -> Bool[np.ndarray, "m n"]:
    """Return ``masks`` as a bool array (m, n), or say why it is not one.

    Args:
        masks: candidate masks; a single mask (n,) is accepted as (1, n).
        n: number of players that is expected, if known.

    Raises:
        InputError: not boolean, not two-dimensional, or not ``n`` wide.
    """
    array = np.asarray(masks)
    if array.dtype != np.bool_:
        raise InputError(
            f"masks have dtype {array.dtype}, expected bool with True = present; "
            "convert 0/1 arrays with masks.astype(bool)"
        )
    if array.ndim == 1:
        array = array[None, :]
    if array.ndim != 2:
        raise InputError(f"masks have shape {array.shape}, expected (masks, players)")
    if n is not None and array.shape[1] != n:
        raise InputError(
            f"masks are {array.shape[1]} players wide, expected {n}: one column for each player"
        )
    return array


def pack(masks: Bool[np.ndarray, "m n"]) -> UInt64[np.ndarray, "m w"]:
    """Pack masks into 64-bit words, w = ceil(n / 64): player i is bit i % 64 of word i // 64."""
    m, n = masks.shape
    words = max(1, -(-n // 64))
    packed = np.zeros((m, words * 8), dtype=np.uint8)
    packed[:, : -(-n // 8)] = np.packbits(masks, axis=1, bitorder="little")
    return packed.view("<u8").astype(np.uint64, copy=False)


def unpack(words: UInt64[np.ndarray, "m w"], n: int) -> Bool[np.ndarray, "m n"]:
    """Undo `pack`: 64-bit words (m, w) to masks (m, n)."""
    octets = np.ascontiguousarray(words, dtype="<u8").view(np.uint8)
    return np.unpackbits(octets, axis=1, count=n, bitorder="little").astype(bool)


def mask_keys(masks: Bool[np.ndarray, "m n"]) -> list[bytes]:
    """One key per mask (m, n), for dictionaries and sets; equal masks of one width have equal keys."""
    return [row.tobytes() for row in pack(masks)]


def unique(
    masks: Bool[np.ndarray, "m n"],
) -> tuple[Int64[np.ndarray, " u"], Int64[np.ndarray, " m"]]:
    """Find equal masks.

    Returns:
        ``first`` (u,): the row of each distinct mask's first appearance, in order of appearance,
        and ``inverse`` (m,) such that ``masks[first][inverse]`` equals ``masks``.
    """
    words = pack(masks)
    _, first, inverse = np.unique(words, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[inverse.reshape(-1)].astype(np.int64)


def mask_hash(masks: Bool[np.ndarray, "m n"]) -> str:
    """SHA-256 of the masks and their shape, as hexadecimal text."""
    digest = hashlib.sha256(repr(masks.shape).encode())
    digest.update(pack(masks).astype("<u8").tobytes())
    return digest.hexdigest()


def all_masks(n: int) -> Bool[np.ndarray, "m n"]:
    """All 2^n masks in table order: row i holds the players that are the 1-bits of i, player 0 = bit 0."""
    index = np.arange(1 << n, dtype=np.uint64)
    return unpack(index[:, None], n)
