"""`FeatureGame`: an input whose parts are players, as a value function over coalitions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.errors import NonFiniteScoreError
from spex_mech.core.games import SentWhole
from spex_mech.core.joint import PairValue
from spex_mech.core.masks import check_masks, pack
from spex_mech.core.packed import splitmix64
from spex_mech.core.players import PlayerSet
from spex_mech.features.values import Reading

_ENTRIES = 1 << 21  # of the arrays that masks of a chunk are turned into
_CHUNK = 4096


class FeatureSource(Protocol):
    """An input in parts, and what a model answers to it with some parts missing."""

    @property
    def counts(self) -> Int64[np.ndarray, " n"]:
        """Number of replacements of each part."""
        ...

    @property
    def size(self) -> int:
        """How large an input is: tokens, characters or parts."""
        ...

    @property
    def key(self) -> Mapping[str, str]:
        """Everything that decides the outputs, field by field."""
        ...

    def inputs(self, choices: Int64[np.ndarray, "m n"]) -> Sequence[Hashable]:
        """What the model reads, for each choice of versions (m, n); 0 = the part itself."""
        ...

    def outputs(self, inputs: Sequence[Any]) -> Float64[np.ndarray, "u k"]:
        """What the model answers to different inputs."""
        ...

    def show(self, item: Any, /) -> Any:
        """An input as its reader would see it."""
        ...


@runtime_checkable
class ReadsAblated(Protocol):
    """A reader of texts that can read them with parts of its own missing."""

    def ablated(self, text: FeatureGame, other: Any, /) -> PairValue | None:
        """The value of a text's masks with those of another game; None for a game of another kind."""
        ...


