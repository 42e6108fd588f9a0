"""The explained input in a run's folder, as JSON: enough to show it again without its model."""

from __future__ import annotations

import math
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError
from spex_mech.features.game import FeatureGame
from spex_mech.features.spans import Pair, Passage, Picture, check_spans

INPUT = "input.json"


@dataclass(frozen=True, eq=False)
class ExplainedInput:
    """An input whose parts are a run's players.

    Attributes:
        subject: the input: a `Passage`, `Picture` or `Pair`.
        value: name of the game's value.
        key: what decided the values, field by field.
        settings: the game's settings by keyword.
        command: the command line that asked for it; empty from Python.
    """

    subject: Passage | Picture | Pair
    value: str
    key: dict[str, str]
    settings: dict[str, str]
    command: str

    @property
    def kind(self) -> str:
        """The kind of input, in words."""
        return kind_of(self.subject)


def kind_of(subject: Any) -> str:
    """The kind of an input in words: ``text``, ``image``, or ``image and text``."""
    kinds = {Passage: "text", Picture: "image", Pair: "image and text"}
    return kinds[type(subject)]


def input_to_json(game: FeatureGame, command: str = "") -> dict[str, Any]:
    """A game's input. Arrays are zlib-packed bytes in base64, in C order, beside dtype and shape."""
    subject = game.subject
    passage = subject.passage if isinstance(subject, Pair) else subject
    picture = subject.picture if isinstance(subject, Pair) else subject
    content: dict[str, Any] = {"kind": kind_of(subject), "value": game.reading.label}
    if isinstance(passage, Passage):
        content["text"] = passage.text
        content["spans"] = [[span.start, span.stop] for span in passage.spans]
    if isinstance(picture, Picture):
        content["pixels"] = _packed(picture.pixels.astype("|u1"))
        content["regions"] = _packed(picture.regions.astype("<i4"))
    return {**content, "key": dict(game.key), "asked": dict(game.settings), "command": command}


def input_from_json(content: Mapping[str, Any], n: int) -> ExplainedInput:
    """Undo `input_to_json`.

    Args:
        content: what was in the file.
        n: number of players of the run.

    Raises:
        InputError: content that does not fit together, or not with the players.
        KeyError: something is missing.
    """
    passage = picture = None
    if "text" in content:
        spans = content["spans"]
        passage = Passage(
            str(content["text"]), tuple(check_spans(content["text"], spans)) if spans else ()
        )
    if "pixels" in content:
        picture = Picture(_unpacked(content["pixels"], "|u1", 3), _regions(content))
        if picture.pixels.shape != (*picture.regions.shape, 3):
            raise InputError(f"pixels are {picture.pixels.shape}, regions {picture.regions.shape}")
    subject = picture or passage if not (picture and passage) else Pair(picture, passage)
    if subject is None:
        raise InputError("it holds neither a text nor an image")
    parts = (picture.count if picture else 0) + (len(passage.spans) if passage else 0)
    if parts != n:
        raise InputError(f"its input has {parts} parts, the store {n} players")
    return ExplainedInput(
        subject,
        str(content["value"]),
        {str(k): str(v) for k, v in content["key"].items()},
        {str(k): str(v) for k, v in content["asked"].items()},
        str(content["command"]),
    )


def _regions(content: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    regions = _unpacked(content["regions"], "<i4", 2).astype(np.int64)
    numbers = np.unique(regions)
    if not np.array_equal(numbers[numbers >= 0], np.arange(numbers.max(initial=-1) + 1)):
        raise InputError("its regions are not numbered from 0 without gaps")
    return regions


def _packed(array: npt.NDArray[Any]) -> dict[str, Any]:
    data = b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "zlib": data}


def _unpacked(content: Mapping[str, Any], dtype: str, ndim: int) -> npt.NDArray[Any]:
    shape = tuple(int(side) for side in content["shape"])
    if content["dtype"] != dtype or len(shape) != ndim or min(shape) < 1:
        raise InputError(f"an array is {content['dtype']} {shape}, expected {dtype}, {ndim} sides")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        data = zlib.decompressobj().decompress(b64decode(content["zlib"]), size + 1)
    except zlib.error as error:
        raise InputError(f"an array cannot be unpacked: {error}") from None
    if len(data) != size:
        raise InputError(f"an array of shape {shape} does not have {size} bytes")
    return np.frombuffer(data, dtype=dtype).reshape(shape)
