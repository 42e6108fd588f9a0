"""How spex_mech behaves when inputs are bad, processes are killed and files are damaged.

python analyses/benchmarks/reliability/run.py --write    # or some parts: --parts inputs kills

The inputs are those of the tests, counted as they are tried; the rest is tried here. See the README.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pyarrow.parquet as pq
import pytest

import spex_mech as sm
from spex_mech import cli
from spex_mech.core.errors import DamagedStoreWarning, InputError
from spex_mech.evaluation.store.shards import Rows, digest, to_bytes
from spex_mech.run.decode import decode_store

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FIXTURE = ROOT / "tests" / "fixtures" / "run"
BAD_INPUTS = (
    "tests/cli/test_fuzz.py",
    "tests/cli/test_mistakes.py",
    "tests/models/test_broken.py",
    "tests/models/test_loaded.py",
    "tests/models/test_trust.py",
)
_QUIET = ("-q", "-p", "no:cacheprovider", "--assert=plain", f"--rootdir={ROOT}")
# This test has errors pass through on purpose, such as that of too little memory.
_GUARD = "tests/models/test_broken.py::test_some_errors_pass_through"
REMEDY = re.compile(
    r"\b(expected|give|use|choose|write|take|leave|save|put|copy|make|install|convert|merge|must be|see|"
    r"pass|set|run|raise|one of|ask for|no such option|missing|update|check|should be|did you mean|"
    r"try|remove|restore|add|correct|needs?|written twice|its columns are)\b",
    re.IGNORECASE,
)


class Ended:
    """Counts how command lines and loads of checkpoints end, as a plugin of pytest.

    Attributes:
        ends: how many were taken, clear (one message with a remedy), unclear, or wrong (another error).
        unclear: the messages without a remedy.
    """

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.unclear: list[str] = []

    @pytest.fixture(autouse=True)
    def counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have every call of the command line and of `load_model` counted."""
        monkeypatch.setattr(cli, "main", self._watch(cli.main))
        monkeypatch.setattr(sm, "load_model", self._watch(sm.load_model))

    def _watch(self, function: Callable) -> Callable:
        def watched(*arguments, **options):
            said = io.StringIO()
            try:
                with contextlib.redirect_stderr(said):
                    answer = function(*arguments, **options)
            except SystemExit as stop:
                self._count(said.getvalue() if stop.code else None)
                raise
            except InputError as error:
                self._count(str(error))
                raise
            except BaseException:
                self.ends["wrong"] += 1
                raise
            finally:
                sys.stderr.write(said.getvalue())
            self._count(None)
            return answer

        return watched

    def _count(self, message: str | None) -> None:
        if message is None:
            self.ends["taken"] += 1
        elif REMEDY.search(message) and "Traceback" not in message:
            self.ends["clear"] += 1
        else:
            self.ends["unclear"] += 1
            self.unclear.append(message.strip())


def inputs() -> dict[str, object]:
    """Bad command lines, specs, cards, folders and checkpoints."""
    ended = Ended()
    with contextlib.redirect_stdout(sys.stderr):
        failed = pytest.main(
            [
                *_QUIET,
                f"--deselect={_GUARD}",
                *(str(ROOT / f) for f in BAD_INPUTS),
            ],
            plugins=[ended],
        )
    unclear = sorted(set(ended.unclear))
    return {
        **ended.ends,
        "tried": ended.ends.total(),
        "tests passed": not failed,
        "messages": unclear,
    }


def kills() -> dict[str, object]:
    """Runs that are killed at random moments and at every step of writing."""
    script = ROOT / "tests" / "integration" / "survival_runs.py"
    found: dict[str, object] = {}
    for how in ("random", "everywhere"):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, script, how, folder], capture_output=True, text=True, check=True
            )
        found[f"kills, {how}"] = int(re.findall(r"kills (\d+)", done.stdout)[-1])
        evaluated, masks = map(
            int, re.search(r"evaluated (\d+) for (\d+) distinct", done.stdout).groups()
        )
        found[f"masks done twice, {how}"] = f"{evaluated - masks} of {masks}"
    found["bytes equal"] = True  # the script ends with an error otherwise
    return found


DESIGN = sm.designs.uniform(11, 60, seed=0)


def sizes(masks: np.ndarray) -> np.ndarray:
    """Values of the damaged stores."""
    return masks.sum(axis=1).astype(float)


def _rewrite(shard: Path, content: bytes) -> None:
    """Put another content under its right digest."""
    shard.unlink()
    shard.with_name(f"{shard.name[:6]}-{digest(content)}.parquet").write_bytes(content)


def _compressed(shard: Path) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pq.read_table(shard), buffer, compression="GZIP")
    return buffer.getvalue()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line)


