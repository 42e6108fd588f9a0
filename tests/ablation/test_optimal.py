"""Optimal ablation: fitted constants lose least, come from search questions only, and stay the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.ablation.constant_fit import PAIRS, STEPS, fit_cost

SHARED_MODELS = True
RNG = np.random.default_rng(0)
IDS = RNG.integers(1, 61, (6, 9))
IDS[:, -1] = 5
PAIRS_OF_IDS = np.tile([[11, 23]], (6, 1))


def log_softmax(x):
    return x - np.logaddexp.reduce(x, axis=-1, keepdims=True)


def divergence(full: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Mean over questions of the divergence of scores (m, e, k) from the full model's (e, k)."""
    p, q = log_softmax(full), log_softmax(scores)
    return (np.exp(p) * (p - q)).sum(axis=-1).mean(axis=-1)


@pytest.mark.parametrize("family", ["llama"])
def test_with_everything_removed_the_optimum_is_the_mean_answer(tiny, family):
    """All prompts end alike, so without any part all answers are one distribution q.

    The mean divergence of the full model's p_i from q is lowest at q = mean of p_i, in closed form.
    """
    task = sm.TokenTask(IDS, answers=PAIRS_OF_IDS)
    players = sm.select_players(tiny, "heads mlps")
    game = sm.TaskGame(tiny, task, players)
    whole, nothing = np.ones((1, players.n), dtype=bool), np.zeros((1, players.n), dtype=bool)
    p = np.exp(log_softmax(game.scores(whole)[0].astype(np.float64)))
    fitted = sm.fit_constants(game, nothing, seed=1, steps=100)
    best = sm.TaskGame(tiny, task, players, ablation="optimal", constants=fitted)
    q = np.exp(log_softmax(best.scores(nothing)[0].astype(np.float64)))
    np.testing.assert_allclose(q, np.tile(p.mean(axis=0), (6, 1)), atol=1e-2)
    floor = (p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()
    assert fitted.fitted.losses["fitted"] == pytest.approx(floor, abs=1e-4)
    assert fitted.fitted.losses["mean"] > floor + 1e-3


@pytest.mark.parametrize("family", ["llama"])
def test_a_linear_part_becomes_its_weighted_mean(tiny, family, monkeypatch):
    """A model of one linear part: the logit difference is w a(x). With the squared loss weighted by
    question, the optimum is the weighted mean of a(x), not the mean."""
    from spex_mech.ablation import constant_fit as optimal

    rng = np.random.default_rng(4)
    a, w = (
        torch.tensor(rng.normal(size=(6, 3))).float(),
        torch.tensor(rng.uniform(0.2, 3.0, 6)).float(),
    )

    class Linear:
        model, prompts, players, full = tiny, None, None, None

        def losses(self, values, masks, questions):
            at = torch.from_numpy(questions)
            return w[at] * (values["site"] - a[at]).square().sum(dim=1)

    class Some:
        ids = tuple("abcdef")

    Linear.prompts = Some()
    monkeypatch.setattr(
        optimal, "chunks", lambda prompts, questions, model: [np.arange(len(questions))]
    )
    start, scale = {"site": a.mean(dim=0)}, {"site": a.std()}
    drawn = lambda count: np.zeros((count, 1), dtype=bool)  # noqa: E731
    found = optimal._descend(Linear(), start, scale, drawn, 600, np.random.default_rng(0))
    expected = (w[:, None] * a).sum(dim=0) / w.sum()
    np.testing.assert_allclose(found["site"], expected, atol=0.03)
    assert (start["site"] - expected).abs().max() > 0.15


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_fitted_constants_lose_no_more_than_mean_and_zero(tiny, family):
    """On the search questions, under masks that the fit has not seen, on both engines."""
    task = sm.TokenTask(IDS[:, :-1], answers=RNG.integers(1, 61, (6, 3)))
    players = sm.select_players(tiny, "heads mlps")
    masks = np.random.default_rng(9).random((24, players.n)) < 0.6
    zero = sm.TaskGame(tiny, task, players)
    full = zero.scores(np.ones((1, players.n), dtype=bool))[0]
    constants = sm.fit_constants(zero, keep_rates=(0.4, 0.8), seed=0, steps=80)
    losses = {
        name: divergence(full, sm.TaskGame(tiny, task, players, ablation=name).scores(masks)).mean()
        for name in ("zero", "mean")
    }
    for engine in ("fast", "reference"):
        game = sm.TaskGame(
            tiny, task, players, ablation="optimal", constants=constants, engine=engine
        )
        loss = divergence(full, game.scores(masks)).mean()
        assert loss < min(losses.values())
    assert constants.fitted.source == "fitted"
    assert constants.fitted.losses["fitted"] < min(
        constants.fitted.losses[name] for name in ("mean", "zero")
    )


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_removed_parts_become_the_constants(tiny, family):
    """By hooks of its own: a removed head's slice, an MLP's output."""
    task = sm.TokenTask(IDS, answers=PAIRS_OF_IDS)
    players = sm.select_players(tiny, "heads mlps")
    constants = sm.fit_constants(sm.TaskGame(tiny, task, players), steps=2)
    game = sm.TaskGame(tiny, task, players, ablation="optimal", constants=constants)
    blocks = tiny.hf.transformer.h if family == "gpt2" else tiny.hf.model.layers
    projection = blocks[1].attn.c_proj if family == "gpt2" else blocks[1].self_attn.o_proj
    z = torch.from_numpy(constants.values["blocks.1.attn.hook_z"])
    mlp = torch.from_numpy(constants.values["blocks.2.hook_mlp_out"])

    def heads(module, args):
        x = args[0].unflatten(-1, (4, -1)).clone()
        x[:, :, 2] = z[2]
        return x.flatten(-2)

    handles = [
        projection.register_forward_pre_hook(heads),
        blocks[2].mlp.register_forward_hook(lambda m, a, out: mlp.expand_as(out)),
    ]
    with torch.no_grad():
        logits = tiny.hf(torch.tensor(IDS)).logits[:, -1]
    for handle in handles:
        handle.remove()
    mask = np.ones((1, players.n), dtype=bool)
    mask[0, [players.index("L1H2"), players.index("L2MLP")]] = False
    np.testing.assert_allclose(game.scores(mask)[0], logits[:, [11, 23]].numpy(), atol=1e-5)


@pytest.mark.parametrize("family", ["llama"])
def test_the_same_seed_gives_the_same_constants_and_a_file_keeps_them(tiny, family, tmp_path):
    task = sm.TokenTask(IDS, answers=PAIRS_OF_IDS)
    players = sm.select_players(tiny, "heads")
    game = sm.TaskGame(tiny, task, players, ablation="optimal", seed=3)
    a, b, c = (sm.fit_constants(game, steps=20, seed=s) for s in (3, 3, 4))
    assert a.digest == b.digest != c.digest and a.fitted == b.fitted
    assert a.fitted.rows == fit_cost(6, 20) == 2 * 6 + 3 * 20 * PAIRS + 3 * 258
    a.save(tmp_path / "a.safetensors")
    read = sm.Constants.load(tmp_path / "a.safetensors")
    assert read.digest == a.digest and read.fitted == a.fitted
    with_them = sm.TaskGame(tiny, task, players, ablation="optimal", constants=read)
    assert with_them.key["constants"] == a.digest
    other = sm.TaskGame(tiny, task, players, ablation="optimal", constants=c)
    assert {k for k in other.key if other.key[k] != with_them.key[k]} == {"constants"}
    (tmp_path / "a.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"a\.safetensors does not hold constants"):
        sm.Constants.load(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="does not exist; fit constants"):
        sm.Constants.load(tmp_path / "b.safetensors")


@pytest.mark.parametrize("family", ["llama"])
def test_a_game_fits_once_and_hands_its_constants_on(tiny, family, monkeypatch):
    from spex_mech.ablation import game as games

    calls = []

    def few(game, **options):
        calls.append(game)
        return sm.fit_constants(game, steps=1)

    monkeypatch.setattr(games, "fit_constants", few)
    task = sm.TokenTask(IDS, answers=PAIRS_OF_IDS)
    game = sm.TaskGame(tiny, task, sm.select_players(tiny, "heads"), ablation="optimal")
    assert not calls
    masks = np.random.default_rng(1).random((3, game.players.n)) < 0.5
    values = game(masks)
    np.testing.assert_array_equal(game.rebuild()()(masks), values)
    np.testing.assert_array_equal(game.with_split("all")(masks), values)
    assert len(calls) == 1


def test_only_search_questions_are_read(tiny_llama, monkeypatch):
    """The same constants from the test split's game, whatever the test questions are."""
    from spex_mech.tasks.task import ChoiceTask, Example
    from tests.shared.word_tokenizer import words

    model = sm.load_model(tiny_llama.hf, tokenizer=words())
    search = [Example(f"s{i}", f"a {x}", 0, (" d", " e"), "search") for i, x in enumerate("bcf")]
    players = sm.select_players(model, "heads:1")
    digests = []
    for text, split in (("g h", "test"), ("i j k", "test"), ("i j k", "all"), ("g h", "search")):
        task = ChoiceTask(
            "t", 1, (*search, Example("t", text, 0, (" d", " e"), "test")), form="pairs"
        )
        game = sm.TaskGame(model, task, players, split=split, ablation="optimal")
        digests.append(sm.fit_constants(game, steps=2).digest)
    assert len(set(digests)) == 1


def test_continuations_and_texts(tiny_llama):
    """Questions whose options are rows of their own, of different numbers; and texts without answers."""
    from spex_mech.tasks.task import ChoiceTask, Example
    from tests.shared.word_tokenizer import words

    model = sm.load_model(tiny_llama.hf, tokenizer=words())
    players = sm.select_players(model, "heads")
    mask = np.random.default_rng(2).random((1, players.n)) < 0.5
    ragged = (
        Example("q0", "a b c", 1, ("d", "e f g", "h"), "search"),
        Example("q1", "k l", 0, ("m n", "o"), "search"),
    )
    for form, metric in (("continuations", "margin"), ("texts", "logprob")):
        task = ChoiceTask("t", 1, ragged, form=form, metric=metric)
        game = sm.TaskGame(model, task, players)
        constants = sm.fit_constants(game, mask, steps=40)
        best = sm.TaskGame(model, task, players, ablation="optimal", constants=constants)
        scores = best.scores(mask).astype(np.float64)
        if form == "texts":
            loss = -scores.mean()
        else:
            full = game.scores(np.ones_like(mask))[0].astype(np.float64)
            loss = divergence(full, scores)[0]
        assert constants.fitted.losses["fitted"] == pytest.approx(loss, rel=1e-4, abs=1e-6)
        assert constants.fitted.source == "fitted"


def test_refusals(tiny_llama):
    task = sm.TokenTask(IDS, answers=PAIRS_OF_IDS)
    players = sm.select_players(tiny_llama, "heads")
    game = sm.TaskGame(tiny_llama, task, players)
    with pytest.raises(ValueError, match="a kept set keeps everything"):
        sm.fit_constants(game, np.ones(players.n, dtype=bool))
    with pytest.raises(ValueError, match="expected two rates from 0 to 1"):
        sm.fit_constants(game, keep_rates=(0.8, 0.2))
    with pytest.raises(ValueError, match="zero ablation has no constants"):
        _ = game.constants
    constants = sm.fit_constants(game, steps=0)
    assert constants.fitted.losses["fitted"] == constants.fitted.losses["mean"]
    with pytest.raises(ValueError, match="constants= goes with optimal ablation only, got 'mean'"):
        sm.TaskGame(tiny_llama, task, players, ablation="mean", constants=constants)
    mlps = sm.select_players(tiny_llama, "mlps")
    wrong = sm.TaskGame(tiny_llama, task, mlps, ablation="optimal", constants=constants)
    with pytest.raises(ValueError, match=r"constants have no blocks\.0\.hook_mlp_out"):
        wrong(np.zeros((1, mlps.n), dtype=bool))
    assert STEPS > 0
