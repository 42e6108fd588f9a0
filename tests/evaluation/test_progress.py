"""The progress line says how many masks are done, how fast, and how long the rest takes."""

from __future__ import annotations

import re

import numpy as np

import spex_mech as sm


def test_the_line_names_rate_and_remaining_time(capsys):
    design = sm.designs.uniform(6, 64, seed=0)
    sm.evaluate(lambda masks: np.ones(len(masks)), design, progress=True, label="search")
    line = capsys.readouterr().err.split("\r")[1]
    assert re.match(r"search: +0 % \|.*\| 0 of \d+ masks, .* masks/s, .* left$", line.strip())
    sm.evaluate(lambda masks: np.ones(len(masks)), design, progress=False)
    assert capsys.readouterr().err == ""
