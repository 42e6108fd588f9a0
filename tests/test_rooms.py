"""The layout holds: a room for every module, a first page for every room, one meaning per type name."""

from __future__ import annotations

import ast
import doctest
import re
import tomllib
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spex_mech"
ROOMS = sorted(p.parent.name for p in PACKAGE.glob("*/__init__.py"))
MOST_LINES, MOST_PARAMETERS = 60, 8
REASON = re.compile("keyword|option|parameters")  # how a first line says why there are more


def functions(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [x for x in ast.walk(tree) if isinstance(x, ast.FunctionDef | ast.AsyncFunctionDef)]


def lines_of_code(function: ast.FunctionDef, source: list[str]) -> int:
    """Lines of a function without its docstring, comments and blank lines."""
    skipped: set[int] = set()
    if ast.get_docstring(function) is not None:
        skipped.update(range(function.body[0].lineno, (function.body[0].end_lineno or 0) + 1))
    lines = range(function.lineno, (function.end_lineno or 0) + 1)
    code = (source[i - 1].strip() for i in lines if i not in skipped)
    return sum(1 for line in code if line and not line.startswith("#"))


def test_no_module_lies_at_the_root():
    assert {p.name for p in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_the_contract_names_every_room_and_is_short():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = tomllib.loads(text)["tool"]["importlinter"]["contracts"][0]["layers"]
    named = [part.strip() for layer in layers for part in layer.split("|")]
    assert sorted(named) == [f"spex_mech.{room}" for room in ROOMS]
    contract = text[text.index("[[tool.importlinter.contracts]]") :]
    assert len(contract.strip().splitlines()) <= 40


def test_tests_mirror_the_rooms():
    tested = {
        p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and any(p.rglob("test_*.py"))
    }
    assert tested - {"analyses", "integration"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_first_page_whose_example_runs(room):
    module = import_module(f"spex_mech.{room}")
    assert module.__doc__ is not None
    page = " ".join(module.__doc__.split())
    for word in ("In: ", "Out: ", "A new ", ">>> "):
        assert word in page, f"the docstring of {room} lacks {word!r}"
    (example,) = doctest.DocTestFinder(recurse=False).find(module, room, globs={})
    with np.printoptions(legacy="1.25"):
        assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


def test_a_type_name_means_one_thing():
    homes: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                homes[node.name.lstrip("_")].append(str(path.relative_to(PACKAGE)))
            elif isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.unparse(node.annotation):
                homes[ast.unparse(node.target).lstrip("_")].append(str(path.relative_to(PACKAGE)))
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_functions_are_short_and_take_few_parameters_or_say_why():
    long = []
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8").splitlines()
        for function in functions(path):
            names = [x.arg for x in (*function.args.args, *function.args.kwonlyargs)]
            count = len([name for name in names if name not in ("self", "cls")])
            first = (ast.get_docstring(function) or "").split("\n")[0]
            if count > MOST_PARAMETERS and not REASON.search(first):
                long.append(f"{path.relative_to(ROOT)}: {function.name} takes {count} parameters")
            if (lines := lines_of_code(function, source)) > MOST_LINES and not REASON.search(first):
                long.append(f"{path.relative_to(ROOT)}: {function.name} has {lines} lines of code")
    assert long == []
