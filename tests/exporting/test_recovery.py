"""Recovery fine-tunes what is left, and only that."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import spex_mech as sm
from spex_mech.exporting.export import compact_model
from spex_mech.exporting.recovery import recover

ROWS = [[5, 9, 13, 17], [6, 10, 14, 18, 22], [7, 11, 15]]


def cut(model):
    players = sm.select_players(model, "heads mlps")
    return compact_model(model, players, np.arange(players.n) % 3 != 0)


def mean_loss(hf, rows):
    """Over all next tokens, one sequence at a time."""
    with torch.no_grad():
        parts = [
            F.cross_entropy(
                hf(torch.tensor([row])).logits[0, :-1], torch.tensor(row[1:]), reduction="sum"
            )
            for row in rows
        ]
    return float(sum(parts)) / sum(len(row) - 1 for row in rows)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_training_lowers_the_loss_of_a_copy(tiny, method):
    if method == "lora":
        pytest.importorskip("peft", reason="LoRA recovery is made by peft")
    small = cut(tiny)
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    options = {"seed": 0, "method": method, "steps": 6, "batch_size": 3, "learning_rate": 5e-3}
    found = recover(small, ROWS, **options)
    assert found.losses[0] == pytest.approx(mean_loss(small, ROWS), rel=1e-5)
    assert mean_loss(found.hf, ROWS) < found.losses[-1] < found.losses[0]
    assert all(torch.equal(small.state_dict()[name], before[name]) for name in before)
    assert type(found.hf) is type(small)
    shapes = {name: tensor.shape for name, tensor in found.hf.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in before.items()}
    everything = sum(p.numel() for p in small.parameters())
    assert found.trained == everything if method == "full" else found.trained < everything
    longer = recover(small, ROWS, **options | {"steps": 7})
    assert longer.losses[:6] == found.losses
    # Every batch holds all rows: the seventh loss is that of the (merged) model after six updates.
    assert longer.losses[6] == pytest.approx(mean_loss(found.hf, ROWS), rel=1e-4)


def test_only_the_targets_count(tiny_llama):
    small = cut(tiny_llama)
    found = recover(small, ROWS, seed=0, method="full", steps=1, batch_size=3, targets=1)
    with torch.no_grad():
        last = [
            F.cross_entropy(small(torch.tensor([row])).logits[0, -2:-1], torch.tensor(row[-1:]))
            for row in ROWS
        ]
    assert found.losses[0] == pytest.approx(float(sum(last)) / 3, rel=1e-5)


def test_a_recovered_model_can_be_exported_in_place_of_the_cut_one(tiny_llama, tmp_path):
    players = sm.select_players(tiny_llama, "heads mlps")
    mask = np.arange(players.n) % 3 != 0
    small = compact_model(tiny_llama, players, mask)
    found = recover(small, ROWS, seed=0, method="full", steps=2)
    options = {"mode": "compact", "recovered": found.hf}
    folder = sm.export(tiny_llama, players, mask, tmp_path / "out", **options)
    loaded = type(small).from_pretrained(folder)
    for name, tensor in found.hf.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert "fine-tuned after pruning" in (folder / "README.md").read_text()
    with pytest.raises(ValueError, match="recovered= was not cut by this mask"):
        sm.export(tiny_llama, players, ~mask, tmp_path / "other", **options)
    with pytest.raises(ValueError, match="recovered= is for mode='compact'"):
        sm.export(tiny_llama, players, mask, tmp_path / "other", recovered=found.hf)


def test_bad_requests_are_refused(tiny_llama, monkeypatch):
    hf = tiny_llama.hf
    with pytest.raises(ValueError, match="unknown recovery method 'sgd'"):
        recover(hf, ROWS, seed=0, method="sgd")
    with pytest.raises(ValueError, match="sequence 1 has fewer"):
        recover(hf, [[1, 2], [3]], seed=0, method="full")
    with pytest.raises(ValueError, match="there are no sequences"):
        recover(hf, [], seed=0, method="full")
    with pytest.raises(ValueError, match="steps is 0, expected 1 or more"):
        recover(hf, ROWS, seed=0, method="full", steps=0)
    with pytest.raises(ValueError, match=r"the loss became nan at step \d+; lower learning_rate"):
        recover(hf, ROWS, seed=0, method="full", learning_rate=1e30, steps=20)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match="pip install peft, or use method='full'"):
        recover(hf, ROWS, seed=0, method="lora")
