"""Values as error messages quote them: short, on one line, whatever they hold."""

from __future__ import annotations

import reprlib
from typing import Any

MOST_CHARACTERS = 80
"""Most characters of a quoted value."""


class _Quoting(reprlib.Repr):
    """Looks at a few items of a few levels, so that a value that stands for billions costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 4, MOST_CHARACTERS, MOST_CHARACTERS
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 12

    def repr_int(self, x: int, level: int) -> str:
        """Python writes no integer of more than 4300 digits."""
        return f"an integer of {x.bit_length()} bits" if x.bit_length() > 256 else repr(x)


def quoted(value: Any) -> str:
    """A value as Python writes it, cut to 80 characters; an exception as its message.

    Examples:
        >>> quoted([1, 2])
        '[1, 2]'
        >>> len(quoted("x" * 1000))
        80
    """
    if isinstance(value, BaseException):
        text = " ".join(str(value).split())
        text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        return text if len(text) <= 2 * MOST_CHARACTERS else text[: 2 * MOST_CHARACTERS - 3] + "..."
    text = _QUOTING.repr(value)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 3] + "..."


_QUOTING = _Quoting()
