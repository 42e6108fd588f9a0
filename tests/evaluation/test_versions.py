"""Stores of other versions of the package: what this one does not know is left as it is."""

from __future__ import annotations

import json
import time
import warnings

import pytest

import spex_mech as sm
from spex_mech.evaluation.store.reading import read_header, signed
from spex_mech.evaluation.store.status import run_status
from spex_mech.evaluation.store.store import RunStore

DESIGN = sm.designs.uniform(8, 24, seed=0)
HALF = sm.MaskDesign(DESIGN.masks[:12], 0)
UNKNOWN = b'{"moved": "000000", "to": [1.50, 2e3],  "why": "\\u00e9"}\n'


class Game:
    """Sums, with a count of the masks that it was asked."""

    fingerprint = "sums"

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, masks):
        self.asked += len(masks)
        return masks.sum(axis=1) * 0.5


def half(folder) -> None:
    sm.evaluate(Game(), HALF, store=folder, batch=4, progress=False)


def finish(folder) -> None:
    """Another evaluation takes what is there, without a word, and does the rest."""
    game = Game()
    run = sm.evaluate(game, DESIGN, store=folder, progress=False)
    assert run.evaluated == game.asked == 12
    assert run.values.tobytes() == (DESIGN.masks.sum(axis=1) * 0.5).tobytes()
    assert len(sm.open_run(folder).masks) == 24


def rewrite_header(folder, change) -> None:
    header = {k: v for k, v in read_header(folder).items() if k != "sha256"}
    change(header)
    (folder / "key.json").write_bytes(signed(header))


@pytest.mark.parametrize("torn", [False, True])
def test_a_journal_keeps_the_lines_of_a_newer_version_byte_for_byte(tmp_path, torn):
    half(tmp_path)
    journal = tmp_path / "journal.jsonl"
    before = journal.read_bytes().splitlines(keepends=True)
    newer = [before[0], UNKNOWN, *before[1:], UNKNOWN]
    journal.write_bytes(b"".join(newer) + (b'{"shard": "0000' if torn else b""))
    (seen,) = run_status(tmp_path)
    assert (seen.stored, seen.damaged, seen.lost) == (12, (), ())
    finish(tmp_path)
    after = journal.read_bytes().splitlines(keepends=True)
    assert after[: len(newer)] == newer


def test_damaged_lines_go_and_those_of_a_newer_version_stay(tmp_path):
    half(tmp_path)
    journal = tmp_path / "journal.jsonl"
    whole = journal.read_bytes()
    deep = b"[" * 100_000 + b"\n"
    long = b'{"end": ' + b"9" * 5000 + b"}\n"
    journal.write_bytes(UNKNOWN + deep + long + b"{}\n" + b"\xff\xfe\n" + whole)
    with pytest.warns(UserWarning, match="4 lines of its journal are damaged") as told:
        RunStore(tmp_path, read_header(tmp_path)["key"], 8).__exit__(None, None, None)
    assert len(told) == 1 and journal.read_bytes() == UNKNOWN + whole
    finish(tmp_path)


def test_a_header_and_sessions_with_more_in_them_are_taken(tmp_path):
    half(tmp_path)

    def more(header):
        header["facts"]["tokens"] = {"count": [3]}
        header["facts"]["game"]["quantized"] = "int4"
        header["made_by"] = "spex-mech 9"

    rewrite_header(tmp_path, more)
    session = tmp_path / "sessions" / "0000.json"
    said = {**json.loads(session.read_text()), "queue": {"name": "x"}, "executor": "slurm"}
    session.write_text(json.dumps({**said, "wanted": "many", "noise_floor": {"fp8": 1}}))
    (tmp_path / "sessions" / "0000-node7.json").write_text("{}")
    (seen,) = run_status(tmp_path)
    assert (seen.stored, seen.wanted, seen.executor) == (12, 0, "unknown")
    finish(tmp_path)
    assert read_header(tmp_path)["facts"]["tokens"] == {"count": [3]}
    assert sm.open_run(tmp_path).facts["game"]["quantized"] == "int4"
    assert (tmp_path / "sessions" / "0001.json").exists()


def test_a_header_and_sessions_with_less_in_them_are_taken(tmp_path):
    half(tmp_path)
    rewrite_header(tmp_path, lambda header: header.update(facts={}))
    (tmp_path / "sessions" / "0000.json").write_text("{}")
    (tmp_path / "lock").unlink()
    (seen,) = run_status(tmp_path)
    assert seen.stored == 12 and seen.executor == "unknown" and seen.last is not None
    assert sm.open_run(tmp_path).facts["game"] == {}
    assert sm.evaluate(Game(), HALF, store=tmp_path, batch=4, progress=False).evaluated == 0
    finish(tmp_path)


def test_another_format_is_refused_and_left_alone(tmp_path):
    half(tmp_path)
    rewrite_header(tmp_path, lambda header: header.update(format=4))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for opened in (
        lambda: sm.open_run(tmp_path),
        lambda: sm.evaluate(Game(), DESIGN, store=tmp_path),
    ):
        with pytest.raises(sm.InputError, match="store format 4, this version reads 2 and 3"):
            opened()
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    after.pop(tmp_path / "lock"), before.pop(tmp_path / "lock")  # says who looked
    assert after == before


def test_a_clock_that_is_set_back_spoils_no_status_and_no_run(tmp_path, monkeypatch):
    clock = iter([5000.0, 5010.0, 5020.0, 1000.0, 1001.0, 1002.0, 1003.0])
    now = [5000.0]

    def ticking():
        now[0] = next(clock, now[0])
        return now[0]

    key = {"fingerprint": "sums"}
    masks, values = DESIGN.masks, DESIGN.masks.sum(axis=1) * 0.5
    monkeypatch.setattr(time, "time", ticking)
    with RunStore(tmp_path, key, 8, {"batch": 4}) as store:
        store.begin({"wanted": 24, "executor": {"executor": "local"}})
        told = []
        for start in range(0, 12, 4):
            store.append(masks[start : start + 4], values[start : start + 4], None)
            told += run_status(tmp_path)
    assert [seen.done for seen in told] == [4, 8, 12]
    for seen in told:
        assert seen.rate is None or 0 < seen.rate < 10  # 4 masks, never in less than a second
        assert seen.seconds_left is None or seen.seconds_left >= 0
        assert seen.last is None or seen.last >= 0
    monkeypatch.setattr(time, "time", lambda: -5.0)  # before 1970
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finish(tmp_path)
    (seen,) = run_status(tmp_path)
    assert (seen.writer, seen.stored, seen.seconds_left) == ("finished", 24, 0.0)
    assert seen.rate is None and (seen.last is None or seen.last >= 0)


def test_a_rate_is_not_taken_over_a_clock_that_was_set_back(tmp_path):
    half(tmp_path)
    journal = tmp_path / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    shards = [line for line in lines if "shard" in line]
    session = tmp_path / "sessions" / "0000.json"
    session.write_text(json.dumps({**json.loads(session.read_text()), "wanted": 36}))

    def status(*times):
        entries = [{**shards[i % len(shards)], "time": t} for i, t in enumerate(times)]
        journal.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        (seen,) = run_status(tmp_path)
        return seen

    rows = [line["rows"] for line in shards]
    assert status(100.0, 104.0).rate == rows[1] / 4
    assert status(100.0, 20.0).rate is None
    assert (
        status(100.0, 20.0, 101.0).rate == rows[2 % len(rows)] / 81
    )  # not per the second since 100
    ahead = status(100.0, time.time() + 3600)
    assert ahead.last is None and ahead.rate > 0 and ahead.seconds_left >= 0
