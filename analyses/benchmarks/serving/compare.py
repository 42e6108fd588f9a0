"""Hold the servers' answers to those of Transformers: one row for each checkpoint and server."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def main() -> None:
    """Print a Markdown table of everything in a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    folder = parser.parse_args().out
    print("| checkpoint | server | equal answers | bytes | prefill, tokens/s | decode, tokens/s |")
    print("|---|---|---|---|---|---|")
    for path in sorted(folder.glob("served_*.json")):
        _, checkpoint, server = path.stem.split("_")
        served = json.loads(path.read_text())
        model = checkpoint.rpartition("-")[0]
        truth = json.loads((folder / f"answers-{model}-transformers.json").read_text())["answers"]
        pairs = [*zip(served["answers"], truth, strict=False)]
        # A server stops at a token that ends a text, where Transformers was told to go on.
        equal = sum(a == b[: len(a)] for a, b in pairs)
        files = [
            x for x in (folder / checkpoint).iterdir() if x.suffix in (".gguf", ".safetensors")
        ]
        size = sum(x.stat().st_size for x in files)
        print(
            f"| {checkpoint} | {server} | {equal} of {len(pairs)} | {size:,} "
            f"| {served['prefill']:.0f} | {served['decode']:.1f} |"
        )


if __name__ == "__main__":
    main()
