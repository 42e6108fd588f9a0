"""The model card: what it says, what it leaves out, and that texts cannot add markup."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml

import spex_mech as sm
from spex_mech.core.estimates import Estimate
from spex_mech.exporting.comparison import Measure, TaskComparison
from spex_mech.exporting.footprint import Footprint
from spex_mech.exporting.model_card import Card, Form, card_text


def text_of(card, model):
    players = sm.select_players(model, "heads")
    mask = np.arange(players.n) != 5
    return card_text(card, model, players, mask, Form("compact"))


def test_an_exported_folder_has_the_card(tiny_llama, tmp_path):
    players = sm.select_players(tiny_llama, "heads mlps")
    mask = np.array([name not in ("L1H2", "L2MLP") for name in players.names])
    card = Card(
        task="mmlu/history",
        interactions=[("L0H1 × L2H5", -0.25)],
        index="FBII",
        held_out={"accuracy": Estimate(0.625, 0.5, 0.75, 80, 0.95), "margin": 1.25},
        spec="keep: 13\nseed: 4\n",
    )
    for mode in ("dense", "compact"):
        folder = sm.export(tiny_llama, players, mask, tmp_path / mode, mode=mode, card=card)
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert "pruned with" not in text and "for **mmlu/history**: 13 of 15 parts kept" in text
        assert "2 of 15: L1H2, L2MLP" in text
        assert "| L0H1 × L2H5 | -0.25 |" in text
        assert "| accuracy | 0.625 | 0.5 to 0.75 (95%) | 80 |" in text
        assert "1 not printed: no interval was given." in text and "1.25" not in text
        assert "```\nkeep: 13\nseed: 4\n```" in text
        assert ("trust_remote_code" in text) == (mode == "compact")


def test_tasks_before_and_after(tiny_llama):
    change = Estimate(-0.25, -0.4, -0.125, 80, 0.95)
    measures = (Measure("accuracy", 0.75, 0.5, change),)
    compared = [
        TaskComparison("mmlu/history", True, 80, 0.25, measures),
        TaskComparison("own | <b>task</b>", False, 80, None, measures),
    ]
    text = text_of(Card(comparisons=compared), tiny_llama)
    assert "### mmlu/history, pruned for: 80 test questions; guessing is right on 25%" in text
    assert "### own \\| &lt;b&gt;task&lt;/b&gt;, not pruned for: 80 test questions\n" in text
    assert text.count("| accuracy | 0.750 | 0.500 | \\-0.250 \\[\\-0.400, \\-0.125\\] |") == 2


def test_a_claim_without_a_finite_interval_is_not_printed(tiny_llama):
    claims = {
        "first": 0.71,
        "second": Estimate(0.72, float("nan"), 0.9, 10, 0.95),
        "third": Estimate(0.73, 0.7, 0.8, 10, 0.95),
    }
    text = text_of(Card(held_out=claims, recovered={"fourth": 0.74}), tiny_llama)
    assert "| third | 0.73 | 0.7 to 0.8 (95%) | 10 |" in text
    for number in ("0.71", "0.72", "0.74"):
        assert number not in text
    assert "2 not printed" in text and "## After recovery" in text


def test_texts_cannot_add_markup_html_links_rows_or_metadata(tiny_llama):
    evil = "x|y\n\n# Fake\n<script>alert(1)</script> [a](http://b.c) `z` **w** ---"
    fenced = "a: 1\n```\n<b>out</b>\n````\n"
    card = Card(
        task=evil,
        index=evil,
        interactions=[(evil, 1.0)],
        held_out={evil: Estimate(0.5, 0.4, 0.6, 9, 0.9)},
        spec=fenced,
    )
    text = text_of(card, tiny_llama)
    body, block = text.split("## To repeat it")
    assert "<script" not in text and "http://" not in text and "<b>" not in body
    assert "\n# Fake" not in text and "](" not in text.replace("\\]\\(", "")
    for line in body.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 5)
    fence = block.strip().splitlines()[0]
    assert fence == "`````" and block.strip().endswith(fence) and block.count(fence) == 2


def test_metadata_is_what_the_hub_reads(tiny_llama):
    named = sm.Model(tiny_llama.hf, None, "org/some-model_1.5b")
    for model, base in ((named, "org/some-model_1.5b"), (tiny_llama, None)):
        front = text_of(Card(), model).split("---\n")[1]
        data = yaml.safe_load(front)
        assert data.get("base_model") == base
        assert data["library_name"] == "transformers" and data["tags"] == ["pruned", "spex-mech"]


def test_a_local_path_is_not_told(tiny_llama, tmp_path):
    folder = tmp_path / "secret" / "model-7"
    folder.mkdir(parents=True)
    text = text_of(Card(), sm.Model(tiny_llama.hf, None, str(folder)))
    assert "secret" not in text and "# model\\-7, pruned" in text


def test_costs_are_told_with_their_intervals(tiny_llama):
    def cost(parameters, seconds):
        return Footprint(parameters, 4 * parameters, None, 512.0, 2, 100, 10, seconds, seconds)

    card = Card(before=cost(2000, (2.0, 2.0, 2.0)), after=cost(1500, (1.0, 1.0, 1.0)))
    text = text_of(card, tiny_llama)
    assert "| parameters | 2,000 | 1,500 |" in text
    assert "| prefill, tokens per second | 100 | 200 |" in text
    assert "| decoding, tokens per second | 10 | 20 |" in text
    assert "Prefill is 2.00 times as fast (2.00 to 2.00)" in text
    with pytest.raises(ValueError, match="give both before= and after="):
        Card(before=card.before)
