"""What stands at the start of a GGUF file: its settings, and where its tensors lie.

The file is checked here before Transformers reads it, since a damaged one may send its readers through
billions of settings that are not there. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_NUMBERS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_MOST_DIMENSIONS = 4


@dataclass(frozen=True)
class GgufHeader:
    """The start of a GGUF file.

    Attributes:
        settings: every key with its value; of a list, its length.
        sizes: name of every tensor to its number of elements.
    """

    settings: dict[str, Any]
    sizes: dict[str, int]

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the architecture, such as ``llama``."""
        return str(self.settings.get("general.architecture", ""))


def read_header(path: Path, block_sizes: dict[int, tuple[int, int]]) -> GgufHeader:
    """Read and check the start of a GGUF file; no tensor is read.

    Args:
        path: the file.
        block_sizes: number of a tensor's type to the elements and bytes of one block.

    Raises:
        InputError: no GGUF file, one that ends early, or one whose tensors have a type that is not known.
    """
    size = path.stat().st_size
    if size < 24:
        raise InputError(f"{str(path)!r} is no GGUF file: it has {size} bytes. {_REMEDY}")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:4] != _MAGIC:
            raise InputError(
                f"{str(path)!r} is no GGUF file: it starts with {content[:4]!r}, expected {_MAGIC!r}. "
                f"{_REMEDY}"
            )
        try:
            return _Reader(content).header(block_sizes)
        except (struct.error, _DamagedError, UnicodeDecodeError) as error:
            detail = error if isinstance(error, _DamagedError) else "its settings end early"
            raise InputError(
                f"{str(path)!r} is damaged or cut short ({detail}; the file has {size:,} bytes). {_REMEDY}"
            ) from error


_REMEDY = "Download or copy the whole file again"


class _DamagedError(Exception):
    """Why a file is no whole GGUF file."""


class _Reader:
    """Reads one value after another."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._at = len(_MAGIC)

    def header(self, block_sizes: dict[int, tuple[int, int]]) -> GgufHeader:
        version, n_tensors, n_settings = self._numbers("<IQQ")
        if version not in _VERSIONS:
            raise _DamagedError(f"its version is {version}, expected 2 or 3")
        settings: dict[str, Any] = {}
        for _ in range(n_settings):
            key = self._string()
            (kind,) = self._numbers("<I")
            settings[key] = self._value(kind)
        tensors = [self._tensor(block_sizes) for _ in range(n_tensors)]
        alignment = settings.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1:
            raise _DamagedError(f"its alignment is {quoted(alignment)}")
        start = -(-self._at // alignment) * alignment
        for name, _, offset, count in tensors:
            if start + offset + count > len(self._content):
                raise _DamagedError(
                    f"tensor {quoted(name)} would end at byte {start + offset + count:,}"
                )
        return GgufHeader(settings, {name: elements for name, elements, *_ in tensors})

    def _tensor(self, block_sizes: dict[int, tuple[int, int]]) -> tuple[str, int, int, int]:
        """Name, elements, offset and bytes of a tensor."""
        name = self._string()
        (n_dimensions,) = self._numbers("<I")
        if n_dimensions > _MOST_DIMENSIONS:
            raise _DamagedError(f"tensor {quoted(name)} has {n_dimensions} dimensions")
        elements = prod(self._numbers(f"<{n_dimensions}Q"))
        kind, offset = self._numbers("<IQ")
        if kind not in block_sizes:
            raise _DamagedError(
                f"tensor {quoted(name)} has type {kind}, which no reader here knows"
            )
        per_block, n_bytes = block_sizes[kind]
        return name, elements, offset, elements // per_block * n_bytes

    def _value(self, kind: int, *, within: bool = False) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY and not within:
            of_kind, length = self._numbers("<IQ")
            if of_kind in _NUMBERS:
                self._skip(length * struct.calcsize(_NUMBERS[of_kind]))
            else:
                for _ in range(length):
                    self._value(of_kind, within=True)
            return length
        if kind not in _NUMBERS:
            raise _DamagedError(f"a setting has type {kind}")
        return self._numbers(_NUMBERS[kind])[0]

    def _numbers(self, form: str) -> tuple[Any, ...]:
        numbers = struct.unpack_from(form, self._content, self._at)
        self._at += struct.calcsize(form)
        return numbers

    def _string(self) -> str:
        (length,) = self._numbers("<Q")
        start = self._at
        self._skip(length)
        return self._content[start : self._at].decode("utf-8")

    def _skip(self, length: int) -> None:
        if self._at + length > len(self._content):
            raise _DamagedError("its settings end early")
        self._at += length
