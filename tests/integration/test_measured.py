"""The page of measurements has the numbers that the result files have."""

from __future__ import annotations

import re

import pytest
from pages import ROOT, maker

measured = maker("measured")


def test_the_page_is_what_the_result_files_say():
    assert measured.page() == measured.PAGE.read_text(encoding="utf-8")


def test_words_that_no_longer_stand_in_a_readme_are_refused():
    with pytest.raises(LookupError, match="does not say"):
        measured.said("benchmarks/rows", "needed a thousand times fewer rows")


def test_numbers_of_the_readme_stand_on_the_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    claims = readme[readme.index("## Measured") : readme.index("## Cite")]
    page = measured.PAGE.read_text(encoding="utf-8")
    numbers = re.findall(r"(?<![\w.])\.?\d+(?:\.\d+)?\b", claims.replace("1e-6", ""))
    assert len(numbers) > 5
    missing = [x for x in numbers if (f"0{x}" if x.startswith(".") else x) not in page]
    assert missing == []
