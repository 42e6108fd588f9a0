"""The circuit's page: what it says of edges, curves, relations and attention, and that text is escaped."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.attention import AttentionPattern, pattern_to_json
from spex_mech.core.errors import MissingFileError
from spex_mech.core.estimates import Estimate
from spex_mech.pruning.circuit_curve import CircuitCurve
from spex_mech.pruning.curve_files import curve_from_json, curve_to_json
from spex_mech.report import plots, write_circuit_page
from spex_mech.report.contents import read_contents
from spex_mech.report.relations import CHANCE, REDUNDANCY, SYNERGY, relations
from spex_mech.run.opening import open_folder

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run"
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with a circuit, curves of two methods, and the attention of two of its heads."""
    path = tmp_path_factory.mktemp("circuit") / "run"
    shutil.copytree(FIXTURE, path)
    run = open_folder(path)
    players = sm.open_run(path / "masks").players
    heads = [node["id"] for node in json.loads((path / "circuit.json").read_text())["nodes"]][:2]
    weights = np.tril(np.ones((2, 3, 3), dtype=np.float32))
    weights /= weights.sum(axis=-1, keepdims=True)
    pattern = AttentionPattern(tuple(heads), (EVIL, " $x$", "\n"), weights)
    run.save("attention.json", [pattern_to_json(p) for p in (pattern, pattern)])
    curves = {
        name: curve_to_json(curve(players, shift)) for name, shift in (("ours", 0.0), ("b", 0.1))
    }
    run.save("circuit-curves.json", curves)
    return run


def curve(players: sm.PlayerSet, shift: float = 0.0) -> CircuitCurve:
    """A curve of two sizes with made-up numbers."""
    one = Estimate(0.5 - shift, 0.4 - shift, 0.6 - shift, 8, 0.95)
    masks = np.zeros((2, players.n), dtype=bool)
    masks[0, :3] = masks[1] = True
    sizes = (3 / players.n, 1.0)
    return CircuitCurve(
        players, sizes, masks, "margin", one, one, (one, one), (one, one), one, one, None
    )


def test_the_page_says_that_edges_are_not_causal_and_shows_all_there_is(folder):
    page = write_circuit_page(folder)
    text = page.read_text()
    assert page.name == "circuit.html"
    assert "An edge is an interaction of the spectrum" in text and "it is not a causal edge" in text
    for title in (
        "Faithfulness at every size",
        "Which parts act together",
        "What the heads attend to",
    ):
        assert title in text
    for name in ("circuit", "circuit_curves", "attention", "attention_last"):
        assert (folder.path / "figures" / f"{name}.png").stat().st_size > 1000
    assert EVIL not in text and "&lt;script&gt;alert(1)" in text
    assert not re.search(r'(src|href)="(https?:)?//', text)


def test_the_page_needs_a_circuit_only(folder, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(folder.path, copy)
    for name in ("attention.json", "circuit-curves.json", "interactions.json"):
        (copy / name).unlink()
    text = write_circuit_page(copy).read_text()
    assert "attend" not in text and "at every size" not in text and "act together" not in text
    (copy / "circuit.json").unlink()
    with pytest.raises(MissingFileError, match="spex-mech circuit"):
        write_circuit_page(copy)
    (copy / "attention.json").write_text("[{}]")
    with pytest.raises(sm.InputError, match=r"attention\.json is not what this version writes"):
        read_contents(open_folder(copy))


def test_relations_are_within_the_circuit_and_say_what_their_signs_mean(folder):
    contents = read_contents(folder)
    found = relations(contents, most=1000)
    inside = {node.name for node in contents.circuit.nodes}
    assert found and all(set(row.names) <= inside and len(row.names) > 1 for row in found)
    sizes = [abs(row.value) for row in found if len(row.names) == 2]
    assert sizes == sorted(sizes, reverse=True)
    for row in found:
        sure = row.std is None or abs(row.value) >= 2 * row.std
        assert row.kind == (CHANCE if not sure else SYNERGY if row.value > 0 else REDUNDANCY)


def test_a_curve_goes_to_json_and_back():
    players = sm.PlayerSet.from_names(f"p{i}" for i in range(6))
    made = curve(players)
    content = json.loads(json.dumps(curve_to_json(made)))
    back = curve_from_json(content, players)
    np.testing.assert_array_equal(back.masks, made.masks)
    assert (back.sizes, back.cpr, back.faithfulness) == (made.sizes, made.cpr, made.faithfulness)
    with pytest.raises(ValueError, match="1 estimates for 2 sizes"):
        curve_from_json({**content, "values": content["values"][:1]}, players)


def test_attention_figures_have_a_cell_for_each_pair_of_tokens():
    weights = np.random.default_rng(0).dirichlet(np.ones(4), (3, 4)).astype(np.float32)
    pattern = AttentionPattern(("L0H0", "L1H2", "L2H1"), ("The", " cat", " $at", " ?"), weights)
    figure = plots.attention_map(pattern)
    for axes, name, head in zip(figure.axes, pattern.heads, weights, strict=False):
        np.testing.assert_allclose(axes.images[0].get_array(), head)
        assert axes.get_title(loc="left") == name
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["The", "cat", r"\$at", "?"]
    rows = plots.attention_rows([pattern, pattern.last])
    np.testing.assert_allclose(rows.axes[1].images[0].get_array(), weights[:, -1])
    with pytest.raises(sm.InputError, match="attention_rows"):
        plots.attention_map(pattern.last)
    with pytest.raises(sm.InputError, match="of the same heads"):
        plots.attention_rows([pattern, pattern.of(["L0H0"])])
