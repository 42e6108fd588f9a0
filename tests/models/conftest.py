"""A tiny checkpoint on disk, and ways to change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import tokenizers
import transformers


class Folder:
    """A checkpoint whose files can be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def set(self, file: str = "config.json", **values: Any) -> None:
        """Change or add settings."""
        path = self.path / file
        found = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**found, **values}))

    def weights(self, change: Any) -> None:
        """Write what ``change`` makes of the dict of weights."""
        path = self.path / "model.safetensors"
        found = change(safetensors.torch.load_file(path))
        safetensors.torch.save_file(found, path, metadata={"format": "pt"})


@pytest.fixture
def folder(tiny_llama, tmp_path) -> Folder:
    """A tiny Llama with a tokenizer of two words."""
    path = tmp_path / "m"
    tiny_llama.hf.save_pretrained(path)
    level = tokenizers.models.WordLevel({"[UNK]": 0, "A": 1}, unk_token="[UNK]")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(level), unk_token="[UNK]"
    ).save_pretrained(path)
    return Folder(path)
