"""Explained inputs as runs: ``explain_features``, ``spex-mech explain --text``, their folders and reports."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import spex_mech as sm
from spex_mech import cli, features
from spex_mech.cli.explain import read_source
from spex_mech.core.errors import InputError, OutputExistsError
from spex_mech.core.players import PlayerSet
from spex_mech.features.game import FeatureGame
from spex_mech.features.options import ExplainOptions as Options
from spex_mech.features.spans import Pair, Picture
from spex_mech.features.values import Reading
from spex_mech.report import write_report
from spex_mech.run.decode import decode_folder
from spex_mech.run.designs import check_design, search_design
from spex_mech.run.explain_features import explain_features
from spex_mech.run.explained_input import input_from_json, input_to_json
from spex_mech.run.opening import open_folder

PASSAGE = (
    "The key is in the basket. The basket is in the kitchen. The ring is in the box. "
    "The box is in the attic."
)
QUESTION = r"\nWhich room is the key in?\nA. attic\nB. kitchen\nC. cellar\nD. hall\nAnswer:"
EVIL = "</script><script>alert(1)</script> <img src=x onerror=alert(2)> & 'not' bad \"at\" all"
TOLD = ("--text", PASSAGE, "--template", "{text}" + QUESTION, "--target", " B", "--target", " A")


def ask(*arguments) -> str:
    done = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    if done.exception is not None:
        raise done.exception
    return done.output


def length(texts):
    """A value in which words act together."""
    return [2.0 * ("not" in t and "bad" in t) + 0.1 * len(t.split()) for t in texts]


@pytest.fixture(scope="module")
def word_game():
    return features.text(
        length, "it is not so very bad at all my dear old friend of mine", level="word"
    )


@pytest.fixture(scope="module")
def word_run(word_game, tmp_path_factory):
    """The folder of 14 words, explained with the masks of two rounds."""
    folder = tmp_path_factory.mktemp("words") / "run"
    options = {"budget": 90, "method": "lasso", "options": Options(check=16), "seed": 1}
    return folder, explain_features(word_game, folder, **options), options


@pytest.fixture
def copy(word_run, tmp_path):
    return Path(shutil.copytree(word_run[0], tmp_path / "copy"))


class Page(HTMLParser):
    """Texts of the parts of a page, its scripts, tags and addresses."""

    def __init__(self, path):
        super().__init__()
        self.parts, self.scripts, self.tags, self.addresses, self._now = {}, [], [], [], ("", {})
        self.text = Path(path).read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._now = (tag, dict(attrs))
        self.addresses += [v for k, v in attrs if k in ("src", "href") and v]

    def handle_endtag(self, tag):
        self._now = ("", {})

    def handle_data(self, data):
        tag, attrs = self._now
        if tag == "span" and "data-part" in attrs:
            self.parts[int(attrs["data-part"])] = data
        if tag == "script":
            self.scripts.append(data)

    @property
    def arcs(self):
        return json.loads(re.search(r"const arcs = (.*);", self.scripts[0])[1])


def test_a_run_from_the_command_line_and_its_report(tmp_path):
    out = tmp_path / "review"
    printed = ask("explain", *TOLD, "--out", out)
    assert "all 16 masks" in printed and f"next: spex-mech report {out}" in printed
    game = features.text(
        "embedded",
        PASSAGE,
        template=("{text}" + QUESTION).replace("\\n", "\n"),
        target=[" B", " A"],
    )
    run = sm.open_run(out / "masks")
    np.testing.assert_allclose(run(run.masks), game(run.masks), atol=1e-5)
    assert len(run.masks) == 16 and run.players.names == game.players.names
    saved = {
        tuple(names): value
        for names, value in json.loads((out / "spectrum.json").read_text())["terms"]
    }
    exact = sm.exact_spectrum(game(sm.designs.exhaustive(4).masks))
    for members, value in exact.top(16, include_empty=True):
        key = tuple(game.players.names[i] for i in members)
        assert saved.get(key, 0.0) == pytest.approx(value, abs=1e-5)
    page = Page(ask("report", out).split("report: ")[1].strip())
    assert [page.parts[i] for i in range(4)] == re.findall(r"The .*?\.", PASSAGE)
    expected = sm.interactions(exact, "FBII", 2).joint(15)
    assert [tuple(a["parts"]) for a in page.arcs][:2] == [s for s, _ in expected][:2]
    # everything inline: addresses are within the page, data, or files beside it to be downloaded
    assert all(a.startswith(("#", "data:")) or (out / a).is_file() for a in page.addresses)
    assert "spex-mech explain text --text" in page.text and "all masks" in page.text
    assert not list(out.glob("*.part"))
    before = (out / "spectrum.json").read_text()
    ask("decode", out)
    assert (out / "spectrum.json").read_text() == before


def test_the_folder_holds_what_was_explained(word_game, word_run):
    folder, told, _ = word_run
    n = word_game.players.n
    spec = open_folder(folder).spec
    run = sm.open_run(folder / "masks")
    design = search_design(spec.design, n)
    np.testing.assert_array_equal(design.masks, told.found.run.masks)
    np.testing.assert_array_equal(run(design.masks), word_game(design.masks))
    held = check_design(spec.design, n)
    np.testing.assert_array_equal(told.held_out.measured, word_game(held.masks))
    np.testing.assert_allclose(told.held_out.predicted, told.found.spectrum(held.masks))
    # the same as explaining in memory, and the view that features.view gives
    memory = explain_features(
        word_game, budget=90, method="lasso", options=Options(check=16), seed=1
    )
    assert memory.folder is None
    np.testing.assert_array_equal(memory.found.run.values, told.found.run.values)
    plain = sm.explain(word_game, budget=90, method="lasso", seed=1)
    np.testing.assert_allclose(plain.spectrum(held.masks), told.found.spectrum(held.masks))
    shown = features.view(word_game, plain.spectrum)
    assert told.view().joint == shown.joint and told.view().effects == shown.effects
    wide = explain_features(
        word_game,
        budget=np.int64(90),
        method="lasso",
        options=Options(keep_rate=(0.2, 0.9), check=0),
    )
    assert np.ptp(wide.found.run.masks.sum(axis=1)) > np.ptp(told.found.run.masks.sum(axis=1))
    assert told.view(0).joint == () and told.summary().count("masks held out") == 1
    piloted = explain_features(
        word_game, budget=90, method="lasso", options=Options(keep_rate="auto", check=0)
    )
    assert piloted.found.keep_rates is not None
    assert len(piloted.found.keep_rates.run.masks) == 4


def test_the_report_shows_the_input_beside_the_usual_sections(copy, word_game):
    page = Page(write_report(copy))
    words = word_game.subject.text.split()
    assert [page.parts[i] for i in range(len(words))] == words
    found = open_folder(copy).load("interactions.json")
    names = word_game.players.names
    joint = [(tuple(m), v) for m, v in found["values"] if len(m) > 1][:15]
    assert [(tuple(names[i] for i in a["parts"]), a["value"]) for a in page.arcs] == joint
    for heading in (
        "What each part does",
        "Strongest interactions",
        "Can the spectrum be trusted?",
    ):
        assert heading in page.text
    assert "prune" not in page.text and "The same run again" not in page.text
    assert page.text.count("</script>") == 1
    assert all(a[0] == "#" or (copy / a).is_file() for a in page.addresses)


@pytest.mark.usefixtures("undrawn")
def test_decoding_again_refreshes_the_view(copy, word_game):
    before = Page(write_report(copy)).arcs
    ask("decode", copy, "--method", "proxyspex", "--index", "Moebius", "--order", 3)
    after = Page(write_report(copy)).arcs
    joint = [v for m, v in open_folder(copy).load("interactions.json")["values"] if len(m) > 1]
    assert [a["value"] for a in after] == joint[:15] and after != before
    assert "Moebius" in (copy / "report.html").read_text()


def test_functions_of_texts_and_reports_need_no_torch(tmp_path):
    code = f"""
