"""The site: the reference has every public name, and links are true wherever the site is published."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from pages import ROOT, maker

import spex_mech as sm

pytest.importorskip("mkdocs", reason="builds the site")
hooks = maker("hooks")


def shown(markdown: str, source: str, repository: str = "") -> str:
    page = SimpleNamespace(file=SimpleNamespace(src_uri=source))
    return hooks.on_page_markdown(markdown, page, SimpleNamespace(repo_url=repository))


def test_the_reference_has_every_public_name():
    pages = hooks.api_pages()
    index = pages["api/index.md"]
    rooms = {name for name in sm.__all__ if f"api/{name}.md" in pages}
    listed = {name: room for name, room in re.findall(r"`sm\.(\w+)` \| \[(\w+)\]", index)}
    assert set(listed) | rooms == set(sm.__all__)
    for name, room in listed.items():
        module = getattr(sm, name).__module__
        assert f"::: {module}\n" in pages[f"api/{room}.md"]


def test_links_out_of_docs_are_addresses_where_one_is_known_and_words_where_not():
    link = "See [rows](../analyses/benchmarks/rows/README.md#x) and [tasks](tasks.md)."
    place = "analyses/benchmarks/rows/README.md"
    assert shown(link, "choosing.md") == f"See rows (`{place}`) and [tasks](tasks.md)."
    known = shown(link, "choosing.md", "https://example.org/mine/")
    assert (
        known == f"See [rows](https://example.org/mine/blob/main/{place}#x) and [tasks](tasks.md)."
    )


def test_notebooks_open_in_colab_where_the_repository_is_on_github():
    line = "[notebook](01_first_run.ipynb) · [script](01_first_run.py)"
    source = "gallery/01_first_run.md"
    assert shown(line, source) == shown(line, source, "https://example.org/mine") == line
    badge = shown(line, source, "https://github.com/owner/name")
    address = "https://colab.research.google.com/github/owner/name/blob/main/docs/gallery/01_first_run.ipynb"
    assert f"]({address}) · {line}" in badge


def test_no_page_names_an_address_of_the_repository_that_is_not_known():
    for path in [ROOT / "mkdocs.yml", ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        assert "colab.research" not in path.read_text(encoding="utf-8"), path
