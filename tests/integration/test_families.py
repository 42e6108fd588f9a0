"""65 kinds of decoders: right numbers, or one clear `InputError` before the first answer.

Every cell of the table is right within a tolerance, compared with Hugging Face's own code, or refused; which
of the two is written down, so that a right cell does not become a refusal unnoticed.
"""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_decoders import CONFIGS, VOCABULARY, ablated, last_logits, tiny_decoder

import spex_mech as sm
from spex_mech.ablation import spread
from spex_mech.core.errors import InputError
from spex_mech.core.players import units

_RNG = np.random.default_rng(0)
PROMPTS = [_RNG.integers(3, VOCABULARY, length).tolist() for length in (8, 5, 13, 11)]
ANSWERS = _RNG.integers(3, VOCABULARY, (4, 3))
SCORES = ("heads", "mlps", "kv", "layers", "bfloat16")
GRADIENTS = "gradients"
EXPORTS = ("dense", "dense mlps", "compact")
CELLS = (*SCORES, GRADIENTS, *EXPORTS)
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.06}

COMPACT = {"llama", "llama-hd", "qwen2", "qwen3", "gpt2", "gemma", "gemma2", "gemma2-window"}
COMPACT |= {
    "mistral-window",
    "pythia",
    "neox-series",
    "gemma3-text",
    "phi3",
    "stablelm",
    "starcoder2",
}
COMPACT |= {"granite", "olmo2", "olmo3", "smollm3", "ernie4.5", "seed-oss", "arcee"}
EVERYTHING = set(CELLS)
REFUSED = {
    "phi-qknorm": EVERYTHING,
    "falcon-40b-gqa": EVERYTHING,
    "falcon-rw-alibi": EVERYTHING,
    "bert-decoder": {"layers"},
    "granite-hybrid": EVERYTHING,
    "helium": EVERYTHING,
    "persimmon": EVERYTHING,
    "biogpt": EVERYTHING,
    "diffllama": EVERYTHING,
    "mamba": EVERYTHING,
}


@functools.lru_cache(maxsize=2)
def model_of(name: str, dtype: torch.dtype) -> sm.Model:
    return sm.load_model(tiny_decoder(name, dtype))


def task() -> sm.TokenTask:
    width = max(map(len, PROMPTS))
    ids = np.array([row + [0] * (width - len(row)) for row in PROMPTS])
    real = np.array([[1] * len(row) + [0] * (width - len(row)) for row in PROMPTS])
    return sm.TokenTask(ids, real, answers=ANSWERS)


def check_scores(model: sm.Model, spec: str) -> None:
    players = sm.select_players(model, spec)
    masks = np.random.default_rng(1).random((5, players.n)) < 0.5
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*slow reference engine")
        game = sm.TaskGame(model, task(), players)
    try:
        scores = game.scores(masks)
    except InputError as error:
        pytest.fail(f"refused only when asked: {error}")
    gates = spread(players, model.shape, masks)
    rows = []
    if (
        model.dtype == torch.bfloat16
    ):  # the reference's attention is eager, and rounding flips a router
        model.hf.set_attn_implementation("eager")
    for i in range(len(masks)):
        with ablated(model.hf, gates.heads[i], gates.mlps[i], gates.attention[i]):
            rows.append(np.take_along_axis(last_logits(model.hf, PROMPTS), ANSWERS, axis=1))
    expected = np.stack(rows)
    moved = np.abs(expected - expected[:1]).max()
    allowed = TOLERANCE[model.dtype] * np.abs(expected).max()
    assert np.abs(scores - expected).max() <= allowed < moved


def check_gradients(model: sm.Model) -> None:
    """Gradients by the heads' gates, which runs of many heads take, against finite differences."""
    players, step = sm.select_players(model, "heads"), 1e-3
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*slow reference engine")
        game = sm.TaskGame(model, task(), players, metric="logprob")
    found = sm.gate_gradients(game)
    gates = spread(players, model.shape, np.ones((1, players.n), dtype=bool))
    for i in (1, players.n - 1):
        layer, head = units(players.players[i], model.shape)[0]
        values = []
        for x in (1 - step, 1.0, 1 + step):
            heads = gates.heads[0].astype(np.float64)
            heads[layer, head] = x
            with ablated(model.hf, heads, gates.mlps[0], gates.attention[0]):
                logits = torch.from_numpy(last_logits(model.hf, PROMPTS)).double()
            values.append(logits.gather(1, torch.from_numpy(ANSWERS)).log_softmax(1)[:, 0].numpy())
        below, above = np.diff(values, axis=0) / step
        scale = np.abs(found).max()
        smooth = np.abs(below - above) < 0.1 * scale  # no router has changed its mind
        assert smooth.sum() > 2
        expected = (below + above)[smooth] / 2
        np.testing.assert_allclose(found[smooth, i], expected, rtol=0.02, atol=0.02 * scale)


def check_export(model: sm.Model, spec: str, mode: str, folder: Path) -> None:
    players = sm.select_players(model, spec)
    mask = np.random.default_rng(2).random(players.n) < 0.5
    sm.export(model, players, mask, folder, mode=mode)
    gates = spread(players, model.shape, mask[None])
    with ablated(model.hf, gates.heads[0], gates.mlps[0], gates.attention[0]):
        expected = last_logits(model.hf, PROMPTS)
    if mode == "compact":
        again = sm.load_model(folder, tokenizer=object()).hf
    else:
        again = type(model.hf).from_pretrained(folder).eval()
    got = last_logits(again, PROMPTS)
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


def check(name: str, cell: str, folder: Path) -> None:
    if cell in SCORES:
        dtype = torch.bfloat16 if cell == "bfloat16" else torch.float32
        check_scores(model_of(name, dtype), "heads" if cell == "bfloat16" else cell)
    elif cell == GRADIENTS:
        check_gradients(model_of(name, torch.float32))
    else:
        spec = "mlps" if cell == "dense mlps" else "heads"
        check_export(model_of(name, torch.float32), spec, cell.split()[0], folder)


def is_refused(name: str, cell: str) -> bool:
    return cell in REFUSED.get(name, ()) or (cell == "compact" and name not in COMPACT)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CONFIGS)
def test_every_cell_is_right_or_refused_as_the_table_says(name: str, tmp_path: Path) -> None:
    transformers.logging.set_verbosity_error()
    table: dict[str, Any] = {}
    for cell in CELLS:
        try:
            check(name, cell, tmp_path / cell.replace(" ", "-"))
            table[cell] = "ok"
        except InputError as error:
            assert "report" not in str(error)
            table[cell] = "refused"
    assert table == {cell: "refused" if is_refused(name, cell) else "ok" for cell in CELLS}
