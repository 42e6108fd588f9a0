"""Forms of a compact checkpoint: the masked model's answers, who can hold what, and the first that fits."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers

import spex_mech as sm
from spex_mech.ablation.gates import spread
from spex_mech.core.errors import InputError
from spex_mech.core.layer_rules import LAYER_RULES, LayerSize, layer_rule
from spex_mech.exporting import writing
from spex_mech.exporting.dense import dense_state
from spex_mech.exporting.export import compact_model, export_forms

IDS = torch.from_numpy(np.random.default_rng(0).integers(3, 61, (3, 9)))
LEFT = torch.ones_like(IDS)
LEFT[1, :2], LEFT[2, :5] = 0, 0
MADE = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
AUTO = transformers.AutoModelForCausalLM
GROUPED = {"num_attention_heads": 6, "num_key_value_heads": 2}  # three query heads a group
SMALL = {
    "vocab_size": 61,
    "hidden_size": 48,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "max_position_embeddings": 64,
    "head_dim": 16,
    **GROUPED,
}
WINDOWS = {
    "use_sliding_window": True,
    "sliding_window": 4,
    "max_window_layers": 1,
    "layer_types": ["full_attention", "sliding_attention", "full_attention"],
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
}
QWEN3 = {
    "plain": {},
    "tied": {"tie_word_embeddings": True},
    "windows": WINDOWS,
    "yarn": {"rope_parameters": YARN},
}


def random_model(config, dtype=torch.float32) -> sm.Model:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf = AUTO.from_config(config)
        for name, parameter in hf.named_parameters():
            if parameter.ndim == 2 and "embed" not in name:
                torch.nn.init.normal_(parameter, std=0.2)
            elif name.endswith("norm.weight"):
                torch.nn.init.normal_(parameter, mean=1.0, std=0.2)
    return sm.load_model(torch.nn.Module.to(hf, dtype))


def dense_of(model: sm.Model, players: sm.PlayerSet, mask: np.ndarray, rescale: bool = False):
    dense = type(model.hf)(model.hf.config).to(model.dtype).eval()
    gates = spread(players, model.shape, mask[None])
    dense.load_state_dict(dense_state(model, gates, rescale), strict=False)
    return dense


def servable_mask(players: sm.PlayerSet, gone: tuple[str, ...] = ()) -> np.ndarray:
    """Layers of 6, 4 and 2 of 6 heads, equally many for each key/value head."""
    size = {0: 3, 1: 2, 2: 1}
    return np.array(
        [
            player.name not in gone
            and (player.kind != "head" or (player.index or 0) % 3 < size[player.layer])
            for player in players
        ]
    )


@pytest.fixture(scope="module")
def qwen3():
    return random_model(transformers.Qwen3Config(**SMALL))


@pytest.fixture(scope="module")
def llama():
    return random_model(transformers.LlamaConfig(**SMALL))


@pytest.mark.parametrize("name", QWEN3)
def test_a_pruned_qwen3_is_a_stock_laguna(name, tmp_path):
    model = random_model(transformers.Qwen3Config(**{**SMALL, **QWEN3[name]}))
    players = sm.select_players(model, "heads")
    mask = servable_mask(players)
    folder = sm.export(model, players, mask, tmp_path / "out", mode="compact", form="laguna")
    assert not [*folder.glob("*.py")]
    stock = AUTO.from_pretrained(folder, trust_remote_code=False).eval()
    assert type(stock).__module__.startswith("transformers.models.laguna")
    assert stock.config.num_attention_heads_per_layer == [6, 4, 2]
    dense = dense_of(model, players, mask)
    stock.save_pretrained(tmp_path / "again")
    for hf in (stock, AUTO.from_pretrained(tmp_path / "again").eval()):
        with torch.no_grad():
            ours, theirs = hf(IDS).logits, dense(IDS).logits
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))
    for options in ({}, {"use_cache": False}, {"attention_mask": LEFT}, {"num_beams": 3}):
        made = [hf.generate(IDS, **MADE, **options) for hf in (stock, dense)]
        assert torch.equal(*made)
    assert stock.num_parameters() < dense.num_parameters()


def test_the_gate_of_a_laguna_is_divided_out_as_its_dtype_rounds_it(tmp_path):
    """Bfloat16 holds ln 2 a quarter of a percent too small, in every layer."""
    model = random_model(transformers.Qwen3Config(**SMALL), torch.bfloat16)
    players = sm.select_players(model, "heads")
    mask = servable_mask(players)
    folder = sm.export(model, players, mask, tmp_path / "out", mode="compact", form="laguna")
    exact = dense_of(model, players, mask).float()
    with torch.no_grad():
        truth = exact(IDS).logits
        own = compact_model(model, players, mask)(IDS).logits.float()
        laguna = AUTO.from_pretrained(folder).eval()(IDS).logits.float()
    assert (laguna - truth).square().mean() < 1.5 * (own - truth).square().mean()


def test_a_layer_that_is_gone_leaves_a_laguna_and_rescaling_is_folded_in(qwen3, tmp_path):
    players = sm.select_players(qwen3, "layers:0 heads:1-2")
    mask = servable_mask(players, gone=("L0",))
    options = {"mode": "compact", "form": "laguna", "rescale": True}
    stock = AUTO.from_pretrained(
        sm.export(qwen3, players, mask, tmp_path / "out", **options)
    ).eval()
    assert stock.config.num_attention_heads_per_layer == [4, 2]
    with torch.no_grad():
        expected = dense_of(qwen3, players, mask, rescale=True)(IDS).logits
        torch.testing.assert_close(stock(IDS).logits, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("form", ["family", "laguna"])
def test_even_fills_what_a_form_cannot_leave_out(form, qwen3, tmp_path):
    players = sm.select_players(qwen3, "heads mlps")
    gone = (
        "L0H0",
        "L1MLP",
        "L2H0",
        "L2H3",
    )  # a group of two and one of three, an MLP, a layer's heads
    mask = servable_mask(players, gone)
    options = {"mode": "compact", "form": form}
    with pytest.raises(InputError, match=r"layer 0 keeps 2, 3 query heads .*servable\(.*even=True"):
        sm.export(qwen3, players, mask, tmp_path / "out", **options)
    assert not [*tmp_path.iterdir()]
    folder = sm.export(qwen3, players, mask, tmp_path / "out", even=True, **options)
    stock = AUTO.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = dense_of(qwen3, players, mask)(IDS).logits
        torch.testing.assert_close(stock(IDS).logits, expected, rtol=0, atol=1e-3)
    cut = compact_model(qwen3, players, mask, even=True, form=form)
    heads = [layer.self_attn.q_proj.out_features // 16 for layer in cut.model.layers]
    assert heads == ([6, 6, 6] if form == "family" else [6, 4, 2])


def test_auto_takes_the_first_form_that_fits_and_says_why_not_the_others(qwen3, tmp_path):
    players = sm.select_players(qwen3, "heads mlps")
    even = np.array([p.kind != "head" or p.index % 3 < 2 for p in players])
    no_mlp = servable_mask(players, gone=("L1MLP",))
    for i, (mask, chosen, refused) in enumerate(
        [
            (even, "qwen3", []),
            (servable_mask(players), "laguna", ["family"]),
            (no_mlp, "compact_qwen3", ["family", "laguna", "gguf"]),
        ]
    ):
        folder = sm.export(qwen3, players, mask, tmp_path / f"{i}", mode="compact", form="auto")
        assert json.loads((folder / "config.json").read_text())["model_type"] == chosen
        card = (folder / "README.md").read_text()
        assert ("Why it has no other form" in card) == bool(refused)
        for form in refused:
            assert f"- {form}: " in card
    reasons = export_forms(qwen3, players, no_mlp)
    assert [*reasons] == ["family", "laguna", "gguf", "own"] and reasons["own"] is None
    assert reasons["laguna"] == "layer 1 has lost its MLP, and every layer needs one"
    assert "only Llama and Mistral do" in str(reasons["gguf"])
    assert export_forms(qwen3, players, no_mlp, even=True)["laguna"] is None


def test_a_number_of_heads_that_the_config_refuses_gives_the_next_form(tmp_path):
    """Llama's config wants 48 % heads = 0, although the width of a head is its own."""
    config = transformers.LlamaConfig(**{**SMALL, "num_key_value_heads": 6})
    model = random_model(config)
    players = sm.select_players(model, "heads")
    mask = np.arange(players.n) % 6 > 0
    reasons = export_forms(model, players, mask)
    assert "does not take 5 heads a layer: The hidden size (48) is not a multiple" in str(
        reasons["family"]
    )
    for form in ("own", "auto"):
        options = {"mode": "compact", "form": form}
        folder = sm.export(model, players, mask, tmp_path / form, **options)
        assert (folder / "modeling_compact.py").exists() or (folder / "model.gguf").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (transformers.LlamaConfig(**SMALL), "only Qwen3 does. Use form='own'"),
        (transformers.Gemma3TextConfig(**SMALL), "a Gemma3ForCausalLM does not compute"),
        (transformers.Qwen3Config(**SMALL, attention_bias=True), "its attention has biases"),
        (transformers.Qwen3Config(**SMALL, hidden_act="gelu"), "the activation 'gelu'"),
    ],
)
def test_models_that_are_no_laguna_are_refused(config, message, tmp_path):
    model = random_model(config)
    players = sm.select_players(model, "heads")
    with pytest.raises(InputError, match=message):
        sm.export(
            model, players, servable_mask(players), tmp_path / "out", mode="compact", form="laguna"
        )
    assert not [*tmp_path.iterdir()]


