"""Files in folders that somebody else may have made: whole or not at all, never through a link."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from spex_mech.core.errors import InputError
from spex_mech.core.files import (
    check_folder,
    make_folder,
    new_folder,
    open_in_place,
    read_regular,
    real_folder,
    remove_leftovers,
    write_whole,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and locks are POSIX here")


@pytest.fixture
def victim(tmp_path):
    """A file outside the folder, which nothing may change."""
    path = tmp_path / "outside"
    path.write_text("precious")
    yield path
    assert path.read_text() == "precious"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "inside"
    path.mkdir()
    return path


def test_a_file_replaces_a_link_and_leaves_its_target_alone(folder, victim):
    (folder / "report.html").symlink_to(victim)
    (folder / "report.html.part").symlink_to(victim)
    os.link(victim, folder / "spec.json")
    for name in ("report.html", "spec.json"):
        write_whole(folder / name, b"new")
        assert (folder / name).read_bytes() == b"new" and not (folder / name).is_symlink()


def test_nothing_is_written_into_a_linked_folder(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="figures"):
        make_folder(folder / "figures")
    with pytest.raises(OSError, match="figures"):
        write_whole(folder / "figures" / "heads.png", b"new")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_lock_or_journal_is_not_opened_through_a_link_of_either_kind(folder, victim):
    (folder / "lock").symlink_to(victim)
    os.link(victim, folder / "journal.jsonl")
    for name in ("lock", "journal.jsonl"):
        with pytest.raises(OSError, match=name):
            open_in_place(folder / name, append=True)
    os.close(open_in_place(folder / "own"))
    assert (folder / "own").read_bytes() == b""


def test_links_pipes_and_devices_are_not_read(folder, victim):
    (folder / "link").symlink_to(victim)
    os.mkfifo(folder / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=name):
            read_regular(folder / name)
    with pytest.raises(OSError, match="null"):
        read_regular(real_folder("/dev") / "null")


@pytest.mark.parametrize("make", ["symlink", "fifo"])
def test_a_folder_with_anything_but_files_of_its_own_is_refused_by_name(folder, victim, make):
    (folder / "masks").mkdir()
    check_folder(folder)
    strange = folder / "masks" / "lock"
    strange.symlink_to(victim) if make == "symlink" else os.mkfifo(strange)
    with pytest.raises(InputError, match=r"masks/lock is .*put the file itself there"):
        check_folder(folder)


def test_other_users_files_are_refused_where_something_is_written(folder, monkeypatch):
    (folder / "spec.json").touch()
    monkeypatch.setattr("os.geteuid", lambda: 4321)
    with pytest.raises(InputError, match=r"spec.json belongs to another user .*runs as 4321"):
        check_folder(folder)
    check_folder(folder, own=False)


@pytest.mark.parametrize(("mode", "expected"), [(0o700, 0o600), (0o755, 0o600), (0o775, 0o644)])
def test_private_files_are_this_users_alone_unless_the_folder_is_shared(folder, mode, expected):
    folder.chmod(mode)
    before = os.umask(0o022)
    try:
        write_whole(folder / "private", b"prompt", private=True)
        write_whole(folder / "public", b"number")
    finally:
        os.umask(before)
    assert (folder / "private").stat().st_mode & 0o777 == expected
    assert (folder / "public").stat().st_mode & 0o777 == 0o644


def test_a_failure_leaves_the_old_file_and_nothing_else(folder, monkeypatch):
    write_whole(folder / "file", b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(folder / "file", b"new")
    with pytest.raises(ZeroDivisionError), new_folder(folder / "model") as filled:
        (filled / "weights").write_text("half")
        raise ZeroDivisionError
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert (folder / "file").read_bytes() == b"old"


def test_a_new_folder_takes_an_empty_ones_place_and_no_other(folder):
    (folder / "model").mkdir()
    with new_folder(folder / "model") as filled:
        (filled / "weights").write_text("whole")
        assert not list((folder / "model").iterdir())
    assert [path.name for path in (folder / "model").iterdir()] == ["weights"]
    with pytest.raises(OSError, match="not empty"), new_folder(folder / "model"):
        pass
    assert [path.name for path in folder.iterdir()] == ["model"]


KILLED = """
import os, signal, sys
from pathlib import Path
from spex_mech.core.files import new_folder
with new_folder(Path(sys.argv[1]) / "pruned") as filled:
    (filled / "weights").write_text("half")
    print("here", flush=True)
    if sys.argv[2] == "wait":
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("state", ["killed", "wait"])
def test_what_a_killed_process_left_is_removed_and_what_is_being_written_stays(folder, state):
    command = [sys.executable, "-c", KILLED, str(folder), state]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "here\n"
        if state == "killed":
            child.wait()
        remove_leftovers(folder)
        assert bool(list(folder.iterdir())) == (state == "wait")
        child.kill()
    remove_leftovers(folder)
    assert not list(folder.iterdir())
