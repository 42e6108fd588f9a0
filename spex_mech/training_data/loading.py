"""Labelled images and texts of the hub, by name, or the same files in a folder."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError
from spex_mech.tasks.cells import is_empty, text
from spex_mech.tasks.hub import Dataset
from spex_mech.tasks.tables import TableRow
from spex_mech.training_data.examples import Examples
from spex_mech.training_data.vocabulary import Vocabulary

_IMAGES = ("img", "image")
_TEXTS = ("text", "sentence", "content")
_LABELS = ("label", "labels", "fine_label", "coarse_label")


@dataclass(frozen=True)
class _KnownDataset:
    hub: str
    config: str
    classes: tuple[str, ...]


_KNOWN = {
    "cifar10": _KnownDataset(
        "uoft-cs/cifar10",
        "plain_text",
        tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
    ),
    "mnist": _KnownDataset("ylecun/mnist", "mnist", tuple(str(i) for i in range(10))),
}


def load_examples(
    name: str | Path,
    *,
    data: str | Path | None = None,
    config: str | None = None,
    split: str = "train",
    revision: str = "main",
    column: str | None = None,
    label: str | None = None,
    classes: tuple[str, ...] | None = None,
    limit: int | None = None,
    seed: int = 0,
    vocabulary: Vocabulary | None = None,
    length: int = 64,
) -> Examples:
    """Load a labelled data set of images or texts; a keyword for each way in which published ones differ.

    Args:
        name: ``cifar10``, ``mnist``, any id of the hub, or a folder.
        data: a folder with the files of that data set as they lie on the hub
            (``<config>/<split>-00000-of-00001.parquet``; also ``.jsonl`` and ``.csv``), to do without
            a network.
        config: configuration of the data set, where it has several.
        split: such as ``train`` or ``test``.
        revision: commit on the hub.
        column: of the images or texts; by default one of img, image, text, sentence, content.
        label: column of the labels; by default one of label, labels, fine_label, coarse_label.
        classes: class names in the order of integer labels; by default those that the files or the
            known data sets say, or else the labels as they are written. Give the training set's to a
            test set whose labels are words.
        limit: take only so many rows, drawn at random.
        seed: of that draw.
        vocabulary: words that texts are encoded with; by default those of these texts. Give the
            training set's (``Vocabulary.of(train.texts)``) to a test set.
        length: tokens per text.

    Returns:
        Images (N, channels, height, width) from 0 to 1, or texts with token ids (N, length).

    Raises:
        MissingFileError: the files are not there, or the hub cannot be reached; says what to put where.
        InputError: a column that is not there, labels that do not match the classes, images of
            different sizes, or a broken row.
    """
    known = _KNOWN.get(str(name))
    if known is None and data is None and Path(name).is_dir():
        data = name
    hub = known.hub if known else str(name)
    folder = None if data is None else Path(data)
    config = config or (known.config if known else None)
    rows = Dataset(hub, revision, folder, alone=True).rows(config, split)
    if not rows:
        raise InputError(f"{hub} has no rows in {split!r}; name another split")
    if limit is not None and limit < len(rows):
        chosen = np.random.default_rng(seed).permutation(len(rows))[:limit]
        rows = [rows[i] for i in np.sort(chosen)]
    source = _column(rows[0], column, (*_IMAGES, *_TEXTS), "column")
    target = _column(rows[0], label, _LABELS, "label")
    names = classes or (known.classes if known else None) or _names_in(folder, target)
    labels, names = _labels(rows, target, names)
    if isinstance(rows[0][source], str):
        texts = tuple(text(row, source) for row in rows)
        words = vocabulary or Vocabulary.of(texts)
        return Examples(words.encode(texts, length), labels, names, texts)
    return Examples(_images(rows, source), labels, names)


def _column(row: TableRow, name: str | None, usual: tuple[str, ...], argument: str) -> str:
    if name is not None:
        row[name]  # raises where it is missing
        return name
    for name in usual:
        if name in row.values:
            return name
    raise InputError(
        f"{row.where} has the columns {', '.join(row.values)}, none of the usual {', '.join(usual)}; "
        f"say which with {argument}=..."
    )


def _labels(
    rows: list[TableRow], column: str, names: tuple[str, ...] | None
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Labels as positions among the class names."""
    labels = [row[column] for row in rows]
    empty = next((row for row, x in zip(rows, labels, strict=True) if is_empty(x)), None)
    if empty is not None:
        raise InputError(f"{empty.where} has no {column}; give it one, or leave the row out")
    if all(isinstance(x, (int, np.integer)) or str(x).isdecimal() for x in labels):
        numbers = np.array([int(x) for x in labels])
        return numbers, names or tuple(str(i) for i in range(int(numbers.max()) + 1))
    names = names or tuple(sorted({str(x) for x in labels}))
    place = {name: i for i, name in enumerate(names)}
    for row, x in zip(rows, labels, strict=True):
        if str(x) not in place:
            raise InputError(
                f"{row.where} has the label {x!r}, which is none of the classes {', '.join(names[:8])}; "
                "give all with classes=..."
            )
    return np.array([place[str(x)] for x in labels]), names


def _names_in(folder: Path | None, column: str) -> tuple[str, ...] | None:
    """Class names that the hub's Parquet files carry in their metadata."""
    import pyarrow.parquet as parquet

    for path in sorted(folder.rglob("*.parquet")) if folder else ():
        metadata = parquet.read_schema(path).metadata or {}
        features = (
            json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        )
        names = features.get(column, {}).get("names")
        if names:
            return tuple(str(name) for name in names)
    return None


def _images(rows: list[TableRow], column: str) -> npt.NDArray[np.float32]:
    first = _pixels(rows[0], column, None)
    out = np.empty((len(rows), *first.shape), dtype=np.float32)
    for i, row in enumerate(rows):
        image = _pixels(row, column, len(first))
        if image.shape != first.shape:
            raise InputError(
                f"{row.where} has an image of {image.shape[1:]} pixels, the first one has "
                f"{first.shape[1:]}; bring all to one size"
            )
        out[i] = image
    return out


def _pixels(row: TableRow, column: str, channels: int | None) -> npt.NDArray[np.float32]:
    """An image as (channels, height, width) from 0 to 1: one channel if it is grey, else three."""
    from PIL import Image, UnidentifiedImageError

    value: Any = row[column]
    try:
        if isinstance(value, dict):
            value = Image.open(io.BytesIO(value["bytes"]))
        if not isinstance(value, Image.Image):
            value = Image.fromarray(np.asarray(value, dtype=np.uint8))
    except (UnidentifiedImageError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{row.where} holds no image in {column!r} ({error}); expected what the hub stores: bytes "
            "of a PNG or JPEG file"
        ) from error
    grey = channels == 1 if channels else value.mode in ("1", "L")
    array = np.asarray(value.convert("L" if grey else "RGB"), dtype=np.float32) / 255.0
    return array[None] if grey else array.transpose(2, 0, 1)
