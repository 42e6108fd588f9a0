"""Evaluating a design: every distinct mask once, stored as it goes, resumed where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32, Float64
from tqdm.auto import tqdm

from spex_mech.designs import MaskDesign
from spex_mech.errors import InputError, NonFiniteScoreError
from spex_mech.masks import pack, unique
from spex_mech.players import PlayerSet
from spex_mech.store import RunStore
from spex_mech.types import ScoredValueFunction, ValueFunction

_CHUNK_SECONDS = 2.0

Game = ValueFunction | Callable[[npt.NDArray[np.bool_]], npt.ArrayLike]


@dataclass(frozen=True, eq=False)
class Run:
    """An evaluated design.

    Attributes:
        design: the design.
        masks: bool (m, n), the design's masks, True = present.
        values: float64 (m,).
        scores: float32 (m, examples, ...) of games that keep them, else None.
        evaluated: how many masks this call truly evaluated; the rest were equal or stored.
    """

    design: MaskDesign
    masks: Bool[np.ndarray, "m n"]
    values: Float64[np.ndarray, " m"]
    scores: Float32[np.ndarray, "m ..."] | None
    evaluated: int


def evaluate(
    game: Game,
    design: MaskDesign,
    *,
    store: str | Path | None = None,
    known: Run | None = None,
    executor: str = "local",
    progress: bool | None = None,
    label: str = "ablations",
) -> Run:
    """Evaluate a game on a design's masks.

    Equal masks are evaluated once. With a store, every finished chunk is on disk before the next
    one starts; calling again with the same game and store evaluates only what is missing.

    Args:
        game: a `ValueFunction`, or any callable from bool masks (m, n) to values (m,); its
            ``fingerprint``, if it has one, guards the store.
        design: which masks to evaluate.
        store: folder to keep the evaluations in; None keeps them in memory.
        known: an earlier run of the same game; its masks are not evaluated again.
        executor: where to evaluate; ``local`` is this process.
        progress: show a progress bar; by default when the output is a terminal.
        label: what to write beside the bar.

    Raises:
        InputError: players that do not match, values of the wrong shape, an unknown executor, or a
            store of another game.
        NonFiniteScoreError: NaN or infinite values; finished chunks stay in the store.
    """
    if executor != "local":
        raise InputError(f"unknown executor {executor!r}; expected 'local'")
    players = getattr(game, "players", None)
    if players is not None and players.n != design.n:
        raise InputError(
            f"the game has {players.n} players, the design {design.n}; use one player set"
        )
    first, inverse = unique(design.masks)
    todo = design.masks[first]
    with nullcontext() if store is None else RunStore(store, _key(game), design.n) as kept:
        parts = [] if kept is None else [kept.read()]
        if known is not None:
            parts.append((known.masks, known.values, known.scores))
        parts = [part for part in parts if len(part[0])]
        seen = np.concatenate([todo[:0], *(part[0] for part in parts)])
        missing = todo[~_contains(seen, todo)]
        bar = tqdm(
            total=len(missing),
            desc=label,
            unit="mask",
            leave=False,
            disable=None if progress is None else not progress,
        )
        with bar:
            for chunk in _chunks(missing):
                part = (chunk, *_score(game, chunk))
                if kept is not None:
                    kept.append(*part)
                parts.append(part)
                bar.update(len(chunk))
    masks = np.concatenate([p[0] for p in parts])
    values = np.concatenate([p[1] for p in parts])
    stored = [p[2] for p in parts if p[2] is not None]
    scores = np.concatenate(stored) if stored else None
    rows = _positions(masks, todo)[inverse]
    # A metric may have changed since the scores were stored; they say what the values are.
    if scores is not None and isinstance(game, ScoredValueFunction):
        values = np.asarray(game.values_from_scores(scores), dtype=np.float64)
    return Run(
        design, design.masks, values[rows], None if scores is None else scores[rows], len(missing)
    )


@dataclass(frozen=True, eq=False)
class Recorded:
    """A game that keeps every evaluation in a store and never evaluates a mask twice.

    Attributes:
        game: the game.
        store: folder of its store, shared with `evaluate`.
        progress: see `evaluate`.
        label: see `evaluate`.
    """

    game: ValueFunction
    store: Path
    progress: bool | None = None
    label: str = "ablations"

    @property
    def players(self) -> PlayerSet:
        """The game's players."""
        return self.game.players

    @property
    def fingerprint(self) -> str:
        """The game's fingerprint."""
        return self.game.fingerprint

    def __call__(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Values of masks (m, n), evaluated or read from the store."""
        design = MaskDesign(masks=masks, seed=0)
        return evaluate(
            self.game, design, store=self.store, progress=self.progress, label=self.label
        ).values


def _chunks(masks: np.ndarray):
    """Chunks that grow until one takes about two seconds, so that little is lost when a run stops."""
    start, size = 0, 8
    while start < len(masks):
        began = time.monotonic()
        yield masks[start : start + size]
        start += size
        took = time.monotonic() - began
        size = int(np.clip(size * _CHUNK_SECONDS / max(took, 1e-9), size / 2, size * 2)) or 1


def _score(game: Game, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    if isinstance(game, ScoredValueFunction):
        scores = game.scores(masks)
        values = np.asarray(game.values_from_scores(scores), dtype=np.float64)
    else:
        scores, values = None, np.asarray(game(masks), dtype=np.float64)
    if values.shape != (len(masks),):
        raise InputError(
            f"the game answered values of shape {values.shape} for {len(masks)} masks, expected "
            f"({len(masks)},)"
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise NonFiniteScoreError(
            f"the game answered {values[bad[0]]} for mask {masks[bad[0]].astype(int)}; values must be finite"
        )
    return values, scores


def _key(game: Game) -> dict[str, str]:
    key = getattr(game, "key", None)
    if isinstance(key, dict):
        return key
    return {"fingerprint": str(getattr(game, "fingerprint", "none"))}


def _rows(masks: np.ndarray) -> np.ndarray:
    """One opaque, sortable item a mask."""
    words = np.ascontiguousarray(pack(masks))
    return words.view([("", words.dtype)] * words.shape[1]).reshape(-1)


def _contains(stored: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return np.isin(_rows(wanted), _rows(stored))


def _positions(stored: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Row of each wanted mask among the stored ones, all of which are there."""
    keys = _rows(stored)
    order = np.argsort(keys, kind="stable")
    return order[np.searchsorted(keys, _rows(wanted), sorter=order)]
