"""What views say and draw."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import spex_mech as sm
from spex_mech import features
from spex_mech.core.errors import InputError
from spex_mech.features.html import _outline, _places, _png
from spex_mech.features.spans import Passage, Picture
from spex_mech.features.view import View

TEXT = "It was not bad.\nNot <b>good</b> & not bad either."
BELOW = re.compile(r"^[ ═─┄]+ \d: ")


def value(texts):
    return [("not" in t.split()) * -1.0 + 2.0 * ("not bad" in t) for t in texts]


@pytest.fixture(scope="module")
def game():
    return features.text(value, TEXT, level="word")


@pytest.fixture(scope="module")
def shown(game):
    design = sm.designs.exhaustive(game.players.n)
    return features.view(game, sm.decode(design, game(design.masks)), top=3)


def test_effects_and_interactions_are_those_of_the_spectrum(game, shown):
    spectrum = sm.exact_spectrum(game(sm.designs.exhaustive(game.players.n).masks))
    banzhaf = sm.interactions(spectrum, "Banzhaf").values
    assert shown.effects == pytest.approx([banzhaf.get((i,), 0) for i in range(10)], abs=1e-12)
    expected = sm.interactions(spectrum, "FBII", 2).joint(3)
    assert [s for s, _ in shown.joint] == [s for s, _ in expected]


def test_brackets_stand_under_their_members():
    text = "aa bb cc dd ee ff"
    spans = tuple(features.split_text(text, "word"))
    shown = View(
        Passage(text, spans),
        tuple(text.split()),
        "v",
        "Banzhaf",
        (1, -1, 0, 0, 0, 0),
        "FBII",
        (((0, 2), 1.5), ((1, 5), -0.25)),
    )
    lines = shown.terminal(20).split("\n")
    at = lines.index(text)
    assert lines[at + 1] == "══────══             1: +1.5".replace(" " * 13, " " * 10)
    assert lines[at + 2] == "   ══──────────══ 2: -0.25"
    narrow = View(shown.subject, shown.names, "v", "Banzhaf", shown.effects, "FBII", shown.joint)
    from spex_mech.features.terminal import draw

    folded = draw(narrow, 9, color=False).split("\n")
    at = folded.index("aa bb cc")
    assert folded[at + 1] == "══────══  1: +1.5"
    assert folded[at + 2] == "   ══┄┄┄┄┄ 2: -0.25".replace("┄┄┄┄┄ ", "┄┄┄┄┄ ")
    assert folded[at + 3] == "dd ee ff"
    assert folded[at + 4] == "┄┄┄┄┄┄══ 2: -0.25"


def test_colours_only_when_asked(shown):
    assert "\x1b" not in shown.terminal() and "\x1b" not in str(shown)
    painted = shown.terminal(color=True)
    assert "\x1b[48;5;" in painted
    assert (
        re.sub(r"\x1b\[[0-9;]*m", "", painted).replace(" (blue helps, red hurts)", "")
        == shown.terminal()
    )


def test_control_characters_do_not_reach_the_terminal():
    game = features.text(lambda ts: [len(t) for t in ts], "a\x1b[31mb c\x07", level="word")
    spectrum = sm.exact_spectrum(game(sm.designs.exhaustive(2).masks))
    assert "\x1b" not in str(features.view(game, spectrum)) and "\x07" not in str(
        features.view(game, spectrum)
    )


class Reader(HTMLParser):
    """The parts of a page with their texts, and which tags there are."""

    def __init__(self):
        super().__init__()
        self.parts, self.tags, self.script, self.now = {}, [], "", None

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.now = (tag, dict(attrs))

    def handle_endtag(self, tag):
        self.now = None

    def handle_data(self, data):
        if self.now is None:
            return
        tag, attrs = self.now
        if "data-part" in attrs:
            self.parts[int(attrs["data-part"])] = data
        if tag == "script":
            self.script += data


def test_the_page_holds_the_text_escaped_and_the_arcs(shown):
    reader = Reader()
    reader.feed(shown.html())
    assert [reader.parts[i] for i in range(10)] == TEXT.split()
    assert "b" not in reader.tags  # the text's own tag is text
    arcs = json.loads(re.search(r"const arcs = (.*);", reader.script)[1])
    assert [(tuple(a["parts"]), a["value"]) for a in arcs] == list(shown.joint)
    assert shown._repr_html_() == shown.html()
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:)|@import|url\(""", shown.html())


