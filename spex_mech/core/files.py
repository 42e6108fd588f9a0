"""Files in folders that somebody else may have made: whole or not at all, and never through a link.

A temporary name cannot be guessed, is made exclusively and belongs to a folder that is opened once, so that
a link which lies in a received folder is never written through. The process that writes a temporary file
holds a lock on it: what a killed process left has none, and `remove_leftovers` can tell.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from spex_mech.core.errors import InputError

try:
    import fcntl
except ModuleNotFoundError:  # no advisory locks on this platform
    fcntl = None

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_HAS_FOLDER_HANDLES = os.open in os.supports_dir_fd
_SUFFIX = ".part"


def write_whole(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file under a temporary name, have it on disk, and rename it.

    Args:
        path: the file. One that is there is replaced; a link there is replaced too, not followed.
        content: its bytes.
        private: for texts that may be confidential: only this user may read the file, unless the folder is
            meant for a group (writable by others, or set-group-ID).

    Raises:
        OSError: the file cannot be written; nothing is left behind. A parent folder that is a link counts.
    """
    with _opened_folder(path.parent) as folder:
        temporary = f".{path.name}.{secrets.token_hex(8)}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        handle = _open_in(folder, path.parent, temporary, flags, _mode(path.parent, private))
        try:
            with os.fdopen(handle, "wb") as file:
                _try_lock(file.fileno())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                _rename_in(folder, path.parent, temporary, path.name)
            if folder is not None:
                os.fsync(folder)
        except BaseException:
            with contextlib.suppress(OSError):
                _unlink_in(folder, path.parent, temporary)
            raise


def read_regular(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: there is none, or it cannot be read; a link, a pipe or a device is not read.
    """
    handle = os.open(path, os.O_RDONLY | _NOFOLLOW | _BINARY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read()


def open_in_place(path: Path, *, append: bool = False, private: bool = False) -> int:
    """A handle on a file that stays where it is, such as a lock or a journal; made if it is not there.

    Args:
        path: the file.
        append: write at its end.
        private: see `write_whole`, for a file that is made.

    Raises:
        OSError: it cannot be opened, or is a link, or has a second name (a hard link) in another folder.
    """
    flags = os.O_RDWR | os.O_CREAT | _NOFOLLOW | _BINARY | (os.O_APPEND if append else 0)
    handle = os.open(path, flags, _mode(path.parent, private))
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(handle)
        raise OSError(errno.EMLINK, "not a file of its own (a link or a device)", str(path))
    return handle


def make_folder(path: Path) -> None:
    """Make a folder, with its parents; one that is there already must not be a link.

    Raises:
        OSError: it cannot be made, or a link or a file has its name.
    """
    path.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        raise OSError(errno.ELOOP, "is a link, not a folder", str(path))


def real_folder(path: str | Path) -> Path:
    """A folder that the user named, which may be a link of the user's own, as the folder itself."""
    folder = Path(path)
    return folder.resolve() if folder.is_symlink() else folder


def check_folder(folder: Path, *, own: bool = True) -> None:
    """Refuse a folder that holds links, pipes or devices, at any depth, or files of other users.

    Args:
        folder: the folder; one that is not there passes.
        own: whether files of other users are refused too, as they must be where something is written.

    Raises:
        InputError: names the first such file and the remedy.
    """
    user = os.geteuid() if own and hasattr(os, "geteuid") else None
    for path in _below(folder):
        about = path.lstat()
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            kind = "a link" if stat.S_ISLNK(about.st_mode) else "no regular file"
            raise InputError(
                f"{path} is {kind}, and a run's folder or a store holds files of its own only; put the "
                "file itself there, or use another folder"
            )
        if user is not None and about.st_uid != user:
            raise InputError(
                f"{path} belongs to another user (number {about.st_uid}, this process runs as {user}); "
                "copy the folder and use the copy, or have its owner change the files' owner"
            )


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name ``path`` when the ``with`` block ends, and not before.

    An empty folder of that name is replaced. Whatever ends the block early leaves nothing behind; what a
    killed process left is removed when the next one writes the same folder, and by `remove_leftovers`.

    Raises:
        OSError: it cannot be made, or a folder with that name is not empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_SUFFIX}")
    temporary.mkdir()
    try:
        with (temporary / "lock").open("wb") as lock:
            _try_lock(lock.fileno())
            (temporary / "content").mkdir()
            yield temporary / "content"
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            (temporary / "content").rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Remove the temporary files and folders that killed processes left; those being written stay.

    Args:
        folder: where they are, or in a folder of which.
        name: of the file or folder that was to be written; empty for all.
    """
    pattern = f".{name}{'.' if name else ''}*{_SUFFIX}"
    for path in [*folder.glob(pattern), *(() if name else folder.glob(f"*/{pattern}"))]:
        lock = path / "lock" if path.is_dir() else path
        try:
            handle = os.open(lock, os.O_RDWR | _NOFOLLOW | _BINARY)
        except OSError:
            continue
        try:
            if _try_lock(handle):
                _remove(path)
        finally:
            os.close(handle)


def _try_lock(handle: int) -> bool:
    """Lock a file; False where another process holds the lock, or the file system has none."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _below(folder: Path) -> Iterator[Path]:
    """Everything in a folder, at any depth; links are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.name.endswith(_SUFFIX) and not entry.is_symlink():
            continue  # another process may be about to rename it
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))


@contextlib.contextmanager
def _opened_folder(folder: Path) -> Iterator[int | None]:
    """A handle on a folder that is no link; None where the platform has no such handles."""
    if not _HAS_FOLDER_HANDLES:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY | _DIRECTORY | _NOFOLLOW)
    try:
        yield handle
    finally:
        os.close(handle)


def _open_in(folder: int | None, parent: Path, name: str, flags: int, mode: int) -> int:
    if folder is None:
        return os.open(parent / name, flags | _BINARY, mode)
    return os.open(name, flags | _NOFOLLOW, mode, dir_fd=folder)


def _rename_in(folder: int | None, parent: Path, name: str, target: str) -> None:
    if folder is None:
        (parent / name).replace(parent / target)
    else:
        os.replace(name, target, src_dir_fd=folder, dst_dir_fd=folder)


def _unlink_in(folder: int | None, parent: Path, name: str) -> None:
    if folder is None:
        (parent / name).unlink()
    else:
        os.unlink(name, dir_fd=folder)


def _mode(folder: Path, private: bool) -> int:
    """Permissions of a new file: a private one in a folder of one user is that user's alone."""
    shared = folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISGID)
    return 0o600 if private and not shared else 0o666
