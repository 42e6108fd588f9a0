"""Pairs of a mask and a prompt: the same scores as all prompts under all masks, on both engines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_cases import ABLATIONS, masks_of, prompts_of
from tiny_decoders import tiny_decoder
from torch.utils.flop_counter import FlopCounterMode

import spex_mech as sm
from spex_mech import ablation
from spex_mech.ablation.fast.forward import Forward
from spex_mech.core.errors import InputError

SHARED_MODELS = True  # their TransformerLens views take most of the time
MASKS, ROWS = 6, 6


def every_pair(seed: int = 0) -> np.ndarray:
    """Every mask with every row, in any order, and some of them twice."""
    pairs = np.stack(np.divmod(np.arange(MASKS * ROWS), ROWS), axis=1)
    return np.random.default_rng(seed).permutation(np.concatenate([pairs, pairs[:5]]))


def one_each() -> np.ndarray:
    """One row for each mask; the second equals the first row of the prompts."""
    return np.column_stack([np.arange(MASKS), [3, 0, 5, 1, 1, 2]])


def engine_of(model: sm.Model, spec: str, kind: str, prompts=None, **options):
    players = sm.select_players(model, spec)
    prompts = prompts_of(0) if prompts is None else prompts
    return ablation.FastEngine(model, prompts, players, ABLATIONS[kind], **options)


def agree(monkeypatch, engine: ablation.FastEngine, players: int) -> None:
    """Pairs against whole masks: masks that run alone, pairs that share rows, and both."""
    masks = masks_of(players, MASKS)
    whole = engine.scores(masks)
    for enough in (1, 30, 10**6):
        monkeypatch.setattr("spex_mech.ablation.fast.cost.enough_tokens", lambda *a, n=enough: n)
        for pairs in (every_pair(), one_each(), one_each()[2:3]):
            found = engine.pair_scores(masks, pairs)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, whole[pairs[:, 0], pairs[:, 1]], atol=1e-5)


CASES = (
    ("rescale", "heads"),
    ("mean", "heads:2"),
    ("resample", "layers:1-2"),
    ("resample", "heads:2"),
    ("mean", "heads:2 mlps:0-1"),
    ("zero", "layers:0-1"),
)


def test_every_family_ablation_and_first_layer(tiny, monkeypatch):
    for i, (kind, spec) in enumerate(CASES):
        engine = engine_of(tiny, spec, kind, prompts_of(7 * (i % 2)))
        agree(monkeypatch, engine, sm.select_players(tiny, spec).n)


@pytest.mark.parametrize("kind", ABLATIONS)
def test_first_layers_with_and_without_a_shared_prefix(tiny_llama, kind, monkeypatch):
    for spec in ("heads", "heads:2", "layers:1-2", "heads:1 mlps:0-2"):
        for prefix in (0, 7):
            engine = engine_of(tiny_llama, spec, kind, prompts_of(prefix))
            agree(monkeypatch, engine, sm.select_players(tiny_llama, spec).n)


@pytest.mark.parametrize("form", ["sequences", "targets"])
def test_log_probabilities(tiny_llama, form, monkeypatch):
    for kind, spec in (("zero", "heads:2"), ("resample", "heads"), ("mean", "layers:2")):
        players = sm.select_players(tiny_llama, spec).n
        for tokens in (15, 1_000):  # batches read different numbers of positions
            engine = engine_of(tiny_llama, spec, kind, prompts_of(7, form), tokens=tokens)
            agree(monkeypatch, engine, players)


@pytest.mark.parametrize("name", ["pythia", "phi", "cohere", "gemma3-text", "mixtral"])
def test_parallel_blocks_windows_and_experts(name, monkeypatch):
    model = sm.load_model(tiny_decoder(name))
    assert ablation.obstacle(model, prompts_of(0)) is None
    for kind in ("rescale", "mean"):
        for spec in ("heads mlps", "layers:1", "mlps"):
            engine = engine_of(model, spec, kind, prompts_of(5))
            agree(monkeypatch, engine, sm.select_players(model, spec).n)


@pytest.mark.parametrize("kind", ABLATIONS)
@pytest.mark.parametrize("spec", ["heads:1-2 mlps:2", "heads:2"])
def test_batches_do_not_matter(tiny_llama, kind, spec):
    masks, pairs = masks_of(sm.select_players(tiny_llama, spec).n, MASKS), every_pair()
    expected = None
    for tokens in (1, 20, 40, 4_000):
        for memory in (0, 2**20):
            engine = engine_of(tiny_llama, spec, kind, tokens=tokens, memory=memory)
            found = engine.pair_scores(masks, pairs)
            expected = found if expected is None else expected
            np.testing.assert_allclose(found, expected, atol=1e-5)
            np.testing.assert_allclose(
                engine.pair_scores(masks, pairs[::-1]), found[::-1], atol=1e-5
            )
    alone = np.concatenate([engine.pair_scores(masks, pair[None]) for pair in pairs])
    np.testing.assert_allclose(alone, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ABLATIONS)
def test_the_reference_scores_pairs_as_it_scores_masks(tiny, kind):
    players = sm.select_players(tiny, "heads:0 layers:1-2")
    masks = masks_of(players.n, MASKS)
    engine = ablation.ReferenceEngine(tiny, prompts_of(3), players, ABLATIONS[kind])
    whole = engine.scores(masks)
    for pairs in (every_pair(), one_each()[:1], every_pair()[:0]):
        found = engine.pair_scores(masks, pairs)
        np.testing.assert_allclose(found, whole[pairs[:, 0], pairs[:, 1]], atol=1e-5)


def test_the_reference_keeps_short_and_long_prompts_apart_and_batches_small(monkeypatch):
    long = {
        "rope_type": "longrope",
        "rope_theta": 10_000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4,
        "original_max_position_embeddings": 8,
    }
    hf = tiny_decoder("phi3", rope_parameters=long, original_max_position_embeddings=8)
    model = sm.load_model(hf)
    players = sm.select_players(model)
    masks = masks_of(players.n, MASKS)
    engine = ablation.ReferenceEngine(model, prompts_of(0), players, ablation.zero())
    whole, pairs = engine.scores(masks), every_pair()
    for most in (engine._max_tokens, 20):
        engine._max_tokens = most
        found = engine.pair_scores(masks, pairs)
        np.testing.assert_allclose(found, whole[pairs[:, 0], pairs[:, 1]], atol=1e-5)


def test_few_pairs_are_few_multiplications(tiny_llama, monkeypatch):
    """One question each for six masks: six prompts' tokens, not thirty-six, in one pass."""
    monkeypatch.setattr("spex_mech.ablation.fast.cost.spare_tokens", lambda *a: 0)
    engine = engine_of(tiny_llama, "heads:1-2", "zero")
    masks = np.ones((MASKS, 8), dtype=bool)
    masks[np.arange(MASKS), np.arange(MASKS)] = False
    pairs = one_each()
    passes, run = [], Forward.run
    monkeypatch.setattr(
        Forward, "run", lambda *a, **k: (passes.append(len(a[5].positions)), run(*a, **k))[1]
    )
    engine.pair_scores(masks, pairs)
    tokens = sum(len(prompts_of(0).tokens[row]) for row in pairs[:, 1])
    assert passes == [tokens]
    # 4 heads of 8 in 2 groups, 32 wide, an MLP of three maps of 48; three answers that differ by row.
    query, key_value, out, mlp = 8 * 32, 2 * 8 * 32, 8 * 32, 3 * 32 * 48
    answers = np.unique(prompts_of(0).answers[pairs[:, 1]])
    with FlopCounterMode(display=False) as counter:
        engine.pair_scores(masks, pairs)
    middle = tokens * (4 * out + mlp)
    last = tokens * 2 * key_value + len(pairs) * (4 * (query + out) + mlp)
    assert counter.get_total_flops() // 2 == middle + last + len(pairs) * len(answers) * 32