class FeatureGame(SentWhole):
    """What a model makes of an input with some of its parts removed: ``game(masks)`` -> float64 (m,).

    Made by `text`, `image` and `image_text`. Equal inputs are given to the model once per call.

    Args:
        players: the parts.
        source: the input and the model.
        reading: the value.
        subject: the input as it was given, for views: a `Passage`, `Picture` or `Pair`.
        seed: seed of the replacements that are drawn where a part has several.
        settings: the settings by keyword, for readers of reports; they decide no value.
        batch: number of masks that are evaluated together; by default what suits the input's size.
    """

    def __init__(
        self,
        players: PlayerSet,
        source: FeatureSource,
        reading: Reading,
        subject: Any,
        *,
        seed: int = 0,
        settings: Mapping[str, str] | None = None,
        batch: int | None = None,
    ) -> None:
        self._players = players
        self.source, self.reading, self.subject, self.seed = source, reading, subject, seed
        self.settings = dict(settings or {})
        self.batch = batch or int(np.clip(2**18 // max(1, source.size), 16, 1024))

    @property
    def players(self) -> PlayerSet:
        """The ordered players."""
        return self._players

    @cached_property
    def key(self) -> dict[str, str]:
        """Everything that decides the values, field by field."""
        key = {
            **self.source.key,
            "players": " | ".join(self._players.names),
            "value": f"{self.reading.name} of {self.reading.target}",
        }
        if (self.source.counts > 1).any():
            key["replacement seed"] = str(self.seed)
        return key

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key, as hexadecimal text."""
        return hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()

    def __call__(self, masks: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
        """Values (m,) of masks (m, n), True = present.

        Raises:
            InputError: masks that are not bool or not n wide, or a model that fails.
            NonFiniteScoreError: a value that is NaN or infinite; names the mask.
        """
        checked = check_masks(masks, self._players.n)
        values = np.empty(len(checked))
        known: dict[bytes, float] = {}
        step = int(np.clip(_ENTRIES // max(self.source.size, self._players.n), 1, _CHUNK))
        for start in range(0, len(checked), step):
            part = checked[start : start + step]
            values[start : start + step] = self._values(part, start, known)
        return values

    def shown(self, mask: npt.ArrayLike) -> Any:
        """What the model reads under one mask (n,): a text, an image array, or both.

        Raises:
            InputError: a mask that is not bool or not n wide.
        """
        choice = choose(check_masks(mask, self._players.n), self.source.counts, self.seed)
        return self.source.show(self.source.inputs(choice)[0])

    def joined_with(self, other: Any, /) -> PairValue | None:
        """The value of this text's masks together with those of parts of the model that reads it.

        Args:
            other: a `TaskGame` of the same model; anything else, or a text that no causal model reads, does
                not go together, which gives None.

        Raises:
            InputError: a `TaskGame` of another model or ablation, or a value that cannot be had; see `joint`.
        """
        reader = getattr(self.source, "reader", None)
        return reader.ablated(self, other) if isinstance(reader, ReadsAblated) else None

    def with_seed(self, seed: int) -> FeatureGame:
        """The same game with other replacements drawn."""
        return FeatureGame(
            self._players,
            self.source,
            self.reading,
            self.subject,
            seed=seed,
            settings=self.settings,
            batch=self.batch,
        )

    def _values(
        self, masks: Bool[np.ndarray, "c n"], start: int, known: dict[bytes, float]
    ) -> Float64[np.ndarray, " c"]:
        inputs = self.source.inputs(choose(masks, self.source.counts, self.seed))
        digests = [_digest(x) for x in inputs]
        new = {d: i for i, d in reversed(list(enumerate(digests))) if d not in known}
        rows = sorted(new.values())
        if rows:
            scores = self.reading(self.source.outputs([inputs[i] for i in rows]))
            bad = np.flatnonzero(~np.isfinite(scores))
            if len(bad):
                row = rows[bad[0]]
                gone = [
                    n for n, kept in zip(self._players.names, masks[row], strict=True) if not kept
                ]
                raise NonFiniteScoreError(
                    f"mask {start + row} (without {', '.join(gone[:8]) or 'nothing'}"
                    f"{', ...' if len(gone) > 8 else ''}) scores {scores[bad[0]]}; load the model in "
                    "float32, or choose another value"
                )
            known.update(zip((digests[i] for i in rows), scores.tolist(), strict=True))
        return np.array([known[d] for d in digests])

    def __repr__(self) -> str:
        return (
            f"FeatureGame({self._players.n} players, {self.reading.name} of {self.reading.target!r}, "
            f"{self.subject!r})"
        )


def model_name(model: Any) -> str:
    """What readers call a model: its name or folder, or what kind of thing it is."""
    if isinstance(model, (str, Path)):
        return str(model)
    config = getattr(model, "config", None)
    names = (getattr(model, "name", None), getattr(config, "_name_or_path", None))
    kind = getattr(model, "__qualname__", type(model).__name__)
    return next((name for name in names if isinstance(name, str) and name), kind)


def _digest(model_input: Hashable) -> bytes:
    raw = model_input if isinstance(model_input, bytes) else repr(model_input).encode()
    return hashlib.blake2b(raw, digest_size=16).digest()


def choose(
    masks: Bool[np.ndarray, "m n"], counts: Int64[np.ndarray, " n"], seed: int
) -> Int64[np.ndarray, "m n"]:
    """Draw a replacement for every removed part, always the same for the same seed, mask and part.

    Args:
        masks: bool (m, n), True = present.
        counts: int (n,), how many replacements each part has, 1 or more.
        seed: another seed draws others; it matters only where a part has several.

    Returns:
        int64 (m, n): 0 where present, else the number of the replacement, from 1.
    """
    if (counts == 1).all():
        return (~masks).astype(np.int64)
    row = np.full(len(masks), np.uint64(seed & 0xFFFFFFFFFFFFFFFF))
    for word in pack(masks).T:
        row = splitmix64(row ^ word)
    column = np.arange(masks.shape[1], dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)
    drawn = splitmix64(row[:, None] + column) % counts.astype(np.uint64)
    return np.where(masks, 0, drawn.astype(np.int64) + 1)
