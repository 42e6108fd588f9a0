"""Folders with damaged files, lost shards and links in them: which file it is, and what it costs."""

from __future__ import annotations

import json
import re
import shutil
import warnings

import pytest

from spex_mech.core.errors import DamagedStoreWarning, InputError
from spex_mech.evaluation.store.status import run_status


def test_damaged_files_are_named(ask, copy):
    (copy / "results.json").write_text('{"full": {}}')
    with pytest.raises(
        InputError, match=r"results\.json is not what this version writes: it has no"
    ):
        ask("report", copy)
    (copy / "results.json").write_text("{")
    with pytest.raises(InputError, match=r"cannot read .*results\.json"):
        ask("report", copy)
    (copy / "spec.json").write_text('{"model": 3}')
    with pytest.raises(InputError, match="'model' is 3"):
        ask("report", copy)


def damage(store):
    """Flip a byte of a store's largest shard; its name, and how many masks are lost."""
    shard = max((store / "shards").glob("*.parquet"), key=lambda p: p.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    lines = map(json.loads, (store / "journal.jsonl").read_text().splitlines())
    return shard.name, next(entry["rows"] for entry in lines if entry.get("shard") == shard.name)


@pytest.mark.usefixtures("undrawn")
def test_every_reader_says_what_is_damaged_and_what_that_costs(ask, copy, tmp_path):
    masks, lasso = copy / "masks", ("--method", "lasso", "--out", tmp_path / "out")
    stored = run_status(masks)[0].stored
    name, lost = damage(masks)
    told = rf"1 shard is damaged or missing \({name}\), and with that {lost} of {stored} masks"
    with pytest.raises(InputError, match=rf"{told}; evaluating again .* --allow-damaged"):
        ask("decode", masks, *lasso)
    with pytest.warns(DamagedStoreWarning, match=told):
        ask("decode", masks, *lasso, "--allow-damaged")
    used = json.loads((tmp_path / "out" / "spectrum.json").read_text())["settings"]["masks"]
    assert 0 < used <= stored - lost  # a mask may stand in several shards, with other questions
    with pytest.warns(DamagedStoreWarning, match=told), pytest.raises(InputError, match="damaged"):
        ask("decode", copy)
    shown = " ".join(ask("status", copy).split())
    assert re.search(told, shown) and f" {stored - lost:,} in " in shown
    assert "damaged" not in ask("status", copy, "--no-verify")
    with pytest.warns(DamagedStoreWarning, match=told):
        ask("report", copy)
    page = (copy / "report.html").read_text()
    assert f"<b>{lost} masks are missing</b>" in page and name in page


@pytest.mark.usefixtures("undrawn")
def test_damage_is_a_sentence_on_the_terminal(copy, terminal):
    damage(copy / "masks")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _, err = terminal("report", str(copy))
    assert code == 0
    assert err.startswith(f"spex-mech: warning: {copy / 'masks'}: 1 shard is damaged")


@pytest.mark.parametrize("where", ["report.html.part", "figures", "masks/lock", "spectrum.json"])
@pytest.mark.parametrize("command", ["report", "decode", "circuit"])
def test_a_received_folder_with_a_link_in_it_is_refused(ask, copy, tmp_path, where, command):
    outside = tmp_path / "outside"
    outside.write_text("precious")
    path = copy / where
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(outside)
    with pytest.raises(InputError, match=f"{path} is a link"):
        ask(command, copy)
    assert outside.read_text() == "precious"
