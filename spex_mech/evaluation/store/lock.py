"""One writer per folder: an advisory lock that the system releases when its process ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.files import open_in_place, read_regular


def lock_folder(folder: Path) -> io.IOBase:
    """Lock a folder until the handle is closed or this process ends, however it ends.

    Where the platform has no locks (Windows), nothing is locked.

    Raises:
        InputError: another process holds it; says which. Or the file system has no locks.
        OSError: the lock cannot be opened, or is a link.
    """
    handle = os.fdopen(open_in_place(folder / "lock"), "r+", encoding="utf-8")
    try:
        import fcntl
    except ModuleNotFoundError:  # no advisory locks on this platform
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        owner = lock_owner(folder)
        writer = f" (process {owner['pid']} on {owner['host']})" if owner else ""
        raise InputError(
            f"{folder} is being written by another process{writer}; wait for it or use another folder"
        ) from None
    except OSError as error:
        handle.close()
        raise InputError(
            f"the file system of {folder} cannot lock files ({error.strerror or error}), and without a lock "
            "two processes might write one store; put the store on a local disk, or mount the file system "
            "with locks (NFS: version 4, or with lockd; Lustre: with the option flock)"
        ) from error
    owner = {"pid": os.getpid(), "host": platform.node(), "time": time.time()}
    try:
        handle.truncate(0)
        handle.write(json.dumps(owner))
        handle.flush()
    except BaseException:
        with contextlib.suppress(OSError):  # what is not written yet is tried again
            handle.close()
        raise
    return handle


def lock_owner(folder: Path) -> dict[str, Any] | None:
    """Process and host of the last writer, which may have ended; the lock is not touched."""
    try:
        owner = json.loads(read_regular(folder / "lock"))
        return {"pid": int(owner["pid"]), "host": str(owner["host"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_alive(owner: dict[str, Any]) -> bool | None:
    """Whether a writer's process exists; None where it ran on another host."""
    if owner["host"] != platform.node():
        return None
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
