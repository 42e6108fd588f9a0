"""The code on Markdown pages: its blocks, what running them prints, and whether that is what the page says.

``python tests/shared/pages.py PAGE...`` runs the Python of pages and writes what it prints below it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REASON = re.compile(r"<!-- not executed: (.+?) -->\s*\Z")
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: ``python``, ``sh``, ``text``, ...; empty where none is named.
        code: its lines.
        start, stop: where the whole fence stands in the page.
        reason: why it is not executed, from the comment before it; None where it is.
    """

    language: str
    code: str
    start: int
    stop: int
    reason: str | None


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found = []
    for match in _FENCE.finditer(text):
        reason = _REASON.search(text[: match.start()])
        found.append(
            Block(match[1], match[2], match.start(), match.end(), reason[1] if reason else None)
        )
    return found


def executed(text: str) -> Iterator[tuple[Block, Block | None]]:
    """The Python blocks that are run, each with the block of ``text`` right behind it, its output."""
    found = blocks(text)
    for block, after in pairwise([*found, None]):
        assert block is not None
        if block.language == "python" and block.reason is None:
            follows = after is not None and not text[block.stop : after.start].strip()
            yield (
                block,
                after if follows and after is not None and after.language == "text" else None,
            )


def run_page(text: str, name: str) -> list[str]:
    """What each executed block prints; all blocks of a page share their names, and a folder of their own."""
    names: dict = {"__name__": "__main__"}
    printed = []
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for block, _ in executed(text):
                line = text[: block.start].count("\n") + 1
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    exec(compile("\n" * line + block.code, name, "exec"), names)
                printed.append(out.getvalue())
        finally:
            os.chdir(before)
    return printed


def differences(expected: str, got: str, *, numbers: bool = True) -> list[str]:
    """Lines that differ by more than rounding: words must be equal, numbers near each other.

    Numbers may differ by a twentieth, or by 0.02 where that is more: processors round differently, and
    what is fitted follows. Whole numbers without a point must be equal. Without ``numbers``
    only words are compared.
    """
    wanted, found = expected.strip().splitlines(), got.strip().splitlines()
    if len(wanted) != len(found):
        return [f"{len(wanted)} lines are on the page, {len(found)} were printed:\n{got}"]
    return [
        f"{a!r} is on the page, {b!r} was printed"
        for a, b in zip(wanted, found, strict=True)
        if not near(a, b, numbers=numbers)
    ]


def near(a: str, b: str, *, numbers: bool = True) -> bool:
    """Whether two lines have equal words and nearly equal numbers (without ``numbers``, any numbers)."""
    if [x.split() for x in _NUMBER.split(a)] != [x.split() for x in _NUMBER.split(b)]:
        return False
    if not numbers:
        return True
    for x, y in zip(_NUMBER.findall(a), _NUMBER.findall(b), strict=True):
        if "." not in x and "e" not in x:
            if x.replace(",", "") != y.replace(",", ""):
                return False
            continue
        first, second = float(x.replace(",", "")), float(y.replace(",", ""))
        if abs(first - second) > max(0.02, 0.05 * max(abs(first), abs(second))):
            return False
    return True


def maker(name: str) -> ModuleType:
    """A script of docs/make as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "make" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for the names of annotations
    spec.loader.exec_module(module)
    return module


def with_output(text: str, name: str) -> str:
    """The page with what its blocks print now in the place of what it says they print."""
    pairs = list(executed(text))
    for (block, output), printed in reversed(list(zip(pairs, run_page(text, name), strict=True))):
        fence = f"```text\n{printed.rstrip()}\n```"
        if output is not None and printed.strip():
            text = text[: output.start] + fence + text[output.stop :]
        elif printed.strip():
            text = text[: block.stop] + "\n\n" + fence + text[block.stop :]
    return text


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(with_output(path.read_text(encoding="utf-8"), str(path)), encoding="utf-8")
