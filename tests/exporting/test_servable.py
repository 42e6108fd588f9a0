"""Pruning to what a form can hold, from the game to the checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import transformers
from tiny_decoders import tiny_decoder

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.exporting.export import export_forms


@pytest.mark.parametrize(
    ("kind", "form"), [("qwen3", "laguna"), ("llama-hd", "gguf"), ("llama", "family")]
)
def test_what_prune_chooses_is_exported_in_the_form(kind, form, tmp_path):
    if form == "gguf":
        pytest.importorskip("gguf")
    model = sm.load_model(tiny_decoder(kind))
    players = sm.select_players(model, "heads")
    tokens = np.random.default_rng(0).integers(3, 61, (6, 7))
    task = sm.TokenTask(tokens, answers=np.array([[3, 4]] * 6))
    game = sm.TaskGame(model, task, players)
    design = sm.designs.uniform(players.n, 40, seed=0)
    spectrum = sm.decode(design, sm.evaluate(game, design).values, method="lasso", seed=0)
    pruned = sm.prune(game, spectrum, keep=4, limits=sm.servable(form), validate=24, seed=0)
    assert pruned.keep == 4 and pruned.cost is not None and pruned.cost >= 0
    assert export_forms(model, players, pruned.mask)[form] is None
    sm.export(model, players, pruned.mask, tmp_path / "out", mode="compact", form=form)


def test_models_and_forms_that_do_not_go_together_are_refused():
    llama = sm.load_model(tiny_decoder("llama"))
    players = sm.select_players(llama)
    with pytest.raises(InputError, match="form='laguna' can hold no set of this model: a Llama"):
        sm.servable("laguna").of(players, llama)
    with pytest.raises(InputError, match="no form 'own' limits which sets can be kept"):
        sm.servable("own")
    config = transformers.LlamaConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
    )
    odd = sm.load_model(transformers.LlamaForCausalLM(config))
    with pytest.raises(InputError, match="keep 2 or 4"):  # 32 is no multiple of 3
        sm.servable("family").of(sm.select_players(odd), odd).check_size(3)