def test_nothing_in_the_text_ends_the_script():
    text = "</script><script>alert(1)</script> 'x' \"y\" ]]>"
    game = features.text(lambda ts: [float("x" in t and "y" in t) for t in ts], text, level="word")
    spectrum = sm.exact_spectrum(game(sm.designs.exhaustive(game.players.n).masks))
    reader = Reader()
    reader.feed(features.view(game, spectrum).html())
    assert reader.tags.count("script") == 1 and "alert" not in reader.script


def test_a_saved_page_is_not_overwritten(shown, tmp_path):
    path = shown.save(tmp_path / "page.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(FileExistsError, match="choose another name"):
        shown.save(path)


def windings(path: str, shape: tuple[int, int]) -> np.ndarray:
    """How often an SVG path of M, H, V and Z goes round the middle of each pixel."""
    around = np.zeros(shape, int)
    for loop in path.split("Z")[:-1]:
        x, y = map(int, re.match(r"M(\d+) (\d+)", loop).groups())
        for kind, to in re.findall(r"([HV])(\d+)", loop):
            if kind == "H":
                x = int(to)
            else:  # pixels to the left of a side that goes down are inside
                around[min(y, int(to)) : max(y, int(to)), :x] += 1 if int(to) > y else -1
                y = int(to)
    return around


def test_an_image_is_drawn_with_its_regions():
    rng = np.random.default_rng(0)
    regions = rng.integers(0, 4, (12, 9))
    pixels = rng.integers(0, 256, (12, 9, 3)).astype(np.uint8)
    shown = View(
        Picture(pixels, regions),
        tuple("abcd"),
        "v",
        "Banzhaf",
        (1, 0, -1, 0),
        "FBII",
        (((0, 2), 1.0),),
    )
    for i in range(4):
        np.testing.assert_array_equal(windings(_outline(regions == i), (12, 9)), regions == i)
    assert shown.html().count("<path data-part") == 4
    with pytest.raises(InputError, match="a terminal cannot show images"):
        shown.terminal()
    assert "+1.0000  a × c" in str(shown)


def test_the_marks_of_regions_stand_inside_them():
    ring = np.zeros((15, 21), int)
    ring[2:13, 3:18] = 1
    ring[5:10, 6:15] = 2  # region 1 is a ring, whose centre is in region 2
    ring[0, 20] = 3
    ring[7, 4:6] = 4
    for i, (x, y) in enumerate(_places(ring)):
        assert ring[int(y), int(x)] == i
    assert _places(np.zeros((4, 6), int)) == [(3.0, 2.0)]
    shown = View(
        Picture(np.zeros((15, 21, 3), np.uint8), ring),
        ("row 0 col 1", "segment 12", "a", "b", "c"),
        "v",
        "Banzhaf",
        (1, 0, 0, 0, 0),
        "FBII",
        (),
    )
    assert re.findall(r'data-label="(.*?)"', shown.html()) == ["r0 c1", "s12", "a", "b", "c"]


def test_a_png_is_read_back_by_another_library():
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with matplotlib")
    import io

    pixels = np.random.default_rng(1).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(image.open(io.BytesIO(_png(pixels)))), pixels)


def test_bad_views(game, shown):
    with pytest.raises(InputError, match="the spectrum has 2 players, the game 10"):
        features.view(game, sm.exact_spectrum(np.arange(4.0)))
    with pytest.raises(InputError, match="expected at least 20"):
        shown.terminal(5)
