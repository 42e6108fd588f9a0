"""`pip install spex-mech` brings what is imported and no more; the other files that a release needs agree."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spex_mech"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BROUGHT = {  # by a dependency, of whose interface they are a part
    "markupsafe": "jinja2",
    "tokenizers": "transformers",
    "PIL": "matplotlib",
}
OUTSIDE = {"vllm"}  # imports us as a plug-in


def _distribution(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _imported() -> set[str]:
    """First names of all modules that the package imports."""
    names = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"spex_mech"}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    of = {
        name: {d.lower().replace("_", "-") for d in found}
        for name, found in packages_distributions().items()
    }
    always = {_distribution(x) for x in PROJECT["dependencies"]}
    extras = PROJECT["optional-dependencies"]
    optional = {_distribution(x) for name in extras if name != "dev" for x in extras[name]}
    imported = _imported() - OUTSIDE
    homes = {name: of.get(name, {name.lower()}) for name in imported}
    undeclared = {n for n, d in homes.items() if not d & (always | optional) and n not in BROUGHT}
    assert undeclared == set()
    assert {_distribution(BROUGHT[name]) for name in imported & set(BROUGHT)} <= always
    used = set().union(*homes.values())
    assert always - used == set()


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"] and citation["license"] == PROJECT["license"]
    assert citation["cff-version"] == "1.2.0" and {"message", "title", "authors"} <= set(citation)


def test_the_release_tries_every_version_that_is_promised():
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    tried = workflow["jobs"]["try"]["strategy"]["matrix"]["python"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert tried == promised and PROJECT["requires-python"] == f">={promised[0]}"


def test_types_are_promised_and_a_page_is_carried():
    assert (PACKAGE / "py.typed").is_file() and "Typing :: Typed" in PROJECT["classifiers"]
    templates = {p.name for p in (PACKAGE / "report").glob("*.j2")}
    assert {"page.html.j2", "style.css.j2"} <= templates
