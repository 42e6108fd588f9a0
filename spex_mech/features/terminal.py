"""Drawing a text in a terminal: parts painted by their effect, interactions as brackets under the lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from spex_mech.features.shown import Shown
from spex_mech.features.spans import printable

_MEMBER, _LINK, _ON = "═", "─", "┄"
_SHADES = 5
# xterm's 256 colours, from pale to strong: blue helps, red hurts
_BLUE = (189, 153, 117, 75, 33)
_RED = (224, 217, 210, 203, 196)

Cell = tuple[str, int]  # a character and its part, −1 for none


def draw(shown: Shown, width: int, *, color: bool) -> str:
    """See `View.terminal`."""
    out = [
        f"{shown.value}: {shown.effect} values{'' if not color else ' (blue helps, red hurts)'}",
        "",
    ]
    lines = list(_lines(_cells(shown), width))
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, line in enumerate(lines):
        for _, part in line:
            if part >= 0:
                first.setdefault(part, number)
                last[part] = number
    for number, line in enumerate(lines):
        out.append(_painted(line, shown.effects, shown.largest) if color else _plain(line))
        for rank, (members, value) in enumerate(shown.joint, start=1):
            in_line = {part for _, part in line if part in members}
            if in_line:
                before = min(first[i] for i in members) < number
                after = max(last[i] for i in members) > number
                bracket = _bracket(line, in_line, before=before, after=after)
                out.append(f"{bracket} {rank}: {value:+.3g}")
    out += ["", f"strongest interactions ({shown.index}; + worth more together, − partly alike):"]
    out += [
        f"{rank:>3}: {value:+10.4g}  {shown.label(members)}"
        for rank, (members, value) in enumerate(shown.joint, start=1)
    ]
    if not shown.joint:
        out.append("  none")
    out += ["", f"strongest parts ({shown.effect}):"]
    out += [f"     {shown.effects[i]:+10.4g}  {shown.names[i]}" for i in shown.strongest(8)]
    return "\n".join(line.rstrip() for line in out)


def _cells(shown: Shown) -> list[Cell]:
    """The text's characters with their parts; control characters become blanks."""
    text = shown.subject.text
    owner = [-1] * len(text)
    for i, span in enumerate(shown.subject.spans):
        owner[span.start : span.stop] = [i] * (span.stop - span.start)
    return [(c if c == "\n" else printable(c), part) for c, part in zip(text, owner, strict=True)]


def _lines(cells: list[Cell], width: int) -> Iterator[list[Cell]]:
    """Cut at white space, where a line would be longer than ``width``, and at line breaks."""
    line: list[Cell] = []
    word: list[Cell] = []
    for cell in [*cells, ("\n", -1)]:
        if not cell[0].isspace():
            word.append(cell)
            continue
        if line and _columns(line) + _columns(word) > width:
            yield line
            line = []
        line += word
        word = []
        if cell[0] == "\n":
            if line:
                yield line
            line = []
        elif line:
            line.append((" ", cell[1]))


def _columns(cells: list[Cell]) -> int:
    return sum(_wide(c) for c, _ in cells)


def _wide(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _plain(line: list[Cell]) -> str:
    return "".join(c for c, _ in line)


def _painted(line: list[Cell], effects: tuple[float, ...], largest: float) -> str:
    out, current = [], -1
    for character, part in line:
        if part != current:
            out.append("\x1b[0m" if current >= 0 else "")
            shade = 0 if part < 0 else round(_SHADES * abs(effects[part]) / largest)
            if shade:
                tone = (_BLUE if effects[part] > 0 else _RED)[shade - 1]
                out.append(f"\x1b[48;5;{tone}m\x1b[30m")
            current = part
        out.append(character)
    return "".join(out) + ("\x1b[0m" if current >= 0 else "")


def _bracket(line: list[Cell], members: set[int], *, before: bool, after: bool) -> str:
    """A line under the members, joined, and dotted where the interaction goes on in other lines."""
    places = [i for i, (_, part) in enumerate(line) if part in members]
    out = []
    for i, (character, part) in enumerate(line):
        if part in members:
            mark = _MEMBER
        elif places[0] < i < places[-1]:
            mark = _LINK
        else:
            mark = _ON if (before and i < places[0]) or (after and i > places[-1]) else " "
        out.append(mark * _wide(character))
    return "".join(out) + (_ON if after else "")
