"""Processes are killed, at random moments and at every step of writing, and nothing that counts is lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = Path(__file__).with_name("survival_runs.py")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")


def survive(what: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, RUNS, what, folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_killed_at_twenty_random_moments_the_values_are_the_same_bytes(tmp_path):
    out = survive("random", tmp_path)
    assert "kills 20" in out
    committed = int(re.search(r"committed before the end (\d+)", out)[1])
    assert 0 < committed < 600  # kills fell into the middle of the work


def test_killed_at_every_step_of_writing_the_values_are_the_same_bytes(tmp_path):
    out = survive("everywhere", tmp_path)
    assert int(re.search(r"kills (\d+)", out)[1]) >= 20
