"""Reading run specs: from TOML or YAML and from ``key=value``, checked before anything starts."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.quoting import quoted
from spex_mech.core.text_files import MOST_BYTES, parse_toml, parse_yaml, read_text
from spex_mech.run.spec import RunSpec


def read_spec(
    file: str | Path | None, settings: Sequence[str] = (), *, base: Mapping[str, Any] | None = None
) -> RunSpec:
    """Read a spec file and apply ``key=value`` settings to it.

    Args:
        file: a ``.toml``, ``.yaml`` or ``.yml`` file; None for the defaults.
        settings: such as ``"design.budget=500"``; a value that is not TOML is taken as text.
        base: keys and values where no file is given; it is not changed.

    Raises:
        MissingFileError: the file does not exist.
        InputError: a file that cannot be read, an unknown key or a value of the wrong type.
    """
    raw = copy.deepcopy(dict(base or {})) if file is None else _parse(Path(file))
    return with_settings(raw, settings)


def with_settings(raw: dict[str, Any], settings: Sequence[str]) -> RunSpec:
    """The spec of keys and values as a file holds them, with ``key=value`` settings applied.

    Args:
        raw: sections and keys; the settings are written into it.
        settings: see `read_spec`.

    Raises:
        InputError: an unknown key or a value of the wrong type.
    """
    if not isinstance(raw, dict):
        raise InputError(f"a spec is {quoted(raw)}, expected keys and values")
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise InputError(
                f"cannot read setting {quoted(setting)}; write key=value, as in design.budget=500"
            )
        _put(raw, path.strip().split("."), _value(text.strip()), setting)
    try:
        return RunSpec.model_validate(raw)
    except ValidationError as error:
        raise InputError(_message(error)) from None


def _parse(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise MissingFileError(f"spec {str(file)!r} does not exist; give a .toml or .yaml file")
    if file.suffix not in _PARSERS:
        raise InputError(
            f"spec {str(file)!r} ends in {file.suffix!r}; expected .toml, .yaml or .yml"
        )
    text = read_text(file, most=MOST_BYTES)
    raw = _PARSERS[file.suffix](text, f"cannot read spec {str(file)!r}: it")
    if raw is None:  # an empty file of YAML
        return {}
    if not isinstance(raw, dict):
        raise InputError(
            f"spec {str(file)!r} holds a {type(raw).__name__}, expected keys and values"
        )
    return raw


_PARSERS = {".toml": parse_toml, ".yaml": parse_yaml, ".yml": parse_yaml}


def _value(text: str) -> Any:
    if text in ("none", "null"):
        return None
    try:
        parsed = parse_toml(f"value = {text}", "the setting")
    except InputError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _put(raw: dict[str, Any], path: list[str], value: Any, setting: str) -> None:
    for key in path[:-1]:
        raw = raw.setdefault(key, {})
        if not isinstance(raw, dict):
            raise InputError(
                f"setting {quoted(setting)} goes through {quoted(key)}, which is not a section"
            )
    raw[path[-1]] = value


def _message(error: ValidationError) -> str:
    """The first mistake in a spec, as a sentence; what other types a key may have is said with it."""
    errors = error.errors(include_url=False)
    first, path = errors[0], _path(errors[0]["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown_key(path)
    if first["type"] == "invalid_key":
        return f"key {quoted('.'.join(path))} is not text; expected the keys of a spec"
    messages = [_EXPECTED.get(e["type"], e["msg"]) for e in errors if _path(e["loc"]) == path]
    words = (m.removeprefix("Value error, ").removeprefix("Input should be ") for m in messages)
    expected = " or ".join(dict.fromkeys(words)).lower()
    return f"{quoted('.'.join(path))} is {quoted(first['input'])}: input should be {expected}"


_EXPECTED = {"model_type": "keys and values"}


def _path(loc: Sequence[str | int]) -> list[str]:
    """Where a mistake is: keys and places in lists, without the types that pydantic has tried."""
    path: list[str] = []
    fields: Any = RunSpec.model_fields
    for part in loc:
        if fields is not None:
            path.append(str(part))
            fields = getattr(getattr(fields.get(part), "annotation", None), "model_fields", None)
        elif isinstance(part, int):
            path.append(str(part))
    return path


def _unknown_key(path: Sequence[str]) -> str:
    """What to say of a key that there is not."""
    keys: Any = RunSpec.model_fields
    for part in path[:-1]:
        keys = keys[part].annotation.model_fields
    near = difflib.get_close_matches(path[-1][:100], keys, n=1, cutoff=0.0)[0]
    return (
        f"unknown key {quoted('.'.join(path))}; did you mean {'.'.join([*path[:-1], near])!r}? "
        f"Keys there: {', '.join(keys)}"
    )
