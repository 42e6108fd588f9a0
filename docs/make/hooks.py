"""What MkDocs calls while it builds the site: generated pages, and links to files outside of ``docs``.

Pages link to other files of the repository by relative paths, as GitHub reads them. On the site such a link
becomes one to the repository's address, which the variable REPOSITORY_URL holds; without it, the file's path
in words. A link to a file that does not exist is a warning, and with ``--strict`` an error.
"""

from __future__ import annotations

import ast
import logging
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s\"#:]+)(#[^)\s\"]*)?\)")
GITHUB = "https://github.com/"
NOTEBOOK = "[notebook]("
_log = logging.getLogger("mkdocs.hooks")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made when the site is built: a page for every room, and CONTRIBUTING.md."""
    for path, text in (*api_pages().items(), ("contributing.md", contributing())):
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Turn links that leave ``docs`` into links to the repository, and offer notebooks in Colab."""
    repository = (config.repo_url or "").rstrip("/")
    source = page.file.src_uri
    folder = (ROOT / "docs" / source).parent

    def moved(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        path = Path(os.path.normpath(folder / target))
        if path.is_relative_to(ROOT / "docs") or not path.is_relative_to(ROOT):
            return match[0]
        if not path.exists():
            _log.warning(f"{source} links to {target}, which does not exist")
        place = path.relative_to(ROOT).as_posix()
        if repository:
            return f"[{label}]({repository}/blob/main/{place}{anchor})"
        return label if place in label else f"{label} (`{place}`)"

    if repository.startswith(GITHUB) and source.startswith("gallery/"):
        name = repository.removeprefix(GITHUB)
        notebook = f"{name}/blob/main/docs/{source.removesuffix('.md')}.ipynb"
        colab = f"https://colab.research.google.com/github/{notebook}"
        badge = f"[![Open in Colab](../images/colab.svg)]({colab}) · "
        markdown = markdown.replace(NOTEBOOK, badge + NOTEBOOK, 1)
    return LINK.sub(moved, markdown)


def contributing() -> str:
    """CONTRIBUTING.md with its links as they are from ``docs``."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.sub(r"\]\((?!https?:|#)", "](../", text).replace("](../docs/", "](")


def rooms() -> list[str]:
    """The rooms of the package, in the order in which data flows through them."""
    named = [line.partition(": ")[2] for line in _nav() if line.startswith("- ")]
    return [Path(path).stem for path in named if path.startswith("api/")]


def api_pages() -> dict[str, str]:
    """Path to text of the reference: the public names of ``spex_mech``, and a page for each room."""
    homes = _homes()
    public = "\n".join(
        f"| `sm.{name}` | [{room}]({room}.md) |" for name, room in sorted(homes.items())
    )
    pages = {
        "api/index.md": "# API reference\n\n`import spex_mech as sm` gives the names below; each is "
        "described on the page of its room. Rooms are listed in the order of the flow of data.\n\n"
        f"| name | room |\n|---|---|\n{public}\n"
    }
    for room in rooms():
        pages[f"api/{room}.md"] = _room_page(room)
    return pages


def _nav() -> list[str]:
    return [line.strip() for line in (ROOT / "mkdocs.yml").read_text(encoding="utf-8").splitlines()]


def _homes() -> dict[str, str]:
    """Public names to the rooms that they live in, read from the package's own table."""
    tree = ast.parse((ROOT / "spex_mech" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOME":
            return {name: home.split(".")[0] for name, home in ast.literal_eval(node.value).items()}
    raise LookupError("spex_mech/__init__.py has no table _HOME")


def _room_page(room: str) -> str:
    """A page with the room's own first page, and every module of it that has public names."""
    folder = ROOT / "spex_mech" / room
    parts = [
        f"# {room}\n\n::: spex_mech.{room}\n    options:\n      members: false\n      heading_level: 2\n"
    ]
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        kinds = (ast.FunctionDef, ast.ClassDef)
        public = [n for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]
        if not public or path.name == "__init__.py":
            continue
        module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        parts.append(f"::: {module}\n")
    return "\n".join(parts)
