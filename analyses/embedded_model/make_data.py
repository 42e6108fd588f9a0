"""Write the shipped question files: python make_data.py [folder]."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import world


def subject_text(subject: str) -> str:
    """The content of one subject's file: search, then validation, then test rows."""
    rows = [row for split in world.SPLIT_SIZES for row in world.split_rows(subject, split)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def main() -> None:
    """Write one file per subject."""
    default = Path(__file__).resolve().parents[2] / "tasks" / "embedded"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    for subject in world.SUBJECTS:
        (folder / f"{subject}.jsonl").write_text(subject_text(subject), encoding="utf-8")


if __name__ == "__main__":
    main()
