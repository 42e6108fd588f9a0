"""Players: the parts of a system that can be switched off, in a fixed order, with names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from spex_mech.core.errors import InputError

PlayerKind = Literal["head", "kv", "mlp", "layer", "part"]
_SELECTORS: dict[str, PlayerKind] = {"heads": "head", "kv": "kv", "mlps": "mlp", "layers": "layer"}
_LETTER: dict[PlayerKind, str] = {"head": "H", "kv": "KV", "mlp": "MLP", "layer": ""}


@dataclass(frozen=True)
class ModelShape:
    """The counts that players are drawn from; layers, heads and groups are numbered from 0.

    Attributes:
        n_layers: layers.
        n_heads: query heads of a layer with attention.
        n_kv_heads: key/value heads of a layer with attention.
        without_attention: layers that have no attention, such as the Mamba layers of a hybrid.
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    without_attention: frozenset[int] = frozenset()

    def heads_of(self, group: int) -> range:
        """The query heads that share key/value head ``group``."""
        size = self.n_heads // self.n_kv_heads
        return range(group * size, (group + 1) * size)


class HasShape(Protocol):
    """Anything with a `ModelShape`; every loaded model is one."""

    @property
    def shape(self) -> ModelShape:
        """Numbers of layers, heads and key/value heads."""
        ...


@dataclass(frozen=True)
class Player:
    """One part of a system.

    Attributes:
        name: unique text such as ``"L3H5"``, ``"L3KV1"``, ``"L3MLP"``, ``"L3"`` or ``"sent 4"``.
        kind: ``head``, ``kv`` (a key/value head with all its query heads), ``mlp``, ``layer``
            (all heads and the MLP of a layer), or ``part`` of anything that is not a model.
        layer: layer number from 0; None for a ``part``.
        index: head or group number within the layer; None for ``mlp``, ``layer`` and ``part``.
    """

    name: str
    kind: PlayerKind = "part"
    layer: int | None = None
    index: int | None = None


@dataclass(frozen=True)
class PlayerSet:
    """Ordered players with distinct names; column i of every mask is player i.

    Raises:
        InputError: no players, or two of the same name.
    """

    players: tuple[Player, ...]

    def __post_init__(self) -> None:
        if not self.players:
            raise InputError("the player set is empty; select at least one player")
        if len(self._position) != len(self.players):
            twice = sorted({p.name for p in self.players if self.names.count(p.name) > 1})
            raise InputError(f"players {twice} appear more than once; name each player once")

    def __repr__(self) -> str:
        names = self.names if self.n <= 4 else [*self.names[:3], "...", self.names[-1]]
        shown = " ".join(name if len(name) <= 24 else name[:23] + "…" for name in names)
        return f"PlayerSet({self.n} players: {' '.join(shown.split())})"

    @classmethod
    def from_names(cls, names: Iterable[str]) -> PlayerSet:
        """Players of any system, known by their names only."""
        return cls(tuple(Player(str(name)) for name in names))

    @property
    def n(self) -> int:
        """Number of players."""
        return len(self.players)

    @cached_property
    def names(self) -> list[str]:
        """Names in order."""
        return [p.name for p in self.players]

    @cached_property
    def _position(self) -> dict[str, int]:
        return {p.name: i for i, p in enumerate(self.players)}

    @cached_property
    def groups(self) -> dict[int | None, tuple[int, ...]]:
        """Players by layer: layer number (None for parts) to positions."""
        layers: dict[int | None, list[int]] = {}
        for i, p in enumerate(self.players):
            layers.setdefault(p.layer, []).append(i)
        return {layer: tuple(members) for layer, members in layers.items()}

    def index(self, name: str) -> int:
        """Position of the player called ``name``.

        Raises:
            InputError: no such player; near names are offered.
        """
        try:
            return self._position[name]
        except KeyError:
            some = ", ".join(self.names[:3])
            raise InputError(
                f"no player is called {name!r}; there are {self.n}: {some}, ..."
            ) from None

    def label(self, coalition: Sequence[int]) -> str:
        """Readable name of a set of positions, such as ``"L0H1 × L2H5"``; the empty set is ``"∅"``."""
        return " × ".join(self.names[i] for i in coalition) or "∅"

    def __len__(self) -> int:
        return len(self.players)

    def __iter__(self) -> Iterator[Player]:
        return iter(self.players)


