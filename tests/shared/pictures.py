"""Reports without the pictures, for tests of words and files: drawing takes most of their time."""

from __future__ import annotations

import pytest


def leave_out_pictures(patch: pytest.MonkeyPatch) -> None:
    """Figures are made, but nothing is drawn of them."""
    patch.setattr("spex_mech.report.page._png", lambda figure: b"undrawn")
    patch.setattr("spex_mech.report.page._svg_text", lambda figure: "<svg></svg>")
