"""The run store: committed rows survive, damage is noticed, keys are compared."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spex_mech.evaluation.store.reading import read_blocks, read_header, signed
from spex_mech.evaluation.store.shards import Rows, digest, to_bytes
from spex_mech.evaluation.store.status import run_status
from spex_mech.evaluation.store.store import RunStore
from spex_mech.evaluation.stored_run import open_run

KEY = {"weights": "abc", "ablation": "zero"}
MASKS = np.random.default_rng(0).random((6, 11)) < 0.5
VALUES = np.arange(6.0)
SCORES = np.random.default_rng(1).normal(size=(6, 3, 4)).astype(np.float32)


def fill(folder) -> None:
    with RunStore(folder, KEY, 11, {"batch": 4}) as store:
        store.append(MASKS[:4], VALUES[:4], SCORES[:4])
        store.append(MASKS[4:], VALUES[4:], SCORES[4:])


def shards(folder) -> list[Path]:
    return sorted((folder / "shards").glob("*.parquet"))


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_rows_come_back_as_they_went_in(tmp_path):
    fill(tmp_path / "s")
    with RunStore(tmp_path / "s", KEY, 11) as store:
        masks, values, scores = store.read()
        assert store.facts == {"batch": 4}
    np.testing.assert_array_equal(masks, MASKS)
    np.testing.assert_array_equal(values, VALUES)
    np.testing.assert_array_equal(scores, SCORES)


@pytest.mark.parametrize("n", [1, 8, 64, 65, 200])
@pytest.mark.parametrize("shape", [None, (5,), (2, 3)])
def test_any_number_of_players_and_any_shape_of_scores(tmp_path, n, shape):
    rng = np.random.default_rng(n)
    masks, values = rng.random((9, n)) < 0.5, rng.normal(size=9)
    scores = None if shape is None else rng.normal(size=(9, *shape)).astype(np.float32)
    with RunStore(tmp_path, KEY, n) as store:
        store.append(masks, values, scores)
        found = store.read()
    np.testing.assert_array_equal(found[0], masks)
    np.testing.assert_array_equal(found[1], values)
    assert (found[2] is None) == (shape is None)
    if scores is not None:
        np.testing.assert_array_equal(found[2], scores)


@pytest.mark.parametrize("damage", ["truncate", "empty", *range(6)])
def test_a_damaged_shard_is_named_and_set_aside(tmp_path, damage):
    fill(tmp_path)
    shard = shards(tmp_path)[0]
    size = shard.stat().st_size
    if isinstance(damage, int):
        flip(shard, int(np.random.default_rng(damage).integers(size)))
    else:
        os.truncate(shard, size - 1 if damage == "truncate" else 0)
    assert [(name, rows is None) for name, rows in read_blocks(tmp_path, 11)] == [
        (shard.name, True),
        (shards(tmp_path)[1].name, False),
    ]
    with RunStore(tmp_path, KEY, 11) as store:
        with pytest.warns(UserWarning, match=f"shard {shard.name} is damaged; it was set aside"):
            masks, values, _ = store.read()
        store.append(MASKS[:4], VALUES[:4], SCORES[:4])
    np.testing.assert_array_equal(masks, MASKS[4:])
    np.testing.assert_array_equal(values, VALUES[4:])
    assert shard.with_suffix(".damaged").exists() and not shard.exists()
    with RunStore(tmp_path, KEY, 11) as store:  # told once
        assert len(store.read()[0]) == 6


def test_a_shard_that_is_damaged_after_it_was_read_is_noticed(tmp_path):
    fill(tmp_path)
    shard = shards(tmp_path)[0]
    assert dict(read_blocks(tmp_path, 11))[shard.name] is not None
    flip(shard, shard.stat().st_size // 2)
    assert dict(read_blocks(tmp_path, 11))[shard.name] is None


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_shard_is_named_and_taken_back_when_it_returns(tmp_path, which):
    fill(tmp_path / "s")
    shard = shards(tmp_path / "s")[which]
    shard.rename(tmp_path / shard.name)
    assert dict(read_blocks(tmp_path / "s", 11))[shard.name] is None
    with pytest.warns(UserWarning, match=f"shard {shard.name} is missing"):
        store = RunStore(tmp_path / "s", KEY, 11)
    with store:
        np.testing.assert_array_equal(
            store.read()[1], np.delete(VALUES, slice(4) if which == 0 else slice(4, 6))
        )
    with RunStore(tmp_path / "s", KEY, 11) as store:  # told once
        assert len(store.read()[0]) == [2, 4][which]
    (tmp_path / shard.name).rename(shard)
    with RunStore(tmp_path / "s", KEY, 11) as store:
        np.testing.assert_array_equal(np.sort(store.read()[1]), VALUES)


def test_numbers_are_never_given_twice(tmp_path):
    fill(tmp_path)
    shards(tmp_path)[1].unlink()
    with pytest.warns(UserWarning, match="is missing"):
        store = RunStore(tmp_path, KEY, 11)
    with store:
        store.append(MASKS[4:], VALUES[4:], SCORES[4:])
    assert [path.name[:6] for path in shards(tmp_path)] == ["000000", "000002"]


def test_a_journal_cut_off_in_its_last_line_is_completed(tmp_path):
    fill(tmp_path)
    journal = tmp_path / "journal.jsonl"
    whole = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(whole[0] + whole[1][:20])
    with RunStore(tmp_path, KEY, 11) as store:
        np.testing.assert_array_equal(store.read()[1], VALUES)
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["rows"] for line in lines] == [4, 2]
    assert [line["shard"] for line in lines] == [path.name for path in shards(tmp_path)]


@pytest.mark.parametrize("what", [b"\x00\xff garbage", b'{"shard": 3}', b"[1, 2]"])
def test_a_damaged_journal_is_told_and_loses_no_rows(tmp_path, what):
    fill(tmp_path)
    journal = tmp_path / "journal.jsonl"
    first, rest = journal.read_bytes().split(b"\n", 1)
    journal.write_bytes(what + b"\n" + rest)
    with pytest.warns(UserWarning, match="1 lines of its journal are damaged"):
        store = RunStore(tmp_path, KEY, 11)
    with store:
        np.testing.assert_array_equal(store.read()[1], VALUES)
    with RunStore(tmp_path, KEY, 11) as store:
        assert len(store.read()[1]) == 6
    assert first not in journal.read_bytes()  # its line was written anew


@pytest.mark.parametrize("strange", ["wider", "no values", "text", "nan", "compressed", "scores"])
def test_a_shard_from_elsewhere_counts_as_damaged_though_its_digest_is_right(tmp_path, strange):
    fill(tmp_path)
    if strange == "wider":
        content = to_bytes(Rows(np.ones((2, 19), dtype=bool), np.ones(2), None))
    elif strange == "nan":
        content = to_bytes(Rows(MASKS[:1], np.array([np.nan]), SCORES[:1]))
    else:
        table = pq.read_table(shards(tmp_path)[0])
        if strange == "no values":
            table = table.drop_columns(["value"])
        elif strange == "text":
            table = table.set_column(1, "value", pa.array(["1"] * len(table)))
        elif strange == "scores":
            table = table.replace_schema_metadata({"shape": "[3, 5]"})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="GZIP" if strange == "compressed" else "NONE")
        content = buffer.getvalue()
    name = f"000002-{digest(content)}.parquet"
    (tmp_path / "shards" / name).write_bytes(content)
    assert dict(read_blocks(tmp_path, 11))[name] is None
    (seen,) = run_status(tmp_path)
    assert seen.stored == 6
    with pytest.warns(UserWarning, match=f"shard {name} is damaged; it was set aside"):
        with RunStore(tmp_path, KEY, 11) as store:
            np.testing.assert_array_equal(store.read()[0], MASKS)


@pytest.mark.parametrize(
    "name", ["../../outside.parquet", "/etc/passwd", 7, None, ["a"], "000000-x.parquet"]
)
def test_a_journal_that_names_anything_but_a_shard_is_damaged_there(tmp_path, name):
    fill(tmp_path / "s")
    (tmp_path / "outside.parquet").write_bytes(shards(tmp_path / "s")[0].read_bytes())
    with (tmp_path / "s" / "journal.jsonl").open("a") as file:
        file.write(json.dumps({"shard": name, "rows": 4, "session": 0, "time": 1.0}) + "\n")
        file.write(json.dumps({"lost": name, "why": "missing"}) + "\n")
    assert len(list(read_blocks(tmp_path / "s", 11))) == 2
    with pytest.warns(UserWarning, match="2 lines of its journal are damaged"):
        with RunStore(tmp_path / "s", KEY, 11) as store:
            np.testing.assert_array_equal(store.read()[1], VALUES)


@pytest.mark.parametrize(
    "where", ["lock", "journal.jsonl", "shards", "sessions", "shards/x", "key.json"]
)
def test_a_store_with_a_link_in_it_is_refused_and_nothing_outside_is_touched(tmp_path, where):
    outside = tmp_path / "outside"
    outside.write_text("precious")
    fill(tmp_path / "s")
    path = tmp_path / "s" / where
    if path.is_dir():
        path.rename(tmp_path / "moved")
        path.symlink_to(tmp_path / "moved")
    else:
        path.unlink(missing_ok=True)
        path.symlink_to(outside)
    with pytest.raises(ValueError, match=f"{where} is a link"):
        RunStore(tmp_path / "s", KEY, 11)
    assert outside.read_text() == "precious"


@pytest.mark.parametrize(
    "change",
    [
        {"n": "11"},
        {"n": 0},
        {"key": []},
        {"facts": None},
        {"facts": {"players": [["a"]]}},
        {"facts": {"batch": "many"}},
        {"facts": {"game": []}},
    ],
)
def test_a_header_of_another_shape_is_damaged_though_its_checksum_is_right(tmp_path, change):
    fill(tmp_path)
    header = {k: v for k, v in read_header(tmp_path).items() if k != "sha256"}
    (tmp_path / "key.json").write_bytes(signed({**header, **change}))
    with pytest.raises(ValueError, match=r"key\.json is damaged"):
        open_run(tmp_path)


def test_another_key_is_refused_by_the_field_that_differs(tmp_path):
    fill(tmp_path / "s")
    with pytest.raises(ValueError, match="another ablation: it has 'zero', this run has 'mean'"):
        RunStore(tmp_path / "s", {**KEY, "ablation": "mean"}, 11)
    with pytest.raises(ValueError, match="another seed: it has none, this run has '1'"):
        RunStore(tmp_path / "s", {**KEY, "seed": "1"}, 11)
    with pytest.raises(
        ValueError, match="another number of players: it has '11', this run has '12'"
    ):
        RunStore(tmp_path / "s", KEY, 12)
    with RunStore(tmp_path / "s", KEY, 11) as store:  # no lock was left behind
        assert len(store.read()[0]) == 6


def test_every_flipped_byte_of_the_header_is_noticed(tmp_path):
    fill(tmp_path)
    header = tmp_path / "key.json"
    content = header.read_bytes()
    for place in range(0, len(content), 5):
        if content[place : place + 1].isspace():
            continue
        flip(header, place)
        with pytest.raises(ValueError, match="is damaged"):
            RunStore(tmp_path, KEY, 11)
        header.write_bytes(content)
    with RunStore(tmp_path, KEY, 11) as store:
        assert len(store.read()[0]) == 6


def test_another_format_is_refused(tmp_path):
    (tmp_path / "key.json").write_text('{"format": 1, "n": 11, "key": {}, "environment": {}}')
    with pytest.raises(ValueError, match="store format 1, this version reads 2"):
        RunStore(tmp_path, KEY, 11)
    with pytest.raises(FileNotFoundError, match="is no run store"):
        read_header(tmp_path / "none")


def test_a_second_writer_is_told_who_writes(tmp_path):
    with RunStore(tmp_path / "s", KEY, 11):
        with pytest.raises(ValueError, match=rf"by another process \(process {os.getpid()} on "):
            RunStore(tmp_path / "s", KEY, 11)
    with RunStore(tmp_path / "s", KEY, 11):
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="not a run store and not empty"):
        RunStore(tmp_path, KEY, 11)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "shards").mkdir()
    (tmp_path / "notes.txt").rename(tmp_path / "shards" / "notes.txt")
    with pytest.raises(ValueError, match="not a run store and not empty"):
        RunStore(tmp_path, KEY, 11)


def test_a_failed_write_leaves_no_part(tmp_path, monkeypatch):
    fill(tmp_path / "s")
    before = sorted(p.name for p in (tmp_path / "s" / "shards").iterdir())

    def full(fd):
        raise OSError(28, "No space left on device")

    with RunStore(tmp_path / "s", KEY, 11) as store:
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(ValueError, match="No space left on device; what was committed"):
                store.append(MASKS, VALUES, SCORES)
        assert sorted(p.name for p in (tmp_path / "s" / "shards").iterdir()) == before
        store.append(MASKS, VALUES, SCORES)  # room was made
        assert len(store.read()[0]) == 12


@pytest.mark.parametrize(
    ("where", "at"),
    [
        ("spex_mech.evaluation.store.store.to_bytes", 1),
        ("os.fsync", 1),  # of the shard
        ("os.fsync", 2),  # of its folder
        ("spex_mech.evaluation.store.store.append_entry", 1),
        ("spex_mech.evaluation.store.store.append_entry", -1),  # when the line is there already
    ],
)
def test_an_interrupt_while_a_shard_is_written_loses_nothing(tmp_path, monkeypatch, where, at):
    module, _, name = where.rpartition(".")
    real, calls = getattr(sys.modules[module], name), []

    def interrupted(*arguments, **options):
        calls.append(name)
        if len(calls) == at:
            raise KeyboardInterrupt
        result = real(*arguments, **options)
        if len(calls) == -at:
            raise KeyboardInterrupt
        return result

    with RunStore(tmp_path, KEY, 11) as store:
        store.append(MASKS[:2], VALUES[:2], SCORES[:2])
        with monkeypatch.context() as patch:
            patch.setattr(where, interrupted)
            with pytest.raises(KeyboardInterrupt):
                store.append(MASKS[2:4], VALUES[2:4], SCORES[2:4])
        store.append(MASKS[4:], VALUES[4:], SCORES[4:])
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line).get("rows") for line in lines] == [2, 2, 2]
    assert len(list((tmp_path / "shards").iterdir())) == 3
    with RunStore(tmp_path, KEY, 11) as store:
        masks, values, scores = store.read()
    np.testing.assert_array_equal(masks, MASKS)
    np.testing.assert_array_equal(values, VALUES)
    np.testing.assert_array_equal(scores, SCORES)


LIMITED = """
import resource, sys
import numpy as np
from spex_mech.evaluation.store.store import RunStore
from spex_mech.evaluation.stored_run import open_run
rng = np.random.default_rng(0)
with RunStore(sys.argv[1], {"k": "v"}, 8) as store:
    for rows in (10, 20, 5000):
        if rows == 5000:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        store.append(rng.random((rows, 8)) < 0.5, np.arange(rows) * 1.0, None)
