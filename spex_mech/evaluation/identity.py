"""What tells one function from another: its name, its code, and the variables that it reads.

A store must not give one function's values to another one. A function that says nothing of itself is told
apart by what can be read off it, recursively: the byte code of this Python version, constants, defaults,
variables of the enclosing function, and the globals that its code names. Data counts by content, classes by
the code of their methods. Modules count by name, and so do functions and classes of Python, of this package
and of installed ones. A variable that has no content of its own to compare, such as an open file or a
network, is `UNKNOWN`, and the function cannot have a store.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

UNKNOWN = "unknown"
_COUNT = itertools.count()
_READ = (  # of a class: its methods and its data
    *(types.FunctionType, staticmethod, classmethod, property, functools.partial, type(None)),
    *(bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset, np.ndarray),
)
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def identity_of(game: Callable[..., Any]) -> dict[str, str]:
    """What decides the answers of a callable, as the fields of a key.

    Returns:
        ``function``, its qualified name; ``code``, a hash; and ``variable NAME`` for every variable that the
        code reads, a hash of its content, or a text that begins with `UNKNOWN` and is another one each time.
    """
    name = f"{getattr(game, '__module__', '')}.{getattr(game, '__qualname__', type(game).__qualname__)}"
    function = game if isinstance(game, types.FunctionType) else None
    if function is None:
        return {"function": name, "object": _hash_or_unknown(game)}
    fields = {"function": name, "code": _hash_or_unknown(function.__code__)}
    for variable, value in sorted(_variables(function).items()):
        fields[f"variable {variable}"] = _hash_or_unknown(value)
    return fields


def _hash_or_unknown(value: Any) -> str:
    content = _Content()
    try:
        content.add(value)
    except (TypeError, RecursionError):
        return f"{UNKNOWN} {next(_COUNT)}"
    return content.hash.hexdigest()[:16]


class _Content:
    """A hash of a value's types and content."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self._seen: set[int] = set()  # functions and classes that refer to each other

    def add(self, value: Any) -> None:
        """Take a value in.

        Raises:
            TypeError: it has no content that could be compared.
        """
        self._write(type(value).__qualname__)
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            self._write(repr(value))
        elif isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufcSU":
            self._write(f"{value.dtype} {value.shape}")
            self.hash.update(value.tobytes())
        elif isinstance(value, tuple | list):
            self._each(value)
        elif isinstance(value, set | frozenset):
            self._each(sorted(value, key=repr))
        elif isinstance(value, Mapping):
            self._each([part for item in value.items() for part in item])
        else:
            self._add_code(value)

    def _add_code(self, value: Any) -> None:
        if isinstance(value, types.CodeType):
            self._each([value.co_code, value.co_names, value.co_varnames, *value.co_consts])
        elif isinstance(value, types.ModuleType):
            self._write(value.__name__)
        elif _is_installed(value):
            self._write(f"{value.__module__}.{value.__name__}")
        elif isinstance(value, types.FunctionType | type):
            if id(value) not in self._seen:
                self._seen.add(id(value))
                self._each(_parts(value))
        elif isinstance(value, types.MethodType):
            self._each([value.__func__, value.__self__])
        elif isinstance(value, functools.partial):
            self._each([value.func, value.args, value.keywords])
        elif isinstance(vars(type(value)).get("__call__"), types.FunctionType):
            self._each([type(value), vars(value)])
        else:
            raise TypeError(f"{type(value).__name__} cannot be compared")

    def _each(self, parts: Iterable[Any]) -> None:
        self._write("(")
        for part in parts:
            self.add(part)
        self._write(")")

    def _write(self, text: str) -> None:
        self.hash.update(text.encode("utf-8", "backslashreplace") + b"\0")


def _parts(value: Any) -> list[Any]:
    """What makes a function or a class of the user's what it is."""
    if isinstance(value, types.FunctionType):
        return [value.__code__, sorted(_variables(value).items())]
    inside = [
        (name, getattr(part, "fget", None) or getattr(part, "__func__", part))
        for name, part in vars(value).items()
        if isinstance(part, _READ) and (callable(part) or not name.startswith("__"))
    ]
    bases = [base for base in value.__bases__ if base is not object]
    return [value.__qualname__, *sorted(inside, key=lambda item: item[0]), *bases]


def _variables(function: types.FunctionType) -> dict[str, Any]:
    """Everything outside its own body that a function reads: cells, globals, defaults."""
    cells = function.__closure__ or ()
    variables = {
        name: cell.cell_contents
        for name, cell in zip(function.__code__.co_freevars, cells, strict=True)
        if _is_filled(cell)
    }
    for name in _names(function.__code__):
        if name in function.__globals__:
            variables[name] = function.__globals__[name]
    defaults = (function.__defaults__, function.__kwdefaults__)
    return variables if defaults == (None, None) else {**variables, "defaults": defaults}


def _names(code: types.CodeType) -> set[str]:
    """Names of globals and attributes in a function and in the functions that it defines."""
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # the variable has no value yet
        return False
    return True


def _is_installed(value: Any) -> bool:
    """Whether a value is a named callable of Python, of this package or of an installed one."""
    if not callable(value) or not isinstance(getattr(value, "__name__", None), str):
        return False
    module = sys.modules.get(getattr(value, "__module__", None) or "builtins")
    if module is None or module.__name__ == "__main__":
        return False
    if module.__name__.partition(".")[0] == __name__.partition(".")[0]:
        return True
    file = getattr(module, "__file__", None)
    return file is None or file.startswith(_INSTALLED)
