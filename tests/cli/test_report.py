"""`spex-mech report`: without torch, of half-finished runs, and of texts that would be HTML."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import spex_mech as sm


def test_decoding_and_reports_need_no_torch(copy):
    (copy / "report.html").unlink()
    (copy / "circuit.json").unlink()
    shutil.rmtree(copy / "figures")
    code = (
        "import sys\n"
        "from spex_mech.cli import app\n"
        f"app(['decode', {str(copy / 'masks')!r}, '--method', 'lasso'], standalone_mode=False)\n"
        f"app(['report', {str(copy)!r}, '--metric', 'logprob'], standalone_mode=False)\n"
        "print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    page = (copy / "report.html").read_text()
    assert "Test logprob" in page and "Test margin" not in page
    assert (copy / "figures" / "pruning_logprob.png").stat().st_size > 1000


@pytest.mark.usefixtures("undrawn")
def test_half_finished_runs_have_a_report(ask, copy):
    for name in ("circuit.json", "results.json", "kept.json"):
        (copy / name).unlink()
    page = Path(ask("report", copy).split("report: ")[1].strip()).read_text()
    assert f"spex-mech prune {copy}" in page and "Strongest interactions" in page
    assert "Do the players act alone?" in page and "of the decoder's whole model" in page
    assert "Pruned models" not in page
    for name in ("spectrum.json", "interactions.json", "check.json"):
        (copy / name).unlink()
    page = Path(ask("report", copy).split("report: ")[1].strip()).read_text()
    assert f"spex-mech decode {copy}" in page and "Strongest interactions" not in page
    assert "Do the players act alone?" not in page
    assert sm.open_run(copy / "masks").texts[0][0].splitlines()[0] in page


def test_text_from_data_is_escaped(ask, copy):
    for name in ("circuit.json", "results.json", "check.json"):
        (copy / name).unlink()
    evil = "<script>alert(1)</script>"
    spec = json.loads((copy / "spec.json").read_text())
    (copy / "spec.json").write_text(json.dumps({**spec, "model": evil, "task": evil}))
    saved = json.loads((copy / "spectrum.json").read_text())
    saved["info"]["message"] = evil
    (copy / "spectrum.json").write_text(json.dumps(saved))
    page = Path(ask("report", copy).split("report: ")[1].strip()).read_text()
    assert "<script>" not in page and page.count("&lt;script&gt;alert(1)") >= 4
