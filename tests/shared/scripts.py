"""Modules of the folders under analyses/, whose names are alike from one folder to the next."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


@contextmanager
def modules_of(folder: Path, names: Sequence[str]) -> Iterator[Callable[[str], ModuleType]]:
    """Import modules of a folder; before and afterwards those of these names are forgotten."""
    before = list(sys.path)
    for name in names:
        sys.modules.pop(name, None)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module
    finally:
        sys.path[:] = before  # without what the modules themselves have added
        for name in names:
            sys.modules.pop(name, None)
