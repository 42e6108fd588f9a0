"""Run the examples of the gallery, and write their pages, figures and notebooks.

``python docs/make/gallery.py [NAME ...]`` takes docs/gallery/NAME.py, or all of them. A script is cells,
``# %%`` for code and ``# %% [markdown]`` for text. A code cell shows what it prints and, if its last line is
an expression, that: a figure as a picture, anything else as text.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VARIES = re.compile(r"^# varies: .+$", re.MULTILINE)
GALLERY = ROOT / "docs" / "gallery"
EXTRAS = re.compile(r"^# extras: (.+)$", re.MULTILINE)
MODEL = re.compile(r"^# model: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """A cell of a script.

    Attributes:
        text: whether it is text, in Markdown; else it is code.
        body: its lines.
    """

    text: bool
    body: str


@dataclass(frozen=True)
class Shown:
    """What a code cell showed: what it printed, and its figure as PNG where it has one."""

    printed: str
    picture: bytes | None


def scripts() -> list[Path]:
    """All scripts, in the order of their names."""
    return sorted(GALLERY.glob("*.py"))


def cells(path: Path) -> list[Cell]:
    """The cells of a script, without the lines that say what it needs."""
    source = path.read_text(encoding="utf-8")
    found = []
    for part in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        kind, _, body = part.partition("\n")
        if "[markdown]" in kind:
            lines = [line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines()]
            found.append(Cell(True, "\n".join(lines)))
        else:
            found.append(Cell(False, body.strip()))
    return found


def needed_model(path: Path) -> str | None:
    """The model that a script needs and that does not come with the package."""
    match = MODEL.search(path.read_text(encoding="utf-8"))
    return match[1] if match else None


def varies(path: Path) -> bool:
    """Whether a script says that its numbers hang on the processor."""
    return VARIES.search(path.read_text(encoding="utf-8")) is not None


def run(path: Path) -> list[Shown]:
    """Run a script cell by cell in an empty folder, and return what each code cell showed."""
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for number, cell in enumerate(cells(path)):
                if not cell.text:
                    shown.append(_run_cell(cell.body, f"{path.name}, cell {number}", names))
        finally:
            os.chdir(before)
    return shown


def _run_cell(code: str, name: str, names: dict[str, Any]) -> Shown:
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    out, value = io.StringIO(), None
    with contextlib.redirect_stdout(out):
        exec(compile(tree, name, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), names)
        picture = _png(value)
        if value is not None and picture is None:
            print(value)
    return Shown(out.getvalue(), picture)


def _png(value: Any) -> bytes | None:
    from matplotlib.figure import Figure

    if not isinstance(value, Figure):
        return None
    file = io.BytesIO()
    value.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def page(path: Path, shown: list[Shown], seconds: float) -> str:
    """The page of a script that has been run; pictures are linked, not written."""
    parts, left, pictures = [], iter(shown), 0
    for number, cell in enumerate(cells(path)):
        if cell.text:
            parts.append(cell.body)
            if number == 0:
                parts.append(_links(path, seconds))
            continue
        parts.append(f"```python\n{cell.body}\n```")
        result = next(left)
        if result.printed.strip():
            parts.append(f"```text\n{result.printed.rstrip()}\n```")
        if result.picture is not None:
            pictures += 1
            parts.append(f"![What the code above draws](images/{path.stem}-{pictures}.png)")
    return "\n\n".join(parts) + "\n"


def _links(path: Path, seconds: float) -> str:
    time_taken = f"takes {seconds:.0f} seconds of one processor core"
    return f"[notebook]({path.stem}.ipynb) · [script]({path.name}) · {time_taken}"


def notebook(path: Path) -> str:
    """The script as a notebook, whose first code cell installs what it needs."""
    extras = EXTRAS.search(path.read_text(encoding="utf-8"))
    install = f'%pip install -q "spex-mech[{extras[1]}]"' if extras else "%pip install -q spex-mech"
    if (model := needed_model(path)) is not None:
        install += f"\n!spex-mech get {model}"
    first, *others = cells(path)
    every = [first, Cell(False, install), *others]
    written = []
    for number, cell in enumerate(every):
        lines = cell.body.splitlines(keepends=True)
        base: dict[str, Any] = {"id": f"cell-{number}", "metadata": {}, "source": lines}
        if cell.text:
            written.append({"cell_type": "markdown", **base})
        else:
            written.append({"cell_type": "code", "execution_count": None, "outputs": [], **base})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {
        "cells": written,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def outputs(text: str) -> list[str]:
    """What a page says that its code cells print: one text for each, empty where nothing."""
    found = []
    for match in re.finditer(
        r"^```python\n.*?^```$(?:\n\n^```text\n(.*?)^```$)?", text, re.M | re.S
    ):
        found.append(match[1] or "")
    return found


def write(path: Path) -> None:
    """Run a script, and write its page, its figures and its notebook."""
    start = time.process_time()
    shown = run(path)
    text = page(path, shown, time.process_time() - start)
    images = GALLERY / "images"
    images.mkdir(exist_ok=True)
    for old in images.glob(f"{path.stem}-*.png"):
        old.unlink()
    pictures = [result.picture for result in shown if result.picture is not None]
    for number, picture in enumerate(pictures, 1):
        (images / f"{path.stem}-{number}.png").write_bytes(picture)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    path.with_suffix(".ipynb").write_text(notebook(path), encoding="utf-8")


def main() -> None:
    """Write the pages that are named, or all of them."""
    chosen = [GALLERY / f"{name}.py" for name in sys.argv[1:]] or scripts()
    for path in chosen:
        write(path)
        print(path.stem, flush=True)


if __name__ == "__main__":
    main()
