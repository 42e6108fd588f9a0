"""What tells one function from another: its name, its code, and the variables that it reads.

A store must not give one function's values to another one. A function that says nothing of itself is told
apart by what can be read off it, recursively: the byte code of this Python version, constants, defaults,
variables of the enclosing function, and the globals that its code names. Data counts by content, modules and
classes by name. A variable that has no content of its own to compare, such as an open file or a network, is
`UNKNOWN`, and the function cannot have a store.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

UNKNOWN = "unknown"
_DEPTH = 20
_COUNT = itertools.count()


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
    digest = hashlib.sha256()
    try:
        _feed(digest.update, value, 0)
    except (TypeError, RecursionError):
        return f"{UNKNOWN} {next(_COUNT)}"
    return digest.hexdigest()[:16]


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


def _feed(update: Callable[[bytes], object], value: Any, depth: int) -> None:
    """Give a value's type and content to a hash.

    Raises:
        TypeError: the value has no content that could be compared.
    """
    if depth > _DEPTH:
        raise RecursionError
    update(f"{type(value).__qualname__}(".encode())
    inner = functools.partial(_feed, update, depth=depth + 1)
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        update(repr(value).encode("utf-8", "backslashreplace"))
    elif isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufcSU":
        update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
    elif isinstance(value, tuple | list):
        _each(inner, update, value)
    elif isinstance(value, set | frozenset):
        _each(inner, update, sorted(value, key=repr))
    elif isinstance(value, Mapping):
        _each(inner, update, [part for item in value.items() for part in item])
    elif isinstance(value, types.CodeType):
        _each(inner, update, [value.co_code, value.co_names, value.co_varnames, *value.co_consts])
    elif isinstance(value, types.ModuleType | type | types.BuiltinFunctionType | np.ufunc):
        update(f"{getattr(value, '__module__', '')}.{value.__name__}".encode())
    elif isinstance(value, types.FunctionType):
        _each(inner, update, [value.__code__, sorted(_variables(value).items())])
    elif isinstance(value, types.MethodType):
        _each(inner, update, [value.__func__, value.__self__])
    elif isinstance(value, functools.partial):
        _each(inner, update, [value.func, value.args, value.keywords])
    elif isinstance(method := vars(type(value)).get("__call__"), types.FunctionType):
        _each(inner, update, [type(value), method, vars(value)])
    else:
        raise TypeError(f"{type(value).__name__} cannot be compared")
    update(b")")


def _each(feed: Callable[[Any], None], update: Callable[[bytes], object], parts: Any) -> None:
    for part in parts:
        feed(part)
        update(b",")
