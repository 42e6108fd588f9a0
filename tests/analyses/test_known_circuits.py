"""The hand-written circuits of analyses/known_circuits: they answer, alone too, and nothing less does."""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

import spex_mech as sm

sys.path.insert(0, str(Path(__file__).parents[2] / "analyses" / "known_circuits"))
import circuits
import rankings
import run
import semi_synthetic
import write
from compiler import CONTENT

NAMES = list(circuits.PLANS)


@pytest.fixture(scope="module", params=NAMES)
def known(request):
    """Each circuit with the game of 24 questions."""
    found = circuits.build(request.param, 0)
    ids, answers = found.draw(7, 24)
    model = sm.load_model(found.model)
    players = sm.select_players(model, "heads")
    return found, sm.TaskGame(model, sm.TokenTask(ids, answers=answers), players)


def test_the_model_and_its_circuit_alone_answer_every_question(known):
    found, game = known
    whole, alone = game.per_question(np.stack([np.ones(16, dtype=bool), found.truth]))
    assert whole.min() > 1.9
    np.testing.assert_allclose(alone, whole, atol=1e-5)


def test_the_interactions_are_those_that_it_was_written_with(known):
    """Moebius coefficients over the circuit's parts, with the distractors there and without them."""
    found, game = known
    parts = np.flatnonzero(found.truth)
    subsets = np.array(list(product([False, True], repeat=len(parts))))
    for rest in (False, True):
        masks = np.full((len(subsets), 16), rest)
        masks[:, parts] = subsets
        value = dict(zip(map(tuple, subsets), game(masks), strict=True))
        for subset in value:
            below = [s for s in value if not (np.array(s) & ~np.array(subset)).any()]
            coefficient = sum((-1) ** (sum(subset) - sum(s)) * value[s] for s in below)
            players = tuple(parts[list(subset)].tolist())
            sign = found.interactions.get(players, 0)
            assert (np.sign(coefficient) if abs(coefficient) > 1e-3 else 0) == sign, players


def test_every_other_head_changes_logits_and_no_answer(known):
    found, game = known
    ids = torch.tensor(np.array(game.prompts.tokens))
    others = np.flatnonzero(~found.truth)
    assert len(others) == 13
    one_gone = ~np.eye(16, dtype=bool)[others]
    whole = game.per_question(np.ones((1, 16), dtype=bool))
    np.testing.assert_allclose(game.per_question(one_gone), np.repeat(whole, 13, axis=0), atol=1e-5)
    for player in others:
        layer, head = divmod(int(player), 4)
        projection = found.model.transformer.h[layer].attn.c_proj

        def remove(module, args, h=head):
            z = args[0].clone()
            z[..., 8 * h : 8 * h + 8] = 0
            return (z,)

        with torch.no_grad():
            before = found.model(ids).logits[:, -1]
            handle = projection.register_forward_pre_hook(remove)
            after = found.model(ids).logits[:, -1]
            handle.remove()
        assert (after - before).abs().max() > 0.01, player
        moved = (after - before)[:, list(CONTENT)]
        torch.testing.assert_close(moved, moved[:, :1].expand_as(moved), atol=1e-5, rtol=0)


def test_seeds_move_the_circuit_and_nothing_else_is_drawn():
    first, again, other = (circuits.build("backup", seed) for seed in (0, 0, 1))
    assert first.parts == again.parts != other.parts
    for a, b in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_backup_is_found_by_interactions_and_not_by_knock_outs():
    known = circuits.build("backup", 0)
    lines = {line["method"]: line for line in run.measured(known, 0, 512)}
    assert lines[rankings.OURS]["exact"] == lines[rankings.OURS]["claim"] == "1"
    assert lines["knock-out"]["exact"] == "0" and float(lines["knock-out"]["auroc"]) < 1
    assert all(int(line["spent"]) <= 512 for line in lines.values())
    assert {"AtP", "NAP-IG", rankings.PROXYSPEX, rankings.LASSO} <= set(lines)
    text = run.table(list(lines.values()))
    assert "| ours (auto) | 1 of 1 |" in text
    assert len(run.figure(list(lines.values())).axes) == 2


def test_a_checkpoint_is_a_plain_folder_with_its_task(tmp_path):
    known = circuits.build("two hops", 0)
    folder = write.write(known, tmp_path / "two_hops")
    model = sm.load_model(folder)
    task = sm.load_task(folder / "task.toml")
    game = sm.TaskGame(model, task, sm.select_players(model, "heads"), split="test")
    parts = json.loads((folder / "circuit.json").read_text())["parts"]
    mask = np.array([p.name in parts.values() for p in game.players])
    np.testing.assert_array_equal(mask, known.truth)
    ids, answers = known.draw(0, 112)
    assert game.prompts.tokens[0] == tuple(ids[48])
    np.testing.assert_array_equal(game.prompts.answers, answers[48:])
    assert game(mask[None])[0] == pytest.approx(game(np.ones((1, 16), dtype=bool))[0], abs=1e-5)


@pytest.mark.parametrize("name", list(semi_synthetic.TASKS))
def test_questions_of_trained_models_follow_their_programs(name):
    ids, answers = semi_synthetic.questions(semi_synthetic.TASKS[name], 0, 40)
    low = ids[:, :5] < 4
    right = {
        "trained and": 9 + (low[:, 0] & low[:, 2]),
        "trained xor": 9 + (low[:, 0] ^ low[:, 2]),
        "trained majority": 9 + (low[:, :3].sum(axis=1) >= 2),
        "trained pointer": ids[np.arange(40), 1 + ids[:, 0] % 4],
    }[name]
    np.testing.assert_array_equal(answers[:, 0], right)
    assert (answers[:, 0] != answers[:, 1]).all() and (ids[:, 5] == semi_synthetic.ASK).all()
    assert np.bincount(right, minlength=11)[np.unique(right)].min() >= 40 // len(np.unique(right))


def test_interchange_replaces_heads_by_what_they_were_on_the_source():
    torch.manual_seed(0)
    task = semi_synthetic.TASKS["trained pointer"]
    model, losses = semi_synthetic.train(task, seed=0, steps=2)
    assert len(losses) == 3 and min(losses) > 0
    base, source = torch.randint(0, 8, (2, 6, 5)).unbind()
    recorded: dict[int, torch.Tensor] = {}
    semi_synthetic._last_logits(model, source, record=recorded)
    one = np.zeros((2, 4), dtype=bool)
    one[0, 2] = True
    found = semi_synthetic._last_logits(model, base, replaced=one, by=recorded)

    def swap(module, args):
        z = args[0].clone()
        z[..., 16:24] = recorded[0][..., 16:24]
        return (z,)

    handle = model.transformer.h[0].attn.c_proj.register_forward_pre_hook(swap)
    expected = semi_synthetic._last_logits(model, base)
    handle.remove()
    torch.testing.assert_close(found, expected)
    assert not torch.equal(found, semi_synthetic._last_logits(model, base))
    itself: dict[int, torch.Tensor] = {}
    plain = semi_synthetic._last_logits(model, base, record=itself)
    same = semi_synthetic._last_logits(model, base, replaced=~one, by=itself)
    torch.testing.assert_close(same, plain)


def test_a_trained_model_is_kept_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(semi_synthetic, "STEPS", 2)
    known = semi_synthetic.trained("trained and", tmp_path)
    again = semi_synthetic.trained("trained and", tmp_path)
    for a, b in zip(known.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert np.flatnonzero(known.truth).tolist() == [1, 2] and known.ablation == "resample"