def test_heads_that_a_mask_removes_are_not_computed_where_it_runs_alone(tiny_llama, monkeypatch):
    monkeypatch.setattr("spex_mech.ablation.fast.cost.spare_tokens", lambda *a: 0)
    masks = np.ones((2, 12), dtype=bool)
    masks[0, 4:7], masks[1, 5:8] = False, False
    pairs = np.array([[0, 2], [0, 4], [1, 3], [1, 5]])
    done = []
    for enough in (1, 10**6):
        monkeypatch.setattr("spex_mech.ablation.fast.cost.enough_tokens", lambda *a, n=enough: n)
        engine = engine_of(tiny_llama, "heads", "zero")
        engine.pair_scores(masks, pairs)
        with FlopCounterMode(display=False) as counter:
            engine.pair_scores(masks, pairs)
        done.append(counter.get_total_flops())
    assert done[0] < done[1]


def test_a_shared_prefix_is_run_once_a_mask(tiny_llama, monkeypatch):
    engine = engine_of(tiny_llama, "heads", "zero", prompts_of(20))
    masks, run, passes = masks_of(12, MASKS), Forward.run, []
    engine.pair_scores(masks, one_each())
    monkeypatch.setattr(
        Forward, "run", lambda *a, **k: (passes.append(k.get("keep") is not None), run(*a, **k))[1]
    )
    engine.pair_scores(masks, every_pair())
    assert passes == [True, False] * MASKS


