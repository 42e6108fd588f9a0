"""Keeping progress bars out of files and pipes."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as hf_logging


@contextmanager
def bars_on_terminals_only() -> Iterator[None]:
    """Keep Transformers' progress bars out of files and pipes."""
    shown = hf_logging.is_progress_bar_enabled() and not sys.stderr.isatty()
    if shown:
        hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()


@contextmanager
def errors_on_terminals_only() -> Iterator[None]:
    """Keep all that is printed on standard error out of files and pipes, for bars that no setting hides."""
    if sys.stderr.isatty():
        yield
        return
    with contextlib.redirect_stderr(io.StringIO()):
        yield
