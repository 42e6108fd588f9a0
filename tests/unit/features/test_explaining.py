"""What ``spex-mech explain --text`` does."""

from __future__ import annotations

import io

import numpy as np
import pytest

import spex_mech as sm
from spex_mech import features
from spex_mech.errors import InputError

PASSAGE = (
    "The key is in the basket. The basket is in the kitchen. The ring is in the box. "
    "The box is in the attic."
)
TEMPLATE = r"{text}\nWhich room is the key in?\nA. attic\nB. kitchen\nC. cellar\nD. hall\nAnswer:"


def test_a_text_from_the_command_line(tmp_path):
    page = tmp_path / "page.html"
    found = features.explain_text(
        PASSAGE, "embedded", target=[" B", " A", " C", " D"], template=TEMPLATE, out=page
    )
    assert found.game.players.n == 4 and len(found.found.run.design) == 16
    game = features.text(
        "embedded",
        PASSAGE,
        template=TEMPLATE.replace("\\n", "\n"),
        target=[" B", " A", " C", " D"],
    )
    masks = sm.designs.exhaustive(4).masks
    np.testing.assert_allclose(found.found.spectrum(masks), game(masks), atol=1e-9)
    assert all(f"  {name}\n" in found.summary() for name in game.players.names)
    assert "all 16 masks" in found.summary() and page.read_text().count("data-part") >= 4
    with pytest.raises(FileExistsError, match="choose another name"):
        features.explain_text(PASSAGE, "no such model", out=page)  # before anything is loaded


def test_a_budget_is_kept_and_the_store_goes_on(tmp_path):
    options = {
        "target": [" B", " A"],
        "template": TEMPLATE,
        "level": "word",
        "budget": 90,
        "method": "lasso",
    }
    found = features.explain_text(PASSAGE, "embedded", store=tmp_path / "s", **options)
    assert len(found.found.run.design) == 90 and found.game.players.n == 24
    again = features.explain_text(PASSAGE, "embedded", store=tmp_path / "s", **options)
    assert again.found.run.evaluated == 0
    np.testing.assert_array_equal(again.found.run.values, found.found.run.values)


def test_where_texts_come_from(tmp_path, monkeypatch):
    file = tmp_path / "text.txt"
    file.write_text("Größe. Two.", encoding="utf-8")
    assert features.explaining.read_source(f"@{file}") == "Größe. Two."
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe"))
    assert features.explaining.read_source("-") == "from a pipe"
    file.write_bytes(b"\xff\xfe\x00")
    for source, message in [
        (f"@{file}", "is not UTF-8 text"),
        ("@nowhere.txt", "does not exist"),
        ("  ", "which has no word"),
    ]:
        with pytest.raises(InputError, match=message):
            features.explaining.read_source(source)
