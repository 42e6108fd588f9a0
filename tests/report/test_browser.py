"""The report in a real browser: nothing runs over the page, figures are legible, in light and in dark."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spex_mech.report import write_report

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
WIDTHS = (500, 1280, 1920)  # the narrowest that a window of Chromium takes, a laptop, a screen
MEASURE = """
<script>
addEventListener("load", () => {
  const root = document.documentElement, seen = getComputedStyle(document.body);
  document.body.dataset.measured = JSON.stringify({
    width: innerWidth,
    over: root.scrollWidth - innerWidth,
    scales: [...document.querySelectorAll(".plot svg")].map((e) =>
      e.getBoundingClientRect().width / e.viewBox.baseVal.width),
    inside: [...document.querySelectorAll(".plot")].every((e) =>
      e.getBoundingClientRect().right <= innerWidth),
    grounds: [...new Set([...document.querySelectorAll(".plot")].map((e) =>
      getComputedStyle(e).backgroundColor))],
    ink: seen.color, paper: seen.backgroundColor,
    answer: document.querySelector("#answer").getBoundingClientRect().top,
    links: [...document.querySelectorAll("a[download]")].map((e) => e.getAttribute("href")),
    anchors: [...document.querySelectorAll("nav a")].filter((e) =>
      !document.querySelector(e.getAttribute("href"))).length,
  });
});
</script>
"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """The report of a run that an earlier version wrote, with a script that measures it."""
    folder = tmp_path_factory.mktemp("browser") / "run"
    shutil.copytree(FIXTURE, folder)
    report = write_report(folder)
    measured = folder / "measured.html"
    measured.write_text(report.read_text().replace("</body>", MEASURE + "</body>"))
    return measured


@functools.cache
def look(page: Path, width: int, *, dark: bool = False) -> dict:
    """What the script measures in a window of a width."""
    command = [str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--window-size={width},900", f"--user-data-dir={page.parent / f'{width}-{dark}'}"]
    command += ["--blink-settings=preferredColorScheme=0"] if dark else []
    command += ["--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-measured="([^"]*)"', done.stdout)
    assert found is not None, done.stderr[-500:]
    return json.loads(found[1].replace("&quot;", '"'))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_a_window(page, width):
    seen = look(page, width)
    assert seen["width"] == width and seen["over"] <= 0 and seen["inside"]
    assert len(seen["scales"]) >= 8
    # A point is 4/3 pixels at natural size; the smallest letters of a figure have 6 points.
    assert min(seen["scales"]) >= (0.85 if width >= 1280 else 0.5) * 4 / 3
    assert seen["answer"] < 300  # the answer is what one sees first
    assert seen["anchors"] == 0


def test_what_can_be_downloaded_is_there(page):
    links = look(page, 1280)["links"]
    assert {"interactions.csv", "spectrum.json", "figures/heads.png", "figures/heads.svg"} <= set(
        links
    )
    assert [name for name in links if not (page.parent / name).is_file()] == []


def test_in_the_dark_the_page_is_dark_and_figures_stand_on_white(page):
    light, dark = look(page, 1280), look(page, 1280, dark=True)

    def brightness(color: str) -> float:
        return sum(map(int, re.findall(r"\d+", color)[:3])) / 765

    assert brightness(light["paper"]) > 0.95 and brightness(light["ink"]) < 0.2
    assert brightness(dark["paper"]) < 0.15 and brightness(dark["ink"]) > 0.8
    assert [brightness(color) for color in dark["grounds"]] == [1.0]
