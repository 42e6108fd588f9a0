"""Heads that are written by hand, put together to a plain GPT-2 of Hugging Face.

The residual stream is divided into slots (`SLOTS`). A head reads slots with its query, key and value, and
writes slots with its output. Attention scores are sums of a few kinds of agreement, multiplied until the
softmax is all but hard.

Two things make the compilation exact to about 1e-7, in float64. A large constant of either sign stands in two
dimensions, so that layer norm divides by (nearly) the same number whatever is written elsewhere; and one more
dimension takes minus the sum of all that is written, so that layer norm subtracts 0. The MLPs are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

LAYERS, HEADS, WIDTH, POSITIONS = 4, 4, 8, 10
SIZE = HEADS * WIDTH
BOS, ASK, MARK_1, MARK_2 = 0, 1, 2, 3
CONTENT = range(4, 16)  # tokens that can be answers
VOCABULARY = 16
WORDS = ("<bos>", "?", "m1", "m2", *(f"w{i}" for i in range(len(CONTENT))))

SLOTS = {
    "bos": (3, 4),  # 1 at the first token
    "token": (4, 8),  # code of the token, ±1 in four dimensions; 0 of tokens that are no content
    "place": (8, 10),  # cos and sin of the position's angle
    "role": (10, 11),  # 1 at the positions that a task names
    "mark 1": (11, 12),
    "mark 2": (12, 13),
    "a": (13, 17),
    "b": (17, 21),
    "answer": (21, 25),  # its agreement with a token's code is the token's logit
    "flag": (25, 26),
    "junk": (26, 30),  # read by the logits of tokens that are no content
    "shift": (30, 31),  # read by all logits alike
}
_PLUS, _MINUS, _BALANCE = 0, 1, 2
_ANCHOR = 1e5
ANGLE = 2 * np.pi / POSITIONS  # between two positions


@dataclass
class HandHead:
    """One head, written by hand; all arrays start at zero.

    Attributes:
        query: float64 (SIZE + 1, WIDTH), from the residual stream and a constant 1 to the query; also ``key``
            and ``value``.
        output: float64 (WIDTH, SIZE), from the head's mixed values to the residual stream.
    """

    query: np.ndarray = field(default_factory=lambda: np.zeros((SIZE + 1, WIDTH)))
    key: np.ndarray = field(default_factory=lambda: np.zeros((SIZE + 1, WIDTH)))
    value: np.ndarray = field(default_factory=lambda: np.zeros((SIZE + 1, WIDTH)))
    output: np.ndarray = field(default_factory=lambda: np.zeros((WIDTH, SIZE)))

    def match(self, mine: str, theirs: str, sharpness: float) -> HandHead:
        """Attend where the slot ``theirs`` agrees with mine: ``sharpness`` times their inner product."""
        for k, (i, j) in enumerate(zip(_range(mine), _range(theirs), strict=True)):
            self.query[i, k], self.key[j, k] = sharpness, 1.0
        return self

    def back(self, distance: float, sharpness: float, mine: str = "place") -> HandHead:
        """Attend ``distance`` positions back from the position that the slot ``mine`` names.

        The score is ``sharpness`` times the cosine of the angle by which the positions differ.
        """
        cos, sin = np.cos(distance * ANGLE), np.sin(distance * ANGLE)
        i, j = list(_range(mine))[:2]
        self.query[[i, j], 4] = sharpness * cos, sharpness * sin
        self.query[[i, j], 5] = -sharpness * sin, sharpness * cos
        for k, dim in zip((4, 5), _range("place"), strict=True):
            self.key[dim, k] = 1.0
        return self

    def prefer(self, theirs: str, score: float) -> HandHead:
        """Add ``score`` to positions that have the flag ``theirs``."""
        self.query[SIZE, 6] = score
        self.key[_only(theirs), 6] = 1.0
        return self

    def prefer_if(self, mine: str, theirs: str, score: float, constant: float = 0.0) -> HandHead:
        """Add ``constant`` and ``score`` times my flag ``mine`` to positions with the flag ``theirs``."""
        self.query[_only(mine), 7], self.query[SIZE, 7] = score, constant
        self.key[_only(theirs), 7] = 1.0
        return self

    def move(self, source: str, target: str, gain: float = 1.0) -> HandHead:
        """Write ``gain`` times the slot ``source`` of the attended positions into my slot ``target``."""
        for k, (i, j) in enumerate(zip(_range(source), _range(target), strict=False)):
            self.value[i, k], self.output[k, j] = 1.0, gain
        return self

    def mark(
        self, target: str, constant: float, source: str | None = None, gain: float = 0.0
    ) -> HandHead:
        """Write ``constant`` plus ``gain`` times the attended flag ``source`` into my flag ``target``."""
        self.value[SIZE, 7] = constant
        if source is not None:
            self.value[_only(source), 7] = gain
        self.output[7, _only(target)] = 1.0
        return self


def gpt2(
    heads: dict[tuple[int, int], HandHead], codes: np.ndarray, role: Sequence[int], junk: np.ndarray
) -> GPT2LMHeadModel:
    """A GPT-2 whose heads are those given; a head that is not given writes nothing.

    Args:
        heads: by (layer, head), numbered from 0.
        codes: float64 (VOCABULARY, 4), codes of the tokens.
        role: positions with the flag ``role``.
        junk: float64 (VOCABULARY, 4), what each logit reads of the slot ``junk``; zero for content.
    """
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=POSITIONS,
        n_embd=SIZE,
        n_layer=LAYERS,
        n_head=HEADS,
        n_inner=1,
        tie_word_embeddings=False,
        bos_token_id=BOS,
        eos_token_id=BOS,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    weights = {
        "transformer.wte.weight": _token_embeddings(codes),
        "transformer.wpe.weight": _position_embeddings(role),
        "lm_head.weight": _unembedding(codes, junk),
        **_norm("transformer.ln_f"),
    }
    for layer in range(LAYERS):
        weights |= _block(layer, [heads.get((layer, h), HandHead()) for h in range(HEADS)])
    model = GPT2LMHeadModel(config).double()
    model.load_state_dict({k: torch.tensor(v, dtype=torch.float64) for k, v in weights.items()})
    return model.eval()


def _range(slot: str) -> range:
    return range(*SLOTS[slot])


def _only(slot: str) -> int:
    (dim,) = _range(slot)
    return dim


def _balanced(rows: np.ndarray) -> np.ndarray:
    """The rows with minus their sum in the balancing dimension."""
    out = rows.copy()
    out[:, _BALANCE] -= out.sum(axis=1)
    return out


def _token_embeddings(codes: np.ndarray) -> np.ndarray:
    rows = np.zeros((VOCABULARY, SIZE))
    rows[:, list(_range("token"))] = codes
    for token, flag in ((BOS, "bos"), (MARK_1, "mark 1"), (MARK_2, "mark 2")):
        rows[token, _only(flag)] = 1.0
    return _balanced(rows)


def _position_embeddings(role: Sequence[int]) -> np.ndarray:
    rows = np.zeros((POSITIONS, SIZE))
    angles = ANGLE * np.arange(POSITIONS)
    rows[:, list(_range("place"))] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rows[list(role), _only("role")] = 1.0
    rows[:, _PLUS], rows[:, _MINUS] = _ANCHOR, -_ANCHOR
    return _balanced(rows)


def _unembedding(codes: np.ndarray, junk: np.ndarray) -> np.ndarray:
    rows = np.zeros((VOCABULARY, SIZE))
    rows[:, list(_range("answer"))] = codes
    rows[:, list(_range("junk"))] = junk
    rows[:, _only("shift")] = 1.0
    return rows


def _norm(name: str) -> dict[str, np.ndarray]:
    """A layer norm that leaves the slots as they are."""
    weight = np.full(SIZE, _ANCHOR * np.sqrt(2 / SIZE))
    weight[[_PLUS, _MINUS, _BALANCE]] = 0.0
    return {f"{name}.weight": weight, f"{name}.bias": np.zeros(SIZE)}


def _block(layer: int, heads: Sequence[HandHead]) -> dict[str, np.ndarray]:
    name = f"transformer.h.{layer}"
    scaled = [np.sqrt(WIDTH) * head.query for head in heads]  # attention divides by sqrt(WIDTH)
    parts = [*scaled, *(head.key for head in heads), *(head.value for head in heads)]
    reading = np.concatenate(parts, axis=1)
    return {
        f"{name}.attn.c_attn.weight": reading[:SIZE],
        f"{name}.attn.c_attn.bias": reading[SIZE],
        f"{name}.attn.c_proj.weight": _balanced(np.concatenate([head.output for head in heads])),
        f"{name}.attn.c_proj.bias": np.zeros(SIZE),
        f"{name}.mlp.c_fc.weight": np.zeros((SIZE, 1)),
        f"{name}.mlp.c_fc.bias": np.zeros(1),
        f"{name}.mlp.c_proj.weight": np.zeros((1, SIZE)),
        f"{name}.mlp.c_proj.bias": np.zeros(SIZE),
        **_norm(f"{name}.ln_1"),
        **_norm(f"{name}.ln_2"),
    }
