"""Files of text that people write: UTF-8 with or without a byte-order mark, TOML, YAML and JSON.

Editors and spreadsheets of some systems begin a file with a byte-order mark; it is never part of the text.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted

_MARK = b"\xef\xbb\xbf"
MOST_BYTES = 1 << 20
"""Most bytes of a spec or a card."""
_MOST_ALIASES = 20  # with more, a few lines of YAML can stand for billions of values
_MOST_LEVELS = 50  # of YAML


def read_text(path: Path, *, exact: bool = False, most: int | None = None) -> str:
    """The text of a UTF-8 file, without its byte-order mark.

    Args:
        path: the file.
        exact: keep line ends as they are, which CSV needs; else all become one line feed.
        most: most bytes; None for any number.

    Raises:
        InputError: the file cannot be opened, is too large or is not UTF-8; names the file and the
            position of the first byte that is not.
    """
    try:
        if most is not None and path.stat().st_size > most:
            raise InputError(f"{path} has {path.stat().st_size} bytes, expected at most {most}")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {path}: {reason}; give a file that can be read") from None
    start = len(_MARK) if data.startswith(_MARK) else 0
    try:
        text = data[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        at = start + error.start
        line = data.count(b"\n", 0, at) + 1
        raise InputError(
            f"{path} is not UTF-8 text: byte {at} (0x{data[at]:02x}, in line {line}) cannot be read; "
            "save the file as UTF-8 (in a spreadsheet 'CSV UTF-8')"
        ) from None
    return text if exact else text.replace("\r\n", "\n").replace("\r", "\n")


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The keys and values of TOML; ``where`` begins messages.

    Raises:
        InputError: text that is not TOML, or nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also of a number with thousands of digits
        raise InputError(f"{where} is not TOML: {quoted(error)}") from None
    except RecursionError:
        raise InputError(_nested(where)) from None


def parse_json(text: str, where: str) -> Any:
    """The content of JSON; ``where`` begins messages.

    Raises:
        InputError: text that is not JSON, is nested too deeply, or has half a surrogate pair.
    """
    try:
        content = json.loads(text)
        if "\\ud" in text or "\\uD" in text:  # a surrogate, of which a half cannot be written again
            json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{where} has half of a surrogate pair (\\ud800 to \\udfff alone), which is no character; "
            "remove it"
        ) from None
    except ValueError as error:
        raise InputError(f"{where} is not JSON ({quoted(error)}); correct it") from None
    except RecursionError:
        raise InputError(_nested(where)) from None
    return content


def parse_yaml(text: str, where: str) -> Any:
    """The content of YAML; ``where`` begins messages.

    Raises:
        InputError: text that is not YAML, is nested too deeply, or has more than 20 aliases.
    """
    import yaml

    try:
        aliases = depth = 0
        for event in yaml.parse(
            text
        ):  # the parser takes the square of the depth, so it is stopped early
            aliases += isinstance(event, yaml.AliasEvent)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_LEVELS:
                raise InputError(_nested(where))
        if aliases > _MOST_ALIASES:
            raise InputError(
                f"{where} has {aliases} aliases (*name), expected at most {_MOST_ALIASES}; write the "
                "values out"
            )
        return yaml.safe_load(text)
    except InputError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{where} is not YAML ({quoted(error)}); correct it") from None
    except RecursionError:
        raise InputError(_nested(where)) from None


def _nested(where: str) -> str:
    return f"{where} is nested too deeply; expected a few levels"