import sys
import spex_mech as sm
from spex_mech.run.explain_features import explain_features
from spex_mech.report import write_report
game = sm.features.text(lambda texts: [len(t) for t in texts], "one two three", level="word")
explain_features(game, {str(tmp_path / "run")!r})
write_report({str(tmp_path / "run")!r})
print(sorted({{"torch", "transformers", "openai"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_nothing_in_a_text_or_file_ends_the_page(tmp_path):
    game = features.text(length, EVIL, level="word")
    game.settings["model"] = game.settings["note"] = EVIL
    options = Options(check=0, command=EVIL)
    explain_features(game, tmp_path / "evil", budget=90, method="lasso", options=options)
    path = tmp_path / "evil" / "spectrum.json"
    saved = json.loads(path.read_text())
    saved["info"]["message"] = EVIL
    path.write_text(json.dumps(saved))
    page = Page(write_report(tmp_path / "evil"))
    assert [page.parts[i] for i in range(game.players.n)] == EVIL.split()
    assert len(page.scripts) == 1 and "alert" not in page.scripts[0] and "img" not in page.tags


class Flaky:
    """Fails after so many texts, as an endpoint might."""

    fingerprint = "flaky"

    def __init__(self, most):
        self.most, self.asked = most, 0

    def __call__(self, texts):
        self.asked += len(texts)
        if self.asked > self.most:
            raise InputError("the line is dead")
        return length(texts)


@pytest.mark.usefixtures("undrawn")
def test_a_stopped_run_goes_on_with_what_was_scored(word_game, tmp_path):
    text, out = word_game.subject.text, tmp_path / "run"
    eight = Options(check=8)
    options = {"budget": 150, "method": "lasso", "options": eight}
    flaky = Flaky(100)
    with pytest.raises(InputError, match="the line is dead"):
        explain_features(features.text(flaky, text, level="word"), out, **options)
    scored = len(sm.open_run(out / "masks").masks)
    assert scored >= 64 and not (out / "spectrum.json").exists()
    with pytest.raises(InputError, match=r"not finished.*spex-mech explain with the same input"):
        decode_folder(open_folder(out))
    page = write_report(out).read_text()  # of what there is
    assert "explain (<code>explain_features(game, " in page and "data-part" not in page
    again = Flaky(10**9)
    told = explain_features(features.text(again, text, level="word"), out, **options)
    fresh = explain_features(features.text(Flaky(10**9), text, level="word"), **options)
    np.testing.assert_array_equal(told.found.run.values, fresh.found.run.values)
    assert again.asked < 150 + 8 - scored + 20
    # other settings go on from the same masks, and everything is of the new ones
    more = Flaky(10**9)
    game = features.text(more, text, level="word")
    told = explain_features(
        game, out, budget=200, method="lasso", options=Options(check=8, index="Moebius")
    )
    assert more.asked < 200 + 8 - 150 + 20
    assert open_folder(out).spec.design.first == 200
    assert open_folder(out).load("interactions.json")["index"] == "Moebius"
    idle = Flaky(0)
    explain_features(
        features.text(idle, text, level="word"), out, budget=200, method="lasso", options=eight
    )
    assert idle.asked == 0


def test_a_folder_of_something_else_is_left_alone(copy, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*")}
    other = features.text(length, "another text", level="word")
    with pytest.raises(OutputExistsError, match=r"its run has another players, text; a run is"):
        explain_features(other, copy)
    for step in ("prune", "circuit", "export"):
        with pytest.raises(
            InputError, match=f"parts of an input, and {step} is for parts of a model"
        ):
            ask(step, copy)
    with pytest.raises(OutputExistsError, match="its run has another"):
        ask("explain", "--set", "design.budget=90", "--out", copy, "--set", "task=games/peak")
    assert {p: p.stat().st_mtime_ns for p in copy.rglob("*")} == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(OutputExistsError, match="holds no run"):
        explain_features(other, tmp_path / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_r2": 2.0}, "target_r2 is 2.0"),
        ({"options": Options(keep_rate=1.0)}, "keep_rate is 1.0"),
        ({"options": Options(check=1)}, "design.check is 1"),
        ({"method": "magic"}, "method is 'magic'"),
        ({"options": Options(index="XII")}, "index is 'XII'"),
        ({"options": Options(order=0)}, "order"),
        ({"budget": 0}, "budget"),
        ({"budget": 90.0}, "'design.budget' is 90.0"),
        ({"options": Options(keep_rate="often")}, "keep_rate.*'auto'"),
        ({"options": Options(keep_rate=(0.9, 0.2))}, "expected .low, high."),
        ({"seed": None}, "'design.seed' is None"),
    ],
)
def test_bad_settings_leave_nothing(word_game, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        explain_features(word_game, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def picture_game(kind):
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    regions = np.arange(6)[:, None] // 3 * 2 + np.arange(8)[None] // 4

    class FeatureSource:
        counts = np.ones(4 + 2 * (kind == "pair"), dtype=np.int64)
        size, key = 6, {"image": "drawn"}

        def inputs(self, choices):
            return [row.tobytes() for row in choices == 0]

        def outputs(self, inputs):
            there = np.stack([np.frombuffer(row, dtype=bool) for row in inputs])
            return (1.0 * there[:, 0] + 2.0 * (there[:, 1] & there[:, -1]))[:, None]

        def show(self, given):
            return given

    picture = Picture(pixels, regions)
    words = features.text(length, "a bird", level="word").subject
    subject = picture if kind == "image" else Pair(picture, words)
    names = [f"region {i}" for i in range(4)] + (["a", "bird"] if kind == "pair" else [])
    reading = Reading("logit", "bird", lambda z: z[:, 0])
    return FeatureGame(PlayerSet.from_names(names), FeatureSource(), reading, subject)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("kind", ["image", "pair"])
def test_images_have_runs_and_reports_too(tmp_path, kind):
    game = picture_game(kind)
    out = tmp_path / "run"
    told = explain_features(game, out)
    (pair, value), *_ = told.view().joint
    assert pair == ((1, 3) if kind == "image" else (1, 5)) and value == pytest.approx(2.0)
    page = Page(write_report(out))
    assert page.text.count("<path data-part") == 4
    assert [page.parts.get(i) for i in (4, 5)] == (["a", "bird"] if kind == "pair" else [None] * 2)
    assert sum(a.startswith("data:image/png") for a in page.addresses) == 1
    kept = input_from_json(json.loads((out / "input.json").read_text()), game.players.n).subject
    given = game.subject
    if kind == "pair":
        assert kept.passage == given.passage
        kept, given = kept.picture, given.picture
    np.testing.assert_array_equal(kept.pixels, given.pixels)
    np.testing.assert_array_equal(kept.regions, given.regions)


@pytest.mark.usefixtures("undrawn")
def test_a_text_of_one_part(tmp_path):
    told = explain_features(features.text(length, "bad", level="word"), tmp_path / "run")
    assert told.view().joint == () and told.view().effects == pytest.approx((0.1,))
    page = Page(write_report(tmp_path / "run"))
    assert page.parts == {0: "bad"} and "none of two or more parts" in page.text


def test_damaged_inputs_are_named(copy):
    good = json.loads((copy / "input.json").read_text())
    image = input_to_json(picture_game("image"))
    bomb = {**image["pixels"], "shape": [1, 1, 3]}
    for bad, message in [
        ({**good, "spans": good["spans"][:-1]}, "its input has 13 parts, the store 14"),
        ({**good, "spans": [[0, 999]]}, "runs out of the text"),
        ({k: v for k, v in good.items() if k != "key"}, "it has no 'key'"),
        ({k: v for k, v in good.items() if k != "text"}, "neither a text nor an image"),
        ({**image, "pixels": bomb}, "does not have 3 bytes"),
        ({**image, "pixels": {**image["pixels"], "dtype": "|O"}}, r"expected \|u1"),
        ({**image, "regions": {**image["regions"], "zlib": "bm90IHpsaWI="}}, "cannot be unpacked"),
        ([], "input.json is not what this version writes"),
    ]:
        (copy / "input.json").write_text(json.dumps(bad))
        with pytest.raises(InputError, match=message):
            write_report(copy)


@pytest.mark.usefixtures("undrawn")
def test_a_pair_from_the_command_line(make, tmp_path):
    hf, tokenizer = make.bert(), make.word_piece()
    hf.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "b.txt").write_text("The key is in the kitchen")
    premise, hypothesis = "The key is in the basket.", (tmp_path / "b.txt").read_text()
    out = tmp_path / "pair"
    told = ("--model", tmp_path / "model", "--level", "word", "--target", "1", "--method", "lasso")
    given = ("--text", premise, "--pair", f"@{tmp_path / 'b.txt'}", "--budget", 64, "--check", 0)
    printed = ask("explain", *given, *told, "--out", out)
    assert premise in printed and hypothesis in printed and "held-out" not in printed
    run = sm.open_run(out / "masks")
    pair = features.TextPair(premise, hypothesis)
    game = features.text(hf, pair, tokenizer=tokenizer, level="word", target=1)
    np.testing.assert_allclose(run(run.masks), game(run.masks), atol=1e-5)
    page = Page(write_report(out))
    assert [page.parts[i] for i in range(12)] == f"{premise} {hypothesis}".split()
    again = re.search(r"<pre>(spex-mech explain .*?)</pre>", page.text)[1]
    assert (
        f"--pair @{tmp_path / 'b.txt'}" in again and "--budget 64 --method lasso --check 0" in again
    )


def test_where_texts_come_from(tmp_path, monkeypatch):
    file = tmp_path / "text.txt"
    file.write_text("Größe. Two.", encoding="utf-8")
    assert read_source(f"@{file}") == "Größe. Two."
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe"))
    assert read_source("-") == "from a pipe"
    file.write_bytes(b"\xff\xfe\x00")
    for source, message in [(f"@{file}", "is not UTF-8 text"), ("@nowhere.txt", "does not exist")]:
        with pytest.raises(InputError, match=message):
            read_source(source)
    with pytest.raises(InputError, match="which has no word"):
        ask("explain", "--text", "  ", "--model", "no such model")


def test_each_job_is_a_command_that_may_be_left_out(tmp_path):
    run = CliRunner().invoke
    for wrong in (
        ["--text", "x", "--set", "task=embedded/people"],
        ["--level", "word", "--out", str(tmp_path / "new")],
        ["game", "--check", "3"],
    ):
        done = run(cli.app, ["explain", *wrong])
        assert done.exit_code == 2 and "No such option" in done.output
    assert not (tmp_path / "new").exists()
    short, full = (
        run(cli.app, ["explain", *name, "--text=one two", "--model", "nowhere"])
        for name in ((), ("text",))
    )
    assert repr(short.exception) == repr(full.exception) and short.exception is not None
    for name in ("game", "text"):
        assert name in run(cli.app, ["explain", "--help"]).output
