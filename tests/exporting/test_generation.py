"""What each form of checkpoint generates, loaded from disk: with a cache, padded, by beams, saved again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from registered import forget_afterwards
from tiny_decoders import tiny_decoder

import spex_mech as sm
from spex_mech.ablation.gates import spread
from spex_mech.exporting.dense import dense_state
from spex_mech.models.modeling_compact import FAMILIES

IDS = torch.from_numpy(np.random.default_rng(0).integers(3, 61, (3, 9)))
LEFT = torch.ones_like(IDS)
LEFT[1, :2], LEFT[2, :5] = 0, 0
GREEDY = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
WAYS: list[dict[str, Any]] = [
    {"use_cache": True},
    {"use_cache": False},
    {"attention_mask": LEFT},
    {"attention_mask": LEFT, "num_beams": 3},
]
# Which heads of 4 on 2 key/value heads stay in the two layers, by form.
KEPT = {
    "family": [(0, 2), (1, 3)],
    "laguna": [(0, 1, 2, 3), (1, 2)],
    "gguf": [(0, 1, 2, 3), (0, 1)],
    "own": [(0, 1, 2), (3,)],
}


def loaded(folder: Path, form: str) -> Any:
    """By Transformers' own ``from_pretrained``; a GGUF file, which it does not know, by `load_model`."""
    if form == "gguf":
        return sm.load_model(folder / "model.gguf", tokenizer=object()).hf
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.mark.parametrize("form", KEPT)
def test_a_checkpoint_generates_what_the_masked_model_does_and_so_does_its_copy(
    form, tmp_path, monkeypatch
):
    if form == "gguf":
        pytest.importorskip("gguf")
    if form == "own":
        forget_afterwards(monkeypatch)
        sm.register_compact()
    hf = tiny_decoder("qwen3" if form == "laguna" else "llama-hd")
    model = sm.load_model(hf)
    players = sm.select_players(model, "heads")
    mask = np.array([player.index in KEPT[form][player.layer] for player in players])
    folder = sm.export(model, players, mask, tmp_path / "out", mode="compact", form=form)
    dense = type(hf)(hf.config).eval()
    dense.load_state_dict(dense_state(model, spread(players, model.shape, mask[None]), False))
    first = loaded(folder, form)
    assert (type(first) in FAMILIES.values()) == (form in ("own", "gguf"))
    first.save_pretrained(tmp_path / "again")
    if form == "gguf":  # the copy has the form own
        forget_afterwards(monkeypatch)
        sm.register_compact()
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "again").eval()
    for options in WAYS:
        expected = dense.generate(IDS, **options, **GREEDY)
        for small in (first, again):
            assert torch.equal(small.generate(IDS, **options, **GREEDY), expected), options
