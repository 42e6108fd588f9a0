"""`spex-mech export` and `circuit`: checkpoints, their cards, and which questions test a circuit."""

from __future__ import annotations

import json

import pytest
import torch
import transformers

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.run.opening import open_folder
from spex_mech.run.spec import CircuitSpec


def test_compact_checkpoints_with_measured_costs(ask, job, tmp_path):
    folder, _ = job
    target = tmp_path / "small"
    ask("export", folder, "--keep", 12, "--mode", "compact", "--measure", "--out", target)
    card = (target / "README.md").read_text()
    assert "Measured costs" in card and "| parameters |" in card and "test margin" in card
    kept = next(
        row
        for row in json.loads((folder / "kept.json").read_text())
        if row["method"] == "ours" and row["keep"] == 12
    )
    ids = torch.arange(1, 9)[None]
    dense = tmp_path / "dense"
    ask("export", folder, "--keep", 0.75, "--out", dense)  # of 16
    a = sm.load_model(str(target)).hf(ids).logits
    b = transformers.AutoModelForCausalLM.from_pretrained(dense).eval()(ids).logits
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert len(kept["kept"]) == 12 and open_folder(folder).spec.prune.mode == "dense"


def test_the_form_of_a_compact_checkpoint(ask, job, tmp_path):
    folder, _ = job
    target = tmp_path / "small"
    ask("export", folder, "--mode", "compact", "--form", "auto", "--out", target)
    card = (target / "README.md").read_text()
    assert "- gguf: GGUF cannot hold its tokenizer: it has the model 'WordLevel'" in card
    assert "- laguna: a LlamaForCausalLM does not compute" in card
    with pytest.raises(InputError, match="form='family' cannot hold this mask: layer"):
        ask("export", folder, "--mode", "compact", "--form", "family", "--out", tmp_path / "x")


def test_help_and_spec_say_which_questions_a_circuit_is_tested_on(ask):
    help_text = " ".join(ask("circuit", "--help").replace("│", " ").split())
    assert "How many test questions, spread over all of them" in help_text
    assert "test questions to use, spread over all of them" in str(CircuitSpec.__doc__)
