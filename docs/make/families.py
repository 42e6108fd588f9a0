"""Write the table of model families into docs/models.md from what the tests hold to be true.

``python docs/make/families.py`` reads tests/integration/test_families.py (what is refused, what can be cut)
and the families of the fast engine. A test compares the page with it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "models.md"
BETWEEN = re.compile(r"(<!-- families: [^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)
sys.path += [str(ROOT / "tests" / "shared"), str(ROOT / "tests" / "integration")]


def table() -> str:
    """The table, one row for each kind of decoder."""
    from test_families import COMPACT, REFUSED, SCORES
    from tiny_decoders import CONFIGS, tiny_decoder

    from spex_mech.models.families import Unknown, read_decoder

    rows = ["| kind | architecture | ablation | fast | compact |", "|---|---|---|---|---|"]
    for name in CONFIGS:
        hf = tiny_decoder(name)
        try:
            read_decoder(hf)
            fast = "yes"
        except Unknown:
            fast = ""
        refused = REFUSED.get(name, set())
        if set(SCORES) <= refused:
            ablation, fast = "refused", ""
        else:
            ablation = (
                "all but " + ", ".join(f"`{x}`" for x in sorted(refused)) if refused else "yes"
            )
        cut = "yes" if name in COMPACT else ""
        rows.append(f"| {name} | {type(hf).__name__} | {ablation} | {fast} | {cut} |")
    return "\n".join(rows)


def written(page: str, rows: str) -> str:
    """The page with these rows in the place of its table."""
    return BETWEEN.sub(lambda match: f"{match[1]}\n{rows}\n\n{match[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")
