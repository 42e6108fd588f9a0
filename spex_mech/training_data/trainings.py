"""`Trainings`: masks and the values of many test points, from a run or from files; and their `SeedNoise`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.players import PlayerSet
from spex_mech.core.short_repr import short_repr
from spex_mech.designs import MaskDesign

TableSource = str | Path | npt.ArrayLike


@short_repr
@dataclass(frozen=True, eq=False)
class SeedNoise:
    """The part of the values that seeds decide.

    Attributes:
        seeds: how many seeds each value averages.
        variance: float64 (t,), variance of a single training about the average over all seeds, at each
            test point, beyond what a seed adds to every mask alike.
        ceiling: float64 (t,), the highest R² that a surrogate of the average over all seeds can be
            expected to reach on values averaged over ``seeds``: 1 − variance / (seeds · variance of the
            values), from 0 to 1. Where the seeds are the same for all masks, part of their noise is a
            function of the mask that a surrogate can learn, and R² may come out above.
    """

    seeds: int
    variance: Float64[np.ndarray, " t"]
    ceiling: Float64[np.ndarray, " t"]


@short_repr
@dataclass(frozen=True, eq=False)
class Trainings:
    """Retrained models: which subset each had, and its value at every test point.

    Attributes:
        masks: bool (m, n), True = trained on.
        margins: (m, t) values of every training and test point; kept as given (such as float16).
        players: the ordered players.
        player_classes: class name of each player, or None.
        point_classes: class name of each test point, or None.
        noise: retraining noise, where there were several seeds.

    Raises:
        InputError: masks and margins of different lengths, values that are not finite, or names that
            do not match.
    """

    masks: Bool[np.ndarray, "m n"]
    margins: npt.NDArray[np.floating]
    players: PlayerSet
    player_classes: tuple[str, ...] | None = None
    point_classes: tuple[str, ...] | None = None
    noise: SeedNoise | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        masks, margins = self.masks, self.margins
        if masks.ndim != 2 or margins.ndim != 2 or len(masks) != len(margins):
            raise InputError(
                f"there are masks of {len(masks)} trainings (shape {masks.shape}) and margins of "
                f"{len(margins)} (shape {margins.shape}); expected (m, players) and (m, test points) with "
                "one row for each training, in one order"
            )
        wanted = (
            ("players", self.players.names, masks.shape[1]),
            ("player classes", self.player_classes, masks.shape[1]),
            ("point classes", self.point_classes, margins.shape[1]),
        )
        for kind, names, count in wanted:
            if names is not None and len(names) != count:
                raise InputError(f"{len(names)} {kind} for {count} columns; give one for each")

    @cached_property
    def design(self) -> MaskDesign:
        """The masks as a design, for `sm.decode`."""
        return MaskDesign(np.asarray(self.masks), seed=0, kind="trainings")

    @property
    def points(self) -> int:
        """Number of test points."""
        return self.margins.shape[1]

    def values(self, point: int) -> Float64[np.ndarray, " m"]:
        """The values of one test point, for `sm.decode`.

        Raises:
            InputError: a test point that is not there, or a value that is not finite.
        """
        if not 0 <= point < self.points:
            raise InputError(f"test point {point} of {self.points}; count from 0")
        column = np.asarray(self.margins[:, point], dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(column))
        if len(bad):
            raise InputError(
                f"training {bad[0]} has {column[bad[0]]} at test point {point} ({len(bad)} such values); "
                "drop those trainings with take(rows)"
            )
        return column

    def take(self, rows: npt.ArrayLike) -> Trainings:
        """Some of the trainings: positions, or a bool for each; for instance to hold some out."""
        chosen = np.arange(len(self.masks))[np.asarray(rows)]
        return Trainings(
            np.asarray(self.masks[chosen]), np.asarray(self.margins[chosen]), self.players,
            self.player_classes, self.point_classes, self.noise,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.masks)


def load_trainings(
    masks: TableSource,
    margins: TableSource | None = None,
    *,
    players: int | Iterable[str] | PlayerSet | None = None,
    player_classes: Iterable[str] | None = None,
    point_classes: Iterable[str] | None = None,
) -> Trainings:
    """Load trainings that were made elsewhere, as published datamodels are: nothing is unpickled.

    Args:
        masks: a ``.npy`` file or an array (m, n) of bool or of 0 and 1; or packed bits as
            ``np.packbits(masks, axis=1)`` writes them, uint8 (m, ceil(n / 8)), with ``players=n``. Or a
            ``.parquet`` file with a row for each training: a column ``mask`` (a list of n bools or 0/1)
            and, unless ``margins`` is given, a column ``margins`` (a list of t numbers, or a number).
        margins: a ``.npy`` or ``.parquet`` file or an array, (m, t) or (m,): the value of each training
            at each test point. ``.npy`` files are mapped into memory, not read at once.
        players: how many, or their names; by default numbered.
        player_classes: class name of each player.
        point_classes: class name of each test point.

    Raises:
        MissingFileError: a file is not there.
        InputError: masks and margins of different lengths, masks that are not of 0 and 1, a file of
            another kind or one that would have to be unpickled.
    """
    named = None if players is None or isinstance(players, int) else _player_set(players)
    count = players if isinstance(players, int) else None if named is None else named.n
    if margins is None and not _is_parquet(masks):
        raise InputError("margins is missing; give the (m, test points) array or file beside masks")
    rows = _masks(_table(masks, "mask"), count)
    values = _table(masks if margins is None else margins, "margins")
    if values.dtype.kind not in "fiu" or values.ndim not in (1, 2):
        raise InputError(
            f"margins have shape {values.shape} and dtype {values.dtype}, expected numbers (m, test points)"
        )
    return Trainings(
        rows,
        values[:, None] if values.ndim == 1 else values,
        named or PlayerSet.from_names(f"#{i}" for i in range(rows.shape[1])),
        None if player_classes is None else tuple(player_classes),
        None if point_classes is None else tuple(point_classes),
    )


def seed_noise(values: npt.ArrayLike) -> SeedNoise:
    """Retraining noise from values of the same masks trained with several seeds.

    The variance is that of the interaction of mask and seed in a two-way table,
    sum (x_ms − x_m. − x_.s + x_..)² / ((m − 1)(s − 1)).

    Args:
        values: float (m, t, s), of every mask, test point and seed.

    Raises:
        InputError: fewer than two masks or seeds.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 3 or x.shape[0] < 2 or x.shape[2] < 2:
        raise InputError(
            f"values have shape {x.shape}, expected (masks, test points, seeds) with at least two masks "
            "and two seeds; evaluate a game with seeds=2 or more"
        )
    m, _, s = x.shape
    mean = x.mean(axis=2)
    rest = x - mean[:, :, None] - x.mean(axis=0) + mean.mean(axis=0)[:, None]
    variance = (rest**2).sum(axis=(0, 2)) / ((m - 1) * (s - 1))
    total = mean.var(axis=0, ddof=1)
    share = np.divide(variance / s, total, out=np.ones_like(total), where=total > 0)
    return SeedNoise(s, variance, np.clip(1.0 - share, 0.0, 1.0))


