"""What tests register with Transformers, and how it is forgotten afterwards."""

from __future__ import annotations

import pytest
import transformers

TABLES = (
    transformers.CONFIG_MAPPING,
    transformers.MODEL_MAPPING,
    transformers.MODEL_FOR_CAUSAL_LM_MAPPING,
)


def forget_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test register classes in copies of Transformers' tables."""
    for table in TABLES:
        monkeypatch.setattr(table, "_extra_content", dict(table._extra_content))