def test_memory_that_runs_out_halves_what_runs_together(tiny_llama, monkeypatch):
    masks, pairs, run = masks_of(12, MASKS), every_pair(), Forward.run
    expected = engine_of(tiny_llama, "heads", "mean").pair_scores(masks, pairs)
    sizes: list[int] = []

    def failing(self, first, steps, entry, fills, frame, **options):
        sizes.append(sum(segment.prompts for segment in frame.segments))
        if sizes[-1] > 2:
            raise torch.cuda.OutOfMemoryError("full")
        return run(self, first, steps, entry, fills, frame, **options)

    engine = engine_of(tiny_llama, "heads", "mean")
    engine.scores(masks[:1])
    monkeypatch.setattr(Forward, "run", failing)
    np.testing.assert_allclose(engine.pair_scores(masks, pairs), expected, atol=1e-5)
    assert sizes[0] > 2 and engine.tokens < 60
    sizes.clear()
    engine.pair_scores(masks, pairs)
    assert max(sizes) <= 2
    monkeypatch.setattr(Forward, "run", lambda *a, **k: (_ for _ in ()).throw(MemoryError("no")))
    with pytest.raises(InputError, match=r"memory ran out on cpu with a single mask and prompt"):
        engine.pair_scores(masks, pairs)


def test_the_proof_compares_pairs_with_the_reference(tiny_llama, monkeypatch):
    task = sm.TokenTask(np.random.default_rng(0).integers(1, 61, (5, 9)), answers=[[1, 2]] * 5)
    players = sm.select_players(tiny_llama)
    pair_scores = ablation.FastEngine.pair_scores
    monkeypatch.setattr(
        ablation.FastEngine,
        "pair_scores",
        lambda self, masks, pairs: pair_scores(self, masks, pairs) + 3e-3 * ~masks[pairs[:, 0], :1],
    )
    game = sm.TaskGame(tiny_llama, task, players)
    with pytest.raises(InputError, match=r"example '\d' without L0H0.*engine='reference'"):
        game.asked_scores(masks_of(12), np.zeros((6, 1), dtype=np.int64))


def test_the_cost_of_asking_is_the_shared_prefix_and_what_follows_it(tiny_llama):
    own = (9 + 9 + 5 + 13 + 6 + 7) / 6
    players = sm.select_players(tiny_llama, "heads")
    fast = engine_of(tiny_llama, "heads", "zero", prompts_of(7))
    assert fast.asking_cost() == (7.0, own)
    assert engine_of(tiny_llama, "heads", "zero").asking_cost() == (0.0, own)
    assert engine_of(tiny_llama, "heads", "resample", prompts_of(7)).asking_cost() == (0.0, own + 7)
    # Nothing of a prefix depends on the mask where parts of the last layer alone are removed.
    assert engine_of(tiny_llama, "heads:2", "zero", prompts_of(7)).asking_cost() == (0.0, own)
    slow = ablation.ReferenceEngine(tiny_llama, prompts_of(7), players, ablation.zero())
    assert slow.asking_cost() == (0.0, own + 7)