def test_settings_that_do_not_go_together_are_refused(qwen3, tmp_path):
    players = sm.select_players(qwen3, "heads")
    mask = np.ones(players.n, dtype=bool)
    with pytest.raises(InputError, match="unknown form 'onnx'; expected one of 'auto', 'family'"):
        sm.export(qwen3, players, mask, tmp_path / "out", mode="compact", form="onnx")
    with pytest.raises(InputError, match="form='laguna' is for mode='compact'"):
        sm.export(qwen3, players, mask, tmp_path / "out", form="laguna")
    with pytest.raises(InputError, match="no layer is left; keep a layer"):
        layers = sm.select_players(qwen3, "layers")
        sm.export(qwen3, layers, np.zeros(3, bool), tmp_path / "o", mode="compact", form="laguna")


def test_too_little_room_is_seen_before_anything_is_written(qwen3, tmp_path, monkeypatch):
    players = sm.select_players(qwen3, "heads")
    mask = np.ones(players.n, dtype=bool)
    room = type("Usage", (), {"free": 10_000})()
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda path: room)
    monkeypatch.setattr(
        type(qwen3.hf), "save_pretrained", lambda *a, **k: pytest.fail("something was written")
    )
    for mode in ("dense", "compact"):
        with pytest.raises(InputError, match=r"takes 0.00 GB and the disk of .* has 0.00 GB free"):
            sm.export(qwen3, players, mask, tmp_path / "a" / "out", mode=mode)
    assert not [*tmp_path.iterdir()]