OUTSIDE = json.dumps({"shard": "../../outside", "rows": 4, "session": 0, "time": 1.0}) + "\n"
ODD = Rows(np.ones((2, 19), dtype=bool), np.ones(2), None)
NAN = Rows(DESIGN.masks[:1], np.array([np.nan]), None)
DAMAGE: dict[str, Callable[[Path, Path], object]] = {
    "a byte of a shard": lambda store, shard: _flip(shard),
    "a shard cut off": lambda store, shard: os.truncate(shard, shard.stat().st_size - 1),
    "a shard empty": lambda store, shard: os.truncate(shard, 0),
    "a shard missing": lambda store, shard: shard.unlink(),
    "a shard of other players": lambda store, shard: _rewrite(shard, to_bytes(ODD)),
    "a shard with NaN": lambda store, shard: _rewrite(shard, to_bytes(NAN)),
    "a shard compressed": lambda store, shard: _rewrite(shard, _compressed(shard)),
    "a shard as a link": lambda store, shard: (shard.unlink(), shard.symlink_to("/dev/zero")),
    "the journal's line": lambda store, shard: _append(store / "journal.jsonl", "{nonsense}\n"),
    "a path in the journal": lambda store, shard: _append(store / "journal.jsonl", OUTSIDE),
    "the journal cut off": lambda store, shard: _append(store / "journal.jsonl", '{"shard": "0'),
    "the header": lambda store, shard: _flip(store / "key.json"),
}


def damage() -> dict[str, object]:
    """Kinds of damage: what readers and the next evaluation make of them."""
    found: dict[str, object] = {}
    for name, spoil in DAMAGE.items():
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "s"
            whole = sm.evaluate(sizes, DESIGN, store=store, batch=10).values
            spoil(store, sorted((store / "shards").iterdir())[1])
            found[name] = f"{_read(store)}; {_mended(store, whole)}"
    return found


def _read(store: Path) -> str:
    """What decoding a damaged store says."""
    try:
        decoded = decode_store(store)
    except InputError:
        return "refused by readers, named"
    if len(decoded.values) < len(DESIGN):
        return "SILENT: fewer masks decoded"
    right = np.array_equal(decoded.values, sizes(decoded.design.masks))
    return "read whole" if right else "SILENT: wrong values"


def _mended(store: Path, whole: np.ndarray) -> str:
    """What evaluating again makes of it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            again = sm.evaluate(sizes, DESIGN, store=store)
        except InputError:
            return "evaluating again is refused, named"
    if not np.array_equal(again.values, whole):
        return "WRONG after evaluating again"
    named = "named and " if any(issubclass(w.category, DamagedStoreWarning) for w in said) else ""
    return f"{named}mended by {again.evaluated} masks"


PLACES = (
    "report.html",
    "spectrum.json.part",
    "figures",
    "masks/lock",
    "masks/journal.jsonl",
    "check",
)
COMMANDS = ("report", "decode", "prune", "circuit", "export")


def links() -> dict[str, object]:
    """Links in a received folder, under every command that writes there."""
    counts: Counter[str] = Counter()
    for where, command in ((w, c) for w in PLACES for c in COMMANDS):
        with tempfile.TemporaryDirectory() as name:
            folder, outside = Path(name) / "run", Path(name) / "outside"
            shutil.copytree(FIXTURE, folder)
            outside.write_text("precious")
            place = folder / where
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
            place.symlink_to(outside)
            done = subprocess.run(
                [Path(sys.executable).with_name("spex-mech"), command, str(folder)],
                capture_output=True,
                text=True,
                check=False,
            )
            refused = done.returncode == 2 and "is a link" in done.stderr
            counts["refused" if refused else "not refused"] += 1
            counts["targets changed"] += outside.read_text() != "precious"
    return {"tried": len(PLACES) * len(COMMANDS), **counts}


def secrets() -> dict[str, object]:
    """The test that looks for an endpoint's password, token, header and key in everything written."""
    test = str(ROOT / "tests" / "features" / "test_endpoints.py")
    with contextlib.redirect_stdout(sys.stderr):
        failed = pytest.main([*_QUIET, test, "-k", "secret or credentials"])
    return {"secrets tried": 4, "found in any file, output or repr": "some" if failed else 0}


PARTS = {"inputs": inputs, "kills": kills, "damage": damage, "links": links, "secrets": secrets}


def rows(results: dict[str, dict[str, object]]) -> Iterator[str]:
    """The results as Markdown."""
    for part, found in results.items():
        yield f"\n## {part.capitalize()}\n\n| | |\n|---|---|"
        yield from (f"| {name} | {value} |" for name, value in found.items() if name != "messages")
        if found.get("messages"):
            yield "\nMessages without a remedy:\n"
            yield from (f"    {message}" for message in found["messages"])


def main() -> None:
    """Run the parts and print, or write, their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--write", action="store_true", help="write results.md beside this file")
    args = parser.parse_args()
    results, began = {}, time.monotonic()
    for part in args.parts:
        results[part] = PARTS[part]()
    minutes = (time.monotonic() - began) / 60
    text = "\n".join(
        ["# Reliability", *rows(results), f"\nAll parts took {minutes:.1f} minutes.\n"]
    )
    print(text)
    if args.write:
        (HERE / "results.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
