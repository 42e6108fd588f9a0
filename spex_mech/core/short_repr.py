"""``repr`` of a result in one line: arrays by dtype and shape, long collections by their length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import fields
from typing import Any, TypeVar

from spex_mech.core.quoting import quoted

_T = TypeVar("_T")
_FEW = 4  # items that are written out
_LONGEST = 200


def short_repr(cls: type[_T]) -> type[_T]:
    """Class decorator: ``repr`` of a dataclass in one line of at most 200 characters.

    Stands above ``@dataclass``; fields with ``repr=False`` are left out.

    Examples:
        >>> from dataclasses import dataclass
        >>> @short_repr
        ... @dataclass
        ... class Found:
        ...     values: list[float]
        >>> Found([0.25] * 100)
        Found(values=<100 items>)
    """

    def written(self: Any) -> str:
        shown = [f for f in fields(self) if f.repr]
        parts = ", ".join(f"{f.name}={_short(getattr(self, f.name))}" for f in shown)
        text = f"{type(self).__name__}({parts})"
        return text if len(text) <= _LONGEST else text[: _LONGEST - 4] + "...)"

    cls.__repr__ = written  # type: ignore[method-assign]
    return cls


def _short(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"<{value.dtype} {tuple(value.shape)}>" if value.shape else str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (Mapping, Sequence, Set)) and len(value) > _FEW:
        return f"<{len(value)} items>"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {_short(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_short(v) for v in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    if isinstance(value, Callable) and hasattr(value, "__qualname__"):
        return f"<{value.__qualname__}>"
    return " ".join(repr(value).split())
