"""The coded design of SPEX: affine subsamplings whose aliased terms a code can tell apart.

A subsampling c has a binary n x b matrix M_c and an offset o_c. For each delay d (a shift of its
masks) it is evaluated at the 2^b masks x = M_c l + d + o_c (mod 2). The Walsh-Hadamard transform over
l of these values is

    U_{c,d}(j) = sum over S with M_c^T S = j of F(S) (-1)^{|S ∩ o_c|} (-1)^{|S ∩ d|},

so the terms fall into 2^b bins. The delays are 0 and the rows of a parity-check matrix, so the signs
of a bin that holds a single term are the syndrome of its set (SPEX, arXiv 2502.13870, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import pack, unique, unpack
from spex_mech.designs.codes import SourceCode, source_code
from spex_mech.designs.design import MaskDesign, check_size, rates
from spex_mech.designs.gf2 import gf2_rank

MIN_GROUPS = 3
_COMPLETE_PLAYERS = 14


@dataclass(frozen=True, eq=False)
class SpexStructure:
    """How the masks of a coded design were made; everything its decoder needs.

    Attributes:
        hashes: uint64 (C, n), row i of M_c as a word of b bits: player i's share of the bin number.
        offsets: bool (C, n), o_c.
        code: the source code; its words are the columns of the delays.
        b: each subsampling has 2^b bins.
        rows: int64 (C, 1 + P, 2^b), the row of the design that holds the mask of subsampling c,
            delay d and l (bit k of l belongs to column k of M_c).
    """

    hashes: UInt64[np.ndarray, "C n"]
    offsets: Bool[np.ndarray, "C n"]
    code: SourceCode
    b: int
    rows: Int64[np.ndarray, "C D B"]

    @property
    def groups(self) -> int:
        """Number of subsamplings, C."""
        return len(self.hashes)

    @property
    def max_degree(self) -> int:
        """Largest number of players in a term that can be decoded."""
        return self.code.t

    @cached_property
    def matrices(self) -> Bool[np.ndarray, "C n b"]:
        """The subsampling matrices M_c."""
        return np.stack([unpack(words[:, None], self.b) for words in self.hashes])

    @cached_property
    def delays(self) -> Bool[np.ndarray, "D n"]:
        """The zero delay, then the P rows of the parity-check matrix."""
        return _delays(self.code)

    def masks(self, group: int, index: Int64[np.ndarray, " k"]) -> Bool[np.ndarray, "D k n"]:
        """The masks of one subsampling at each delay, for the given values of l."""
        bits = unpack(index.astype(np.uint64)[:, None], self.b)
        base = (bits.astype(np.float32) @ self.matrices[group].T.astype(np.float32)) % 2 != 0
        return base ^ self.offsets[group] ^ self.delays[:, None, :]


def spex(n: int, budget: int, max_degree: int = 5, seed: int = 0) -> MaskDesign:
    """The largest coded design within a budget, for the `spex` decoder.

    It has C 2^b (1 + P) masks. There are C = 3 to 5 subsamplings of 2^b bins each: first b is made as
    large as three subsamplings allow, then C. The number of players and ``max_degree`` decide the number
    P of parities (40 for n = 100 and degree 5; never more than n). Masks are in the order of subsampling,
    delay, l. A mask that would appear again, as it must with few players, is listed once, so
    ``len(design)`` can be below that number. All 2^n masks of up to 14 players are taken if the budget
    allows. Every player is present in half of the masks.

    There should be more bins than terms: about s <= 2^b terms are found, more when few of them are
    large.

    Args:
        n: number of players.
        budget: largest number of masks.
        max_degree: most players in a term. Smaller is cheaper: each degree more costs log2(n) masks
            per bin, and lets one more wrong sign be corrected in terms of low degree.
        seed: seed of the subsamplings and offsets.

    Raises:
        InputError: a budget too small for three subsamplings of two bins, or sizes that no code has.
    """
    check_size(n, min(budget, 1 << min(n, 62)), seed)
    if max_degree < 1:
        raise InputError(f"max_degree is {max_degree}, expected at least 1")
    code = source_code(n, max_degree)
    b, groups = _size(code, budget)
    rng = np.random.default_rng(seed)
    hashes = np.stack([_hash_words(n, b, rng) for _ in range(groups)])
    offsets = rng.random((groups, n)) < 0.5
    words = np.concatenate([_words(hashes[c], offsets[c], code, b) for c in range(groups)])
    masks = unpack(words, n)
    first, inverse = unique(masks)
    rows = inverse.reshape(groups, 1 + code.parity, 1 << b)
    structure = SpexStructure(hashes, offsets, code, b, rows)
    return MaskDesign(masks[first], seed, "spex", rates(n, 0.5), structure)


def _size(code: SourceCode, budget: int) -> tuple[int, int]:
    """Bits b and number of subsamplings C of the largest design; b = n where all 2^n masks fit."""
    n, delays = code.n, 1 + code.parity
    if n <= _COMPLETE_PLAYERS and budget >= 1 << n:
        return n, MIN_GROUPS
    smallest = MIN_GROUPS * 2 * delays
    if budget < smallest:
        complete = f" (or all 2^{n} = {1 << n} masks)" if 1 << min(n, 63) < smallest else ""
        raise InputError(
            f"a budget of {budget} is too small for a coded design of {n} players and degree "
            f"{code.t}; it needs C * 2^b * (1 + P) masks with C >= {MIN_GROUPS} subsamplings, b >= 1 "
            f"and P = {code.parity} parities: at least {smallest}{complete}. Use that, a smaller "
            "max_degree, or designs.uniform with the ProxySPEX decoder"
        )
    b = (budget // (MIN_GROUPS * delays)).bit_length() - 1
    return b, budget // (delays << b)


def _hash_words(n: int, b: int, rng: np.random.Generator) -> UInt64[np.ndarray, " n"]:
    """Random b-bit words for the players: none is zero, each is used equally often, the rank is b.

    So no player shares a bin with the constant, nor, while n < 2^b, with another player.
    """
    if b >= 32:
        raise InputError(f"b = {b} bits are too many for a design; use a smaller budget")
    values = (1 << b) - 1
    while True:
        rounds = [rng.permutation(values) for _ in range(-(-n // values))]
        words = 1 + np.concatenate(rounds)[:n].astype(np.uint64)
        if gf2_rank(unpack(words[:, None], b)) == b:
            return words


def _words(
    hashes: UInt64[np.ndarray, " n"], offset: Bool[np.ndarray, " n"], code: SourceCode, b: int
) -> UInt64[np.ndarray, "m w"]:
    """Packed masks M l + d + o, delay by delay, l counting up."""
    span = pack(offset[None, :])
    for column in pack(unpack(hashes[:, None], b).T):
        span = np.concatenate([span, span ^ column])
    shifts = pack(_delays(code))
    return (shifts[:, None, :] ^ span[None, :, :]).reshape(-1, span.shape[1])


def _delays(code: SourceCode) -> Bool[np.ndarray, "D n"]:
    zero = np.zeros((1, code.n), dtype=bool)
    return np.concatenate([zero, unpack(code.columns, code.parity).T])