def test_fine_tuned_weights_get_the_same_form(qwen3, tmp_path):
    players = sm.select_players(qwen3, "heads")
    mask = servable_mask(players)
    tuned = compact_model(qwen3, players, mask)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.mul_(1.01)
    options = {"mode": "compact", "form": "laguna", "recovered": tuned}
    stock = AUTO.from_pretrained(
        sm.export(qwen3, players, mask, tmp_path / "out", **options)
    ).eval()
    with torch.no_grad():
        torch.testing.assert_close(stock(IDS).logits, tuned(IDS).logits, rtol=0, atol=1e-3)


def test_a_rule_names_the_first_layer_that_breaks_it():
    def sizes(*layers):
        return [LayerSize(2 * i, groups, mlp) for i, (groups, mlp) in enumerate(layers)]

    full, half, one = ((2, 2), True), ((1, 1), True), ((2,), True)
    cases = {
        "family": [(full, half), (full, one), (full, ((), True)), (full, ((2, 2), False))],
        "laguna": [(full, one), (full, ((), True)), (full, ((2, 2), False)), (((2, 1), True),)],
        "gguf": [(((2, 1), True),)],
    }
    for form, wrong in cases.items():
        assert (
            LAYER_RULES[form].fault([]) is None
            and LAYER_RULES[form].fault(sizes(full, full)) is None
        )
        for layers in wrong:
            fault = LAYER_RULES[form].fault(sizes(*layers))
            assert fault is not None and fault.startswith(f"layer {2 * len(layers) - 2} ")
    assert LAYER_RULES["laguna"].fault(sizes(full, half)) is None
    assert LAYER_RULES["gguf"].fault(sizes(full, one, ((), True), ((), False), half)) is None
    with pytest.raises(InputError, match="no form 'own' limits"):
        layer_rule("own")