"""


def run_script(text: str, *arguments: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", text, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.mark.skipif(os.name != "posix", reason="limits of file size are POSIX")
def test_a_process_that_reaches_a_limit_of_the_disk_is_told_and_loses_nothing(tmp_path):
    done = run_script(LIMITED, tmp_path)
    assert done.returncode == 1
    assert re.search(r"InputError: cannot write 000002-\S+ to .*: File too large;", done.stderr)
    assert "what was committed stays readable" in done.stderr
    with RunStore(tmp_path, {"k": "v"}, 8) as store:
        np.testing.assert_array_equal(store.read()[1], [*range(10), *range(20)])
    assert not list(tmp_path.glob("**/*.part"))


NOBODY = 65534
READ_ONLY = """
import os, sys
NOBODY = 65534
import numpy as np
from spex_mech.evaluation.store.store import RunStore
from spex_mech.evaluation.stored_run import open_run
from spex_mech.evaluation.store.reading import read_blocks
list(read_blocks(sys.argv[1], 11))  # loads what is loaded late, which another user may not read
if os.geteuid() == 0:  # nothing is read-only for root
    os.setuid(NOBODY)
print(sum(len(rows) for _, rows in read_blocks(sys.argv[1], 11)))
RunStore(sys.argv[1], {"weights": "abc", "ablation": "zero"}, 11)
"""


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_a_read_only_folder_can_be_read_and_says_why_it_cannot_be_written():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "s"
        fill(folder)
        everything = [Path(name), folder, *folder.rglob("*")]
        for path in everything:
            path.chmod(0o555 if path.is_dir() else 0o444)
            if os.geteuid() == 0:
                os.chown(path, NOBODY, -1)
        done = run_script(READ_ONLY, folder)
        for path in everything:
            path.chmod(0o755)
    assert done.stdout == "6\n"
    assert re.search("InputError: cannot write its lock to .*: Permission denied;", done.stderr)
    assert "make the folder writable" in done.stderr


PLAIN = """
import hashlib, json, pathlib, sys
import numpy as np
import pyarrow.parquet as pq

