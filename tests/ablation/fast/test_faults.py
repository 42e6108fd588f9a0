"""What happens when the fast engine cannot run, disagrees, runs out of memory or is interrupted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from torch import nn

import spex_mech as sm
from spex_mech import ablation
from spex_mech.ablation import proof
from spex_mech.ablation.fast.forward import Forward
from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.tasks.prompts import encode

IDS = np.random.default_rng(0).integers(1, 61, (5, 9))
ANSWERS = np.random.default_rng(1).integers(1, 61, (5, 2))
TASK = sm.TokenTask(IDS, answers=ANSWERS)
FULL_CPU = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"


def masks_of(n: int, count: int = 12) -> np.ndarray:
    return np.random.default_rng(2).random((count, n)) < 0.6


def failing(monkeypatch, error: BaseException, when) -> list[int]:
    """Make the forward pass of blocks fail whenever ``when(call number, rows * prompts)`` says so."""
    calls: list[int] = []
    run = Forward.run

    def forward(self, first, steps, entry, fills, where, **options):
        wide = max(len(s.mlp_place) if s.mlp_place is not None else 1 for s in steps)
        calls.append(wide * sum(segment.prompts for segment in where.segments))
        if when(len(calls), calls[-1]):
            raise error
        return run(self, first, steps, entry, fills, where, **options)

    monkeypatch.setattr(Forward, "run", forward)
    return calls


def hooks_of(model: sm.Model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.hf.modules())


@pytest.mark.parametrize(
    "error", [RuntimeError(FULL_CPU), torch.cuda.OutOfMemoryError("full"), MemoryError()]
)
def test_out_of_memory_halves_batches_until_they_fit(tiny_llama, monkeypatch, error):
    players = sm.select_players(tiny_llama, "heads mlps")
    masks = masks_of(players.n)
    prompts = sm.TaskGame(tiny_llama, TASK, players).prompts
    engine = ablation.FastEngine(tiny_llama, prompts, players, ablation.zero())
    expected = engine.scores(masks)
    with monkeypatch.context() as patch:
        calls = failing(patch, error, lambda call, size: size > 2)
        engine = ablation.FastEngine(tiny_llama, prompts, players, ablation.zero())
        np.testing.assert_allclose(engine.scores(masks), expected, atol=1e-5)
        assert max(calls) > 2 and engine.tokens < 100
        # The batch stays small: nothing fails a second time.
        calls.clear()
        engine.scores(masks)
        assert max(calls) <= 2


@pytest.mark.parametrize("ways", [(0, 1), (1, 0)])
def test_out_of_memory_in_the_middle_of_a_block_loses_nothing(tiny_llama, monkeypatch, ways):
    players = sm.select_players(tiny_llama, "heads")
    masks = masks_of(players.n)
    prompts = sm.TaskGame(tiny_llama, TASK, players).prompts
    expected = ablation.FastEngine(tiny_llama, prompts, players, ablation.zero()).scores(masks)
    monkeypatch.setattr("spex_mech.ablation.fast.cost.work", lambda *a, **k: ways)
    failing(monkeypatch, MemoryError(), lambda call, size: call == 2)
    engine = ablation.FastEngine(tiny_llama, prompts, players, ablation.zero(), tokens=20)
    np.testing.assert_allclose(engine.scores(masks), expected, atol=1e-5)


def test_out_of_memory_before_the_first_mask_halves_what_is_prepared(tiny_llama, monkeypatch):
    players = sm.select_players(tiny_llama, "heads:1-2")
    masks = masks_of(players.n)
    prompts = sm.TaskGame(tiny_llama, TASK, players).prompts
    expected = ablation.FastEngine(tiny_llama, prompts, players, ablation.zero()).scores(masks)
    enter, sizes = Forward.enter, []

    def forward(self, ids, *args, **options):
        sizes.append(len(ids))
        if len(ids) > 20:  # two prompts of nine tokens fit, three do not
            raise MemoryError
        return enter(self, ids, *args, **options)

    monkeypatch.setattr(Forward, "enter", forward)
    engine = ablation.FastEngine(tiny_llama, prompts, players, ablation.zero())
    np.testing.assert_allclose(engine.scores(masks), expected, atol=1e-5)
    assert sizes == [45, 18, 27, 9, 18]


def test_too_little_memory_for_one_prompt_says_what_to_do(tiny_llama, monkeypatch):
    game = sm.TaskGame(tiny_llama, TASK, sm.select_players(tiny_llama))
    masks = masks_of(game.players.n)
    expected = game.scores(masks)
    with monkeypatch.context() as patch:
        patch.setattr("spex_mech.ablation.fast.cost.work", lambda *a, **k: (0, 1))  # one by one
        failing(patch, MemoryError("no more"), lambda call, size: call > 6)
        with pytest.raises(InputError, match=r"memory ran out on cpu .*9 tokens.*shorter prompts"):
            game.scores(masks)
    np.testing.assert_allclose(game.scores(masks), expected, atol=1e-5)
    assert hooks_of(tiny_llama) == 0


def test_an_interrupted_model_scores_as_before(tiny_llama, monkeypatch):
    game = sm.TaskGame(tiny_llama, TASK, sm.select_players(tiny_llama))
    masks = masks_of(game.players.n)
    expected = game.scores(masks)
    with monkeypatch.context() as patch:
        patch.setattr("spex_mech.ablation.fast.cost.work", lambda *a, **k: (0, 1))  # one by one
        failing(patch, KeyboardInterrupt(), lambda call, size: call > 4)
        with pytest.raises(KeyboardInterrupt):
            game.scores(masks)
    np.testing.assert_array_equal(game.scores(masks), expected)
    assert hooks_of(tiny_llama) == 0


def test_a_score_that_is_not_finite_names_mask_and_example(tiny_llama, monkeypatch):
    game = sm.TaskGame(tiny_llama, TASK, sm.select_players(tiny_llama))
    masks = masks_of(game.players.n)
    broken = game.scores(masks)
    broken[3, 2] = np.inf
    monkeypatch.setattr(game._engine, "scores", lambda todo: broken)
    with pytest.raises(NonFiniteScoreError, match=r"mask 3 .*example '2'; load the model in"):
        game.scores(masks)


def test_the_proof_stops_a_run_whose_engines_disagree(tiny_llama, monkeypatch):
    scores = ablation.FastEngine.scores
    monkeypatch.setattr(
        ablation.FastEngine,
        "scores",
        lambda self, masks: scores(self, masks) + 3e-3 * ~masks[:, :1, None],
    )
    game = sm.TaskGame(tiny_llama, TASK, sm.select_players(tiny_llama))
    with pytest.raises(InputError, match=r"example '\d' without L0H0.*engine='reference'"):
        game(masks_of(game.players.n))
    right = sm.TaskGame(tiny_llama, TASK, game.players, engine="reference")
    assert np.isfinite(right(masks_of(game.players.n))).all()


def test_the_proof_is_short_and_made_once(tiny_llama, monkeypatch):
    runs: list[tuple[int, int]] = []
    scores = ablation.ReferenceEngine.scores

    def counted(self, masks):
        runs.append((len(masks), len(self._prompts)))
        return scores(self, masks)

    monkeypatch.setattr(ablation.ReferenceEngine, "scores", counted)
    game = sm.TaskGame(tiny_llama, TASK, sm.select_players(tiny_llama))
    for _ in range(3):
        game(masks_of(game.players.n))
    assert runs == [(4, 2)]


@pytest.mark.parametrize(
    ("fast", "reference", "found"),
    [
        (0.0, 0.0, None),
        (1.00009, 1.0, None),
        (1.00011, 1.0, (0, 1)),
        (100.009, 100.0, None),
        (100.011, 100.0, (0, 1)),
        (np.nan, np.nan, None),
        (np.nan, 1.0, (0, 1)),
        (np.inf, np.inf, None),
        (np.inf, -np.inf, (0, 1)),
    ],
)
def test_disagreement_is_relative_to_the_largest_score(fast, reference, found):
    a, b = np.zeros((1, 2, 1), dtype=np.float64), np.zeros((1, 2, 1), dtype=np.float64)
    a[0, 1], b[0, 1] = fast, reference
    assert proof.disagreement(a, b, torch.float32) == found


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def _wrap(hf):
    hf.model.layers[1].mlp = Wrapped(hf.model.layers[1].mlp).eval()


def _hook(hf):
    hf.model.layers[0].self_attn.register_forward_hook(lambda *a: None)


def _mixed(hf):
    hf.model.norm.double()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_wrap, "is a Wrapped"),
        (_hook, "carries hooks"),
        (_mixed, "torch.float32, cpu torch.float64"),
    ],
)
def test_models_that_are_not_plain_fall_back(tiny_llama, change, why):
    assert ablation.obstacle(tiny_llama, _prompts(tiny_llama)) is None
    change(tiny_llama.hf)
    assert why in ablation.obstacle(tiny_llama, _prompts(tiny_llama))


def _prompts(model: sm.Model):
    return encode(TASK, "search", None, None)


def test_an_unknown_architecture_falls_back_with_one_warning_that_says_why():
    torch.manual_seed(0)
    config = transformers.BloomConfig(vocab_size=61, hidden_size=32, n_layer=2, n_head=4)
    model = sm.load_model(transformers.AutoModelForCausalLM.from_config(config))
    players = sm.select_players(model)
    with pytest.warns(
        UserWarning, match="slow reference engine because .*BloomForCausalLM"
    ) as seen:
        game = sm.TaskGame(model, TASK, players)
    assert len(seen) == 1
    sm.TaskGame(model, TASK, players, engine="reference")  # meant: no warning
    with pytest.raises(InputError, match=r"BloomForCausalLM, is not among .*engine='reference'"):
        sm.TaskGame(model, TASK, players, engine="fast")
    assert type(game._engine._engine) is ablation.ReferenceEngine


LLAMA = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (
            lambda: transformers.LlamaConfig(
                **LLAMA,
                max_position_embeddings=64,
                rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0},
            ),
            "rotary embedding is 'dynamic', whose angles depend on the batch",
        ),
        (
            lambda: transformers.Gemma3TextConfig(**LLAMA, attn_logit_softcapping=2.0),
            "attn_logit_softcapping, which its class does not heed",
        ),
        (
            lambda: transformers.Gemma3TextConfig(**LLAMA, use_bidirectional_attention=True),
            "its attention is bidirectional",
        ),
        (
            lambda: transformers.Qwen2Config(**LLAMA, layer_types=["sliding_attention"] * 2),
            "layers of 'sliding_attention' without a window",
        ),
        (lambda: transformers.PhiConfig(**LLAMA, qk_layernorm=True), "qk_layernorm"),
    ],
)
def test_options_that_are_not_known_fall_back(config, why):
    model = sm.load_model(transformers.AutoModelForCausalLM.from_config(config()))
    assert why in ablation.obstacle(model, _prompts(model))


def test_an_unknown_engine_is_refused(tiny_llama):
    with pytest.raises(InputError, match="unknown engine 'slow'; expected one of auto, fast"):
        sm.TaskGame(tiny_llama, TASK, sm.select_players(tiny_llama), engine="slow")
