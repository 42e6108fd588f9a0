"""Ray beside other tests: its clusters are not found by another process, its workers not slower than that."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_ray() -> Iterator[None]:
    """Give Ray a folder of this process, where it looks for running clusters, and workers as quick as others.

    The folder's name is short: Ray makes sockets below it, whose paths may not be long.
    """
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_TMPDIR", folder)
            patch.setenv("RAY_worker_niceness", "0")  # by default they give way to all else
            yield
