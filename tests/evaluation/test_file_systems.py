"""File systems that are full, too small, or cannot do what a store relies on."""

from __future__ import annotations

import errno
import os

import pytest

import spex_mech as sm
from spex_mech.evaluation.store.store import RunStore

KEY = {"weights": "abc"}


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_before_anything_is_written(
    tmp_path, monkeypatch, number
):
    fcntl = pytest.importorskip("fcntl", reason="this platform has no locks at all")
    with RunStore(tmp_path / "before", KEY, 3):
        pass

    def flock(handle, how):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        for name in ("before", "new"):
            with pytest.raises(sm.InputError) as told:
                RunStore(tmp_path / name, KEY, 3)
            assert f"cannot lock files ({os.strerror(number)})" in str(told.value)
            assert "put the store on a local disk, or mount" in str(told.value)
            assert "make room" not in str(told.value)
    assert not (tmp_path / "new" / "key.json").exists()
    for name in ("before", "new"):  # with locks it goes on
        with RunStore(tmp_path / name, KEY, 3) as store:
            assert len(store.read()[0]) == 0
