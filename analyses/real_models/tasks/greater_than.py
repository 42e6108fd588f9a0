"""Write greater_than.jsonl: the questions of circuits/greater_than with whole years as options.

    python analyses/real_models/tasks/greater_than.py

The tokenizer of SmolLM2 cuts a year into four digits, so a two-digit year is no token. Here the prompt ends
before the second year, and the options are whole years: the century is the same in both, and only the last
two digits decide. Its partner starts in year 01 of the century, after which every option is later.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import spex_mech as sm


def main() -> None:
    """Write the file beside this one."""
    lines = []
    for example in sm.load_task("circuits/greater_than").examples:
        question, century = example.prompt.rsplit(" ", 1)
        years = [century + year for year in example.options]
        row = {"question": question, "choices": years, "answer": example.answer}
        row["partner"] = re.sub(r"(\d\d)\d\d", r"\g<1>01", question)
        lines.append(json.dumps(row) + "\n")
    Path(__file__).with_suffix(".jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
