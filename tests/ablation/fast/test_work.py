"""What the fast engine leaves out, counted in multiplications, kept bytes and calls."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

import spex_mech as sm
from spex_mech import ablation
from spex_mech.ablation.fast import batches as fast_batches
from spex_mech.ablation.fast.prepared import Preparation
from spex_mech.tasks.prompts import Prompts

# The tiny Llama: 4 heads of 8 in 2 groups, 32 wide, an MLP of three maps of 48; and 3 layers.
QUERY, KEY_VALUE, OUT, MLP = 8 * 32, 2 * 8 * 32, 8 * 32, 3 * 32 * 48
LENGTHS = (9, 5, 13, 6, 7)
OWN = sum(LENGTHS)


@pytest.fixture(autouse=True)
def no_padding(monkeypatch):
    monkeypatch.setattr("spex_mech.ablation.fast.cost.spare_tokens", lambda *a: 0)


def prompts_of(prefix: int = 0) -> Prompts:
    """Five prompts that begin differently, the first of them twice, with the answers 1 to 3."""
    rng = np.random.default_rng(0)
    shared = rng.integers(1, 61, prefix).tolist()
    own = [
        tuple([*shared, first, *rng.integers(1, 61, length - 1).tolist()])
        for first, length in enumerate(LENGTHS, 40)
    ]
    tokens = (own[0], *own)
    answers = np.tile([1, 2, 3], (6, 1))
    return Prompts(tuple("abcdef"), tokens, answers, np.zeros(6, dtype=np.int64))


def engine_of(model: sm.Model, spec: str, prompts: Prompts, **options) -> ablation.FastEngine:
    return ablation.FastEngine(
        model, prompts, sm.select_players(model, spec), ablation.zero(), **options
    )


def without(model: sm.Model, spec: str, *rows: tuple[str, ...]) -> np.ndarray:
    players = sm.select_players(model, spec)
    masks = np.ones((len(rows), players.n), dtype=bool)
    for mask, names in zip(masks, rows, strict=True):
        mask[[players.index(name) for name in names]] = False
    return masks


def multiplications(engine: ablation.FastEngine, masks: np.ndarray) -> int:
    """Of matrix products; attention kernels of a CPU are not counted."""
    engine.scores(masks)
    with FlopCounterMode(display=False) as counter:
        engine.scores(masks)
    return counter.get_total_flops() // 2


def test_last_layer_and_logits_are_of_the_answers_alone(tiny_llama):
    engine = engine_of(tiny_llama, "heads:2", prompts_of())
    masks = without(tiny_llama, "heads:2", ("L2H1",))
    # Five different prompts, one token each, three kept heads, three logits.
    assert multiplications(engine, masks) == 5 * (3 * OUT + MLP + 3 * 32)


def test_layers_before_the_first_ablated_one_are_not_computed_again(tiny_llama):
    engine = engine_of(tiny_llama, "heads:1-2", prompts_of())
    masks = without(tiny_llama, "heads:1-2", ("L1H0", "L1H3"))
    middle = OWN * (2 * OUT + MLP)
    last = OWN * 2 * KEY_VALUE + 5 * (4 * (QUERY + OUT) + MLP)
    assert multiplications(engine, masks) == middle + last + 5 * 3 * 32


def test_what_prompts_begin_with_alike_is_computed_once(tiny_llama):
    own = ((1, 2, 3, 4, 5), (1, 2, 3, 6), (1, 2, 7, 8, 9, 10), (1, 2, 3, 4, 11), (12, 2, 3))
    tokens = 5 + 1 + 4 + 1 + 3
    answers = np.tile([1, 2, 3], (5, 1))
    prompts = Prompts(tuple("abcde"), own, answers, np.zeros(5, dtype=np.int64))
    engine = engine_of(tiny_llama, "heads:1-2", prompts)
    masks = without(tiny_llama, "heads:1-2", ("L1H0", "L1H3"))
    last = tokens * 2 * KEY_VALUE + 5 * (4 * (QUERY + OUT) + MLP)
    assert multiplications(engine, masks) == tokens * (2 * OUT + MLP) + last + 5 * 3 * 32


@pytest.mark.parametrize("gone", [("L1H2", "L1H3"), ("L1H1", "L1H3")])
def test_removed_heads_and_groups_without_heads_are_not_computed(tiny_llama, gone):
    engine = engine_of(tiny_llama, "heads:0-1", prompts_of())
    masks = without(tiny_llama, "heads:0-1", ("L0H0", *gone))
    groups = 1 if gone[0] == "L1H2" else 2
    first = OWN * (3 * OUT + MLP)
    middle = OWN * (2 * (QUERY + OUT) + groups * KEY_VALUE + MLP)
    last = OWN * 2 * KEY_VALUE + 5 * (4 * (QUERY + OUT) + MLP)
    assert multiplications(engine, masks) == first + middle + last + 5 * 3 * 32


def test_a_shared_prefix_is_computed_once_a_mask(tiny_llama):
    engine = engine_of(tiny_llama, "heads:0", prompts_of(prefix=40))
    masks = without(tiny_llama, "heads:0", ("L0H0",))
    tokens = 40 + OWN  # not 5 * 40 + OWN
    first = tokens * (3 * OUT + MLP)
    middle = tokens * (4 * (QUERY + OUT) + 2 * KEY_VALUE + MLP)
    last = tokens * 2 * KEY_VALUE + 5 * (4 * (QUERY + OUT) + MLP)
    assert multiplications(engine, masks) == first + middle + last + 5 * 3 * 32


def test_masks_share_what_comes_before_they_differ(tiny_llama):
    engine = engine_of(tiny_llama, "heads", prompts_of())
    rows = [("L0H0", f"L2H{h}") for h in range(4)]
    one = multiplications(engine, without(tiny_llama, "heads", rows[0]))
    four = multiplications(engine, without(tiny_llama, "heads", *rows))
    # Beyond the first mask: four heads instead of three are alive in the last layer, and each mask
    # writes, thinks and answers at five tokens of its own.
    alive = 5 * (QUERY + OUT)
    assert four - one == alive + 3 * 5 * (4 * OUT + MLP + 3 * 32)
    assert four < 1.5 * one


def test_equal_masks_reach_the_engine_once(tiny_llama, monkeypatch):
    ids = np.random.default_rng(0).integers(1, 61, (4, 9))
    game = sm.TaskGame(
        tiny_llama, sm.TokenTask(ids, answers=[[1, 2]] * 4), sm.select_players(tiny_llama)
    )
    masks = np.random.default_rng(1).random((5, game.players.n)) < 0.5
    seen: list[int] = []
    scores = game._engine.scores
    monkeypatch.setattr(game._engine, "scores", lambda m: (seen.append(len(m)), scores(m))[1])
    repeated = game.scores(masks[[0, 1, 0, 2, 2, 3, 4, 1]])
    assert seen == [5]
    np.testing.assert_array_equal(repeated, game.scores(masks)[[0, 1, 0, 2, 2, 3, 4, 1]])


def test_attention_is_the_fused_kernel(tiny_llama, monkeypatch):
    calls: list[int] = []
    fused = F.scaled_dot_product_attention

    def watched(q, *args, **options):
        calls.append(q.shape[1])
        return fused(q, *args, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    engine = engine_of(tiny_llama, "heads:1-2", prompts_of())
    engine.scores(without(tiny_llama, "heads:1-2", ("L2H0",)))
    # Five prompts of five lengths in three layers; three heads are left in the last.
    assert calls == [4] * 10 + [3] * 5


@pytest.mark.parametrize("kind", ["zero", "resample"])
def test_beyond_the_memory_streams_are_computed_again_and_never_kept_together(
    tiny_llama, monkeypatch, kind
):
    players = sm.select_players(tiny_llama, "heads:1-2")
    masks = np.random.default_rng(1).random((5, players.n)) < 0.5
    how = {"zero": ablation.zero(), "resample": ablation.resample(seed=3)}[kind]
    enter, made, peak = Preparation.enter, [], [0]

    def watched(self, batch):
        ready = enter(self, batch)
        parts = (ready.entry.stream, ready.entry.heads, ready.entry.mlp)
        held = sum(x.nbytes for x in parts if x is not None)
        held += sum(x.nbytes for x in ready.fills.values())
        made.append((weakref.ref(ready), held))
        peak[0] = max(peak[0], sum(size for there, size in made if there() is not None))
        return ready

    monkeypatch.setattr(Preparation, "enter", watched)
    enough = ablation.FastEngine(tiny_llama, prompts_of(), players, how, tokens=14)
    expected = enough.scores(masks)
    np.testing.assert_allclose(enough.scores(masks[::-1]), expected[::-1], atol=1e-5)
    batches, together = len(made), peak[0]
    assert batches == len(enough._batches) > 3
    del enough

    memory = 14 * 4 * (3 * 32 + (2 * 32 if kind == "resample" else 0))  # of 14 tokens
    made.clear()
    peak[0] = 0
    little = ablation.FastEngine(tiny_llama, prompts_of(), players, how, tokens=14, memory=memory)
    for _ in range(2):
        np.testing.assert_allclose(little.scores(masks), expected, atol=1e-5)
    assert len(made) == 2 * batches
    assert peak[0] <= memory < together


@given(
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=30),
    most=st.integers(1, 200),
    spare=st.integers(0, 60),
)
def test_batches_hold_every_row_once_within_budget_and_padding(lengths, most, spare):
    rng = np.random.default_rng(0)
    tokens = tuple(tuple(rng.integers(1, 9, length).tolist()) for length in lengths)
    rows = len(tokens)
    prompts = Prompts(
        tuple(map(str, range(rows))),
        tokens,
        np.ones((rows, 2), dtype=np.int64),
        np.zeros(rows, dtype=np.int64),
    )
    made = fast_batches.batches(
        prompts, prefix=0, most=most, spare=spare, distinct=False, device=torch.device("cpu")
    )
    assert sorted(np.concatenate([b.rows for b in made]).tolist()) == list(range(rows))
    assert sum(map(len, made)) == len(set(tokens))
    for batch in made:
        layout = batch.layout
        assert (np.diff(layout.widths) >= 0).all()
        computed = np.arange(layout.places) if layout.computed is None else layout.computed
        stands = [
            tuple(batch.ids[computed[a : a + i + 1]].tolist())
            for a, width in zip(layout.starts, layout.widths, strict=False)
            for i in range(width)
        ]
        assert len(batch.ids) == len(set(stands))  # equal beginnings once
        assert len(batch) == 1 or layout.places <= most
        for prompt, (start, width) in enumerate(zip(layout.starts, layout.widths, strict=False)):
            own = tokens[batch.prompt[prompt]]
            ids = batch.ids[computed[start : start + width]].tolist()
            assert ids == [*own, *[0] * (width - len(own))]
            assert layout.reads[prompt].tolist() == [len(own) - 1]
        for row, place in zip(batch.rows, batch.place, strict=True):
            assert tokens[row] == tokens[batch.prompt[place]]
        done = 0
        for segment in layout.segments:
            mine = batch.prompt[done : done + segment.prompts]
            real = sum(len(tokens[r]) for r in mine)
            assert segment.prompts * segment.width - real <= spare
            done += segment.prompts
        assert done == len(batch)