def _player_set(players: Iterable[str] | PlayerSet) -> PlayerSet:
    return players if isinstance(players, PlayerSet) else PlayerSet.from_names(players)


def _is_parquet(source: TableSource) -> bool:
    return isinstance(source, (str, Path)) and Path(source).suffix == ".parquet"


def _table(source: TableSource, column: str) -> npt.NDArray[Any]:
    if not isinstance(source, (str, Path)):
        return np.asarray(source)
    path = Path(source)
    if not path.is_file():
        raise MissingFileError(
            f"{path} is not there; give the .npy or .parquet file of the {column}s"
        )
    if path.suffix == ".npy":
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise InputError(
                f"cannot read {path}: {error}; save a plain numeric array with np.save (arrays of objects "
                "are pickled, and nothing is unpickled here)"
            ) from error
    if path.suffix == ".parquet":
        return _column(path, column)
    raise InputError(f"{path} is a {path.suffix or 'nameless'} file, expected .npy or .parquet")


def _column(path: Path, name: str) -> npt.NDArray[Any]:
    """A column of numbers, or of lists of equal length as a matrix."""
    import pyarrow
    from pyarrow import compute, parquet, types

    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} is no Parquet file: {error}; fetch it again") from None
    if name not in table.column_names:
        raise InputError(
            f"{path} has the columns {', '.join(table.column_names)}, expected one called {name!r}"
        )
    whole = table[name].combine_chunks()
    kind = whole.type
    listed = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    if not any(check(kind) for check in listed):
        return whole.to_numpy(zero_copy_only=False)
    lengths = compute.list_value_length(  # pyright: ignore[reportAttributeAccessIssue]
        whole
    ).to_numpy(zero_copy_only=False)
    if whole.null_count or len(np.unique(lengths)) > 1:
        raise InputError(
            f"the lists of {name!r} in {path} are of {len(np.unique(lengths))} lengths or missing; "
            "expected the same number of entries in every row"
        )
    flat = whole.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(whole), -1)


def _masks(array: npt.NDArray[Any], n: int | None) -> Bool[np.ndarray, "m n"]:
    if array.ndim != 2:
        raise InputError(f"masks have shape {array.shape}, expected (trainings, players)")
    if n is not None and array.dtype == np.uint8 and array.shape[1] == -(-n // 8) != n:
        return np.unpackbits(np.asarray(array), axis=1, count=n).astype(bool)
    if n is not None and array.shape[1] != n:
        raise InputError(f"masks are {array.shape[1]} players wide, expected {n}")
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf" or not np.isin(array, (0, 1)).all():
        raise InputError(
            f"masks of dtype {array.dtype} hold other values than 0 and 1 (the first row begins "
            f"{array[0, :4]}); give bool masks, or packed bits with players=n"
        )
    return np.asarray(array).astype(bool)