def select_players(model: HasShape, spec: str = "heads") -> PlayerSet:
    """Choose the players of a model.

    Args:
        model: a loaded model; only its ``shape`` is read.
        spec: selections separated by blanks, each ``heads``, ``kv`` (key/value groups), ``mlps`` or
            ``layers``, optionally with the layers to take them from, counted from 0:
            ``"heads"``, ``"heads:5-7"``, ``"heads:0-3,7 mlps:5-7"``, ``"kv:0-3"``.

    Returns:
        Players in the order of the selections, then of layers, then of heads. Where some layers have no
        attention, as in hybrids of attention and Mamba, ``heads``, ``kv`` and ``layers`` without numbers
        are those of the layers that have it.

    Raises:
        InputError: a selection that is unknown, out of range, empty or overlaps another, or that asks a
            layer without attention for heads, key/value groups or the whole layer.
    """
    shape = model.shape
    players = [p for part in spec.split() for p in _parse_selection(part, shape)]
    if not players:
        raise InputError(f"players {spec!r} select nothing; try 'heads' or 'heads:0-3 mlps:0-3'")
    owner: dict[tuple[int, int], str] = {}
    for player in players:
        for unit in units(player, shape):
            if unit in owner:
                raise InputError(
                    f"players {owner[unit]} and {player.name} in {spec!r} share a part of the model; "
                    "select each part once"
                )
            owner[unit] = player.name
    return PlayerSet(tuple(players))


def units(player: Player, shape: ModelShape) -> list[tuple[int, int]]:
    """The parts of a model that a player stands for: (layer, head), with head -1 for the layer's MLP."""
    layer, index = player.layer, player.index
    if layer is None or player.kind == "part":
        raise InputError(f"player {player.name!r} is not a part of a model; use select_players")
    if player.kind == "mlp":
        return [(layer, -1)]
    if player.kind == "layer":
        return [(layer, h) for h in range(-1, shape.n_heads)]
    if index is None:
        raise InputError(f"player {player.name!r} has no head number; use select_players")
    if player.kind == "kv":
        return [(layer, h) for h in shape.heads_of(index)]
    return [(layer, index)]


def _parse_selection(part: str, shape: ModelShape) -> list[Player]:
    name, colon, ranges = part.partition(":")
    if name not in _SELECTORS:
        known = ", ".join(_SELECTORS)
        raise InputError(f"unknown player selection {part!r}; expected one of {known}")
    kind = _SELECTORS[name]
    layers = _parse_layers(part, ranges, shape) if colon else list(range(shape.n_layers))
    bare = [] if kind == "mlp" else [i for i in layers if i in shape.without_attention]
    if bare and colon:
        raise InputError(
            f"players {part!r} ask layer {bare[0]} for attention heads, which it does not have; the layers "
            f"with attention are {_numbers(set(range(shape.n_layers)) - shape.without_attention)}"
        )
    layers = [layer for layer in layers if layer not in bare]
    count = {"head": shape.n_heads, "kv": shape.n_kv_heads}.get(kind)
    chosen = []
    for layer in layers:
        for i in [None] if count is None else range(count):
            suffix = "" if i is None else str(i)
            chosen.append(Player(f"L{layer}{_LETTER[kind]}{suffix}", kind, layer, i))
    return chosen


def _parse_layers(part: str, ranges: str, shape: ModelShape) -> list[int]:
    layers: list[int] = []
    for piece in ranges.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", piece)
        if not match:
            raise InputError(
                f"cannot read layers {piece!r} in {part!r}; write numbers and ranges from 0, "
                "such as 'heads:0-3,7'"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last >= shape.n_layers:
            raise InputError(
                f"layers {piece!r} in {part!r} are out of range; this model has layers "
                f"0-{shape.n_layers - 1}, lower number first"
            )
        layers += range(first, last + 1)
    return list(dict.fromkeys(layers))


def _numbers(layers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(layers)))
