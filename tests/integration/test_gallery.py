"""The gallery's pages are what its scripts give: run cell by cell, they print what the pages say."""

from __future__ import annotations

import json

import pytest
from pages import ROOT, differences, maker
from registered import forget_afterwards

from spex_mech.core.errors import MissingFileError
from spex_mech.models.downloads import downloaded

gallery = maker("gallery")
SCRIPTS = gallery.scripts()


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """What a script registers with Transformers is forgotten afterwards."""
    forget_afterwards(monkeypatch)


def text_of(path):
    return path.with_suffix(".md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("default")  # of matplotlib, Transformers and peers, as in a notebook
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_prints_what_its_page_says(path):
    if (model := gallery.needed_model(path)) is not None:
        try:
            downloaded(model)
        except MissingFileError as error:
            pytest.skip(str(error))
    shown = gallery.run(path)
    said = gallery.outputs(text_of(path))
    assert len(shown) == len(said)
    exact = not gallery.varies(path)
    pairs = zip(said, shown, strict=True)
    wrong = [x for a, b in pairs for x in differences(a, b.printed, numbers=exact)]
    assert wrong == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_page_and_notebook_have_the_cells_of_the_script(path):
    page = text_of(path)
    for cell in gallery.cells(path):
        assert (cell.body if cell.text else f"```python\n{cell.body}\n```") in page
    written = path.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert written == gallery.notebook(path)
    code = [c for c in json.loads(written)["cells"] if c["cell_type"] == "code"]
    assert "".join(code[0]["source"]).startswith("%pip install -q")


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "gallery" / "index.md").read_text(encoding="utf-8")
    assert len(SCRIPTS) >= 10
    assert [path.stem for path in SCRIPTS if f"({path.stem}.md)" not in index] == []


def test_pictures_are_there_and_small():
    for path in SCRIPTS:
        for line in text_of(path).splitlines():
            if line.startswith("!["):
                picture = ROOT / "docs" / "gallery" / line.split("](")[1].rstrip(")")
                assert 0 < picture.stat().st_size < 300_000