folder = pathlib.Path(sys.argv[1])
header = json.loads((folder / "key.json").read_text())
assert header["format"] == 3
masks, values, scores = [], [], []
for path in sorted(folder.glob("shards/*.parquet")):
    assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem.split("-")[1]
    table = pq.read_table(path)
    octets = np.frombuffer(b"".join(table["mask"].to_pylist()), np.uint8).reshape(len(table), -1)
    masks.append(np.unpackbits(octets, axis=1, count=header["n"], bitorder="little").astype(bool))
    values.append(table["value"].to_numpy())
    flat = table["scores"].combine_chunks().flatten().to_numpy()
    scores.append(flat.reshape(len(table), *json.loads(table.schema.metadata[b"shape"])))
masks, values, scores = map(np.concatenate, (masks, values, scores))
"""


def test_storing_and_reading_loads_no_pandas(tmp_path):
    fill(tmp_path / "s")
    code = """
import sys
import numpy as np
from spex_mech.evaluation.store.store import RunStore
from spex_mech.evaluation.stored_run import open_run
from spex_mech.evaluation.stored_run import open_run
with RunStore(sys.argv[1], {"k": "v"}, 8) as store:
    store.append(np.ones((1, 8), dtype=bool), np.ones(1), np.ones((1, 2, 3), dtype=np.float32))
run = open_run(sys.argv[1])
assert run.values.tolist() == [1.0] and run.scores().shape == (1, 2, 3)
print([m for m in ("pandas", "torch", "sklearn") if m in sys.modules])
"""
    assert run_script(code, tmp_path / "other").stdout == "[]\n"


def test_numpy_and_pyarrow_alone_read_a_store(tmp_path):
    fill(tmp_path / "s")
    save = "assert 'spex_mech' not in sys.modules\nnp.savez(sys.argv[2], masks, values, scores)"
    done = run_script(PLAIN + save, tmp_path / "s", tmp_path / "out.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as found:
        np.testing.assert_array_equal(found["arr_0"], MASKS)
        np.testing.assert_array_equal(found["arr_1"], VALUES)
        np.testing.assert_array_equal(found["arr_2"], SCORES)
