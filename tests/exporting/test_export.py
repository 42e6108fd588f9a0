"""Exported checkpoints answer like the ablated model, loaded by stock Transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

import spex_mech as sm
from spex_mech.core.errors import InputError

IDS = np.random.default_rng(0).integers(1, 61, (3, 9))
PAIRS = np.random.default_rng(1).integers(1, 61, (3, 2))


@pytest.mark.parametrize(
    ("spec", "rescale"),
    [("heads", False), ("heads", True), ("kv mlps", False), ("layers:1-2", False)],
)
def test_dense_logits_equal_the_masked_model(tiny, tmp_path, spec, rescale):
    players = sm.select_players(tiny, spec)
    mask = np.arange(players.n) % 3 != 0
    before = tiny.fingerprint
    folder = sm.export(tiny, players, mask, tmp_path / "out", rescale=rescale)
    task = sm.TokenTask(IDS, answers=PAIRS)
    expected = sm.TaskGame(tiny, task, players, rescale=rescale).scores(mask[None])[0]
    stock = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = stock(torch.tensor(IDS)).logits[:, -1].gather(1, torch.tensor(PAIRS))
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-4)
    del tiny.__dict__["fingerprint"]
    assert tiny.fingerprint == before


def test_export_refuses_what_it_cannot_do_and_leaves_nothing(tiny_llama, tmp_path):
    players = sm.select_players(tiny_llama, "heads")
    mask = np.ones(players.n, dtype=bool)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes").touch()
    with pytest.raises(FileExistsError, match="taken exists; choose a new folder"):
        sm.export(tiny_llama, players, mask, tmp_path / "taken")
    with pytest.raises(ValueError, match="unknown export mode 'sparse'; expected 'dense'"):
        sm.export(tiny_llama, players, mask, tmp_path / "new", mode="sparse")
    with pytest.raises(ValueError, match="11 players wide, expected 12"):
        sm.export(tiny_llama, players, mask[:-1], tmp_path / "new")
    with pytest.raises(ValueError, match="dtype float64, expected bool"):
        sm.export(tiny_llama, players, mask.astype(float), tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_a_failing_save_leaves_nothing_behind(tiny_llama, tmp_path, monkeypatch):
    players = sm.select_players(tiny_llama, "heads")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(tiny_llama.hf, "save_pretrained", fail)
    with pytest.raises(
        InputError, match=r"cannot write the checkpoint .*: disk full; nothing of it"
    ):
        sm.export(tiny_llama, players, np.ones(players.n, dtype=bool), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
