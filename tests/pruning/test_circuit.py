"""Circuits of planted games: every number in closed form."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch

import spex_mech as sm
from spex_mech.core.estimates import paired_difference, ratio_of_means
from spex_mech.core.masks import all_masks
from spex_mech.core.players import ModelShape, select_players
from spex_mech.pruning.asked_values import asked_values
from spex_mech.pruning.circuit import circuit
from spex_mech.pruning.circuit_files import circuit_from_json, circuit_to_graphml, circuit_to_json
from spex_mech.pruning.circuit_knock_outs import raced_knock_outs
from spex_mech.pruning.circuit_tests import _decisive_part, random_parts
from spex_mech.report import plots
from tests.shared.planted_game import Planted
from tests.shared.quiz import Quiz


class Asked(Planted):
    """The same with questions: the value of each is scaled, with a little of its own."""

    def __init__(self, n, value, questions=50):
        super().__init__(n, value)
        rng = np.random.default_rng(0)
        self.scale, self.own = 1 + 0.3 * rng.normal(size=questions), rng.normal(size=(questions, n))

    def scores(self, masks):
        base = super().__call__(masks)
        return (base[:, None] * self.scale + 0.01 * masks @ self.own.T).astype(np.float32)

    def per_example(self, scores):
        return scores.astype(np.float64)

    def values_from_scores(self, scores):
        return self.per_example(scores).mean(axis=1)

    def __call__(self, masks):
        return self.values_from_scores(self.scores(masks))


def keep(n, *members):
    mask = np.zeros(n, dtype=bool)
    mask[list(members)] = True
    return mask


def exact(game):
    return sm.exact_spectrum(game(all_masks(game.players.n)))


def pair_and_more(x):
    return 3 * (x[0] and x[1]) + 2 * x[2] + x[3]


def test_faithfulness_completeness_and_effects_of_a_sum():
    game = Planted(5, pair_and_more)
    found = circuit(game, keep(5, 0, 1, 2), exact(game), index="Moebius", subsets=20, seed=0)
    assert (found.full.mean, found.empty.mean, found.alone.mean, found.rest.mean) == (6, 0, 5, 1)
    assert found.loss.mean == 1
    assert found.faithfulness.mean == pytest.approx(5 / 6)
    assert found.complement.mean == pytest.approx(1 / 6)
    assert [node.effect.mean for node in found.nodes] == [3, 3, 2]
    assert [node.p for node in found.nodes] == [0, 0, 0]
    # Three players have seven parts; outside them, player 3 always adds 1 to the model alone.
    assert len(found.knock_outs) == 7
    assert {k.difference.mean for k in found.knock_outs} == {-1}
    assert found.incompleteness.mean == 1
    assert [(e.source, e.target, round(e.value, 9)) for e in found.edges] == [("p0", "p1", 3.0)]


def test_knock_outs_are_the_games_own_values():
    game = Planted(8, lambda x: x[0] * x[1] - 2 * x[2] * x[5] + x[3] * x[4] * x[6] + 0.5 * x[7])
    mask = keep(8, 0, 2, 3, 4, 5, 6)
    found = circuit(game, mask, subsets=9, seed=4)
    assert len({k.names for k in found.knock_outs}) == 9
    for k in found.knock_outs:
        gone = keep(8, *(int(name[1:]) for name in k.names))
        assert k.circuit.mean == game((mask & ~gone)[None])[0]
        assert k.model.mean == game((~gone)[None])[0]
    gaps = [abs(k.circuit.mean - k.model.mean) for k in found.knock_outs]
    assert found.incompleteness.mean == pytest.approx(np.mean(gaps))


def test_two_that_replace_each_other_are_needed_once_the_other_is_gone():
    game = Planted(4, lambda x: float(x[0] or x[1]))
    spectrum = exact(game)
    found = circuit(game, keep(4, 0, 1, 2), spectrum, seed=0)
    first, second, dummy = found.nodes
    assert (first.effect.mean, second.effect.mean) == (0, 0)
    assert "p1" in first.knocked and first.score.mean == 1 and first.needed
    assert "p0" in second.knocked and second.score.mean == 1 and second.needed
    assert dummy.score.mean == 0 and dummy.knocked == () and dummy.p == 1 and not dummy.needed
    # Without a spectrum nothing says which K to try, and there are no edges.
    alone = circuit(game, keep(4, 0, 1, 2), seed=0)
    assert [node.needed for node in alone.nodes] == [False] * 3 and alone.edges == ()


def test_intervals_are_paired_over_questions():
    game = Asked(6, pair_and_more)
    mask = keep(6, 0, 1, 2)
    found = circuit(game, mask, subsets=3, seed=5)

    def rows(*masks):
        return game.per_example(game.scores(np.stack(masks)))

    full, alone = rows(np.ones(6, dtype=bool), mask)
    assert vars(found.loss) == pytest.approx(vars(paired_difference(full, alone, seed=5)))
    for node in found.nodes:
        without = mask.copy()
        without[node.player] = False
        expected = paired_difference(alone, *rows(without), seed=5)
        assert vars(node.effect) == pytest.approx(vars(expected))
    (nothing,) = rows(np.zeros(6, dtype=bool))
    assert found.faithfulness == ratio_of_means(alone - nothing, full - nothing, seed=5)


def test_chance_differences_are_not_called_needed():
    """Of players that do nothing but add noise to each question, few pass a test at 5 % together."""
    wrong = 0
    for seed in range(12):
        game = Asked(10, lambda x: 5.0 * x[0])
        rng = np.random.default_rng(seed)
        game.own = rng.normal(size=game.own.shape)
        game.own -= game.own.mean(axis=0) - rng.normal(size=10) / np.sqrt(50)
        found = circuit(game, keep(10, *range(8)), subsets=1, seed=seed)
        assert found.nodes[0].needed
        wrong += any(node.needed for node in found.nodes[1:])
    assert wrong <= 3  # 12 times 5 %: more than 3 has probability 0.2 %


def test_what_it_costs(tmp_path):
    game = Planted(12, lambda x: x.sum())
    found = circuit(game, keep(12, *range(10)), subsets=6, seed=0, store=tmp_path / "store")
    assert found.ablations == game.asked == 4 + 2 * 6 + 10
    again = circuit(game, keep(12, *range(10)), subsets=6, seed=0, store=tmp_path / "store")
    assert game.asked == found.ablations and again.incompleteness == found.incompleteness


def test_a_store_answers_without_the_model(tiny_llama, tmp_path):
    rng = np.random.default_rng(0)
    task = sm.TokenTask(rng.integers(1, 61, (6, 7)), answers=rng.integers(1, 61, (6, 4)))
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama, "heads"), split="all")
    mask = rng.random(12) < 0.5
    found = circuit(game, mask, subsets=4, seed=1, store=tmp_path / "store")
    stored = circuit(sm.open_run(tmp_path / "store"), mask, subsets=4, seed=1)
    assert circuit_to_json(stored) == circuit_to_json(found)
    assert found.metric == "margin" and found.full.n == 6


def test_a_model_no_better_than_nothing_has_no_ratio():
    found = circuit(Planted(4, lambda x: int(x[0]) - int(x[1])), keep(4, 0), seed=0)
    assert found.faithfulness is None and found.complement is None
    assert "unknown" in str(found)
    assert circuit_from_json(circuit_to_json(found), found.players).faithfulness is None


def graph():
    class Shaped:
        shape = ModelShape(n_layers=2, n_heads=3, n_kv_heads=3)

    game = Asked(6, pair_and_more)
    game.players = select_players(Shaped(), "heads")
    return circuit(game, keep(6, 0, 1, 2, 4), exact(game), subsets=3, seed=0)


def test_json_is_a_graph_for_networkx_and_comes_back():
    networkx = pytest.importorskip("networkx", reason="reads the graph files")
    found = graph()
    content = json.loads(json.dumps(circuit_to_json(found)))
    read = networkx.node_link_graph(content, edges="edges")
    assert set(read.nodes) == {"L0H0", "L0H1", "L0H2", "L1H1"}
    assert read.nodes["L1H1"]["layer"] == 1
    assert {frozenset(e[:2]): e[2] for e in read.edges(data="value")} == {
        frozenset((e.source, e.target)): e.value for e in found.edges
    }
    assert circuit_to_json(circuit_from_json(content, found.players)) == content


def test_graphml_is_read_by_networkx(tmp_path):
    networkx = pytest.importorskip("networkx", reason="reads the graph files")
    found = graph()
    (tmp_path / "c.graphml").write_text(circuit_to_graphml(found), encoding="utf-8")
    read = networkx.read_graphml(tmp_path / "c.graphml")
    assert list(read.nodes) == [node.name for node in found.nodes]
    for node, player in zip(found.nodes, found.members, strict=True):
        effect = node.effect
        assert read.nodes[node.name] == {
            "kind": "head",
            "layer": player.layer,
            "effect": effect.mean,
            "effect_low": effect.low,
            "effect_high": effect.high,
            "p": node.p,
            "needed": node.needed,
        }
    assert {frozenset(e[:2]): e[2] for e in read.edges(data=True)} == {
        frozenset((e.source, e.target)): {
            name: value for name, value in (("value", e.value), ("std", e.std)) if value is not None
        }
        for e in found.edges
    }


def test_names_that_are_markup_or_control_characters_are_harmless(tmp_path):
    networkx = pytest.importorskip("networkx", reason="reads the graph files")
    game = Planted(3, lambda x: x[0] * x[1] + x[2])
    game.players = sm.PlayerSet.from_names(["<b>&\x07", 'a "b"\n$x_2$', "</data>"])
    found = circuit(game, keep(3, 0, 1, 2), exact(game), seed=0)
    (tmp_path / "c.graphml").write_text(circuit_to_graphml(found), encoding="utf-8")
    assert len(networkx.read_graphml(tmp_path / "c.graphml")) == 3
    for figure in (plots.circuit_graph(found), plots.circuit_tests(found)):
        figure.savefig(tmp_path / "figure.svg")


def test_the_graph_shows_kept_players_and_their_strongest_edges():
    found = graph()
    axes = plots.circuit_graph(found, edges=2).axes[0]
    labels = {t.get_text(): t.xy for t in axes.texts}
    assert labels == {"L0H0": (0, 0), "L0H1": (1, 0), "L0H2": (2, 0), "L1H1": (1, 1)}
    assert len([p for p in axes.patches if type(p).__name__ == "FancyArrowPatch"]) == 2
    effects = [abs(n.effect.mean) for n in found.nodes]
    sizes = [float(c.get_sizes()[0]) for c in axes.collections if len(c.get_offsets()) == 1]
    assert np.argsort(sizes).tolist() == np.argsort(effects).tolist()


@pytest.mark.parametrize("heads", [2, 12])
def test_edges_within_a_row_stay_on_the_figure(heads):
    class Shaped:
        shape = ModelShape(n_layers=2, n_heads=heads, n_kv_heads=heads)

    pairs = list(combinations(range(heads, 2 * heads), 2))
    game = Planted(2 * heads, lambda x: sum(x[a] and x[b] for a, b in pairs))
    game.players = select_players(Shaped(), "heads")
    spectrum = sm.Spectrum.from_supports(pairs, [1.0] * len(pairs), 2 * heads)
    found = circuit(game, np.ones(2 * heads, dtype=bool), spectrum, seed=0)
    figure = plots.circuit_graph(found, edges=100)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    edges = [p for p in axes.patches if isinstance(p, FancyArrowPatch)]
    assert len(edges) == len(pairs)
    tops = [p.get_path().get_extents(p.get_transform()).y1 for p in edges]
    assert max(tops) < axes.bbox.y1


def test_the_tests_figure_has_every_number():
    found = graph()
    left, middle, right = plots.circuit_tests(found).axes
    drawn = [line.get_xdata()[0] for line in left.lines if line.get_marker() == "o"]
    assert drawn == [e.mean for e in (found.empty, found.rest, found.alone, found.full)]
    shown = [line.get_xdata()[0] for line in middle.lines if line.get_marker() == "o"]
    assert shown == sorted(n.effect.mean for n in found.nodes)
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in right.lines][
        : len(found.knock_outs)
    ]
    assert points == [(k.model.mean, k.circuit.mean) for k in found.knock_outs]
    few = plots.circuit_tests(found, parts=2).axes[1]
    assert few.get_title(loc="left") == f"minimality: 2 of {len(found.nodes)} parts"
    shown = [line.get_xdata()[0] for line in few.lines if line.get_marker() == "o"]
    assert shown == sorted(sorted((n.effect.mean for n in found.nodes), key=abs)[-2:])


@pytest.mark.parametrize(
    ("kept", "told", "message"),
    [
        (keep(4), {}, "the kept set is empty"),
        (np.ones((2, 4), dtype=bool), {}, "a circuit is one kept set"),
        (np.ones(4), {}, "bool"),
        (keep(5, 1), {}, "4"),
        (keep(4, 1), {"subsets": -1}, "subsets is -1, expected 0 or more"),
        (keep(4, 1), {"spectrum": True}, "the spectrum has 3 players, the game 4"),
    ],
)
def test_mistakes(kept, told, message):
    game = Planted(4, lambda x: x[0])
    if told.get("spectrum"):
        told = {"spectrum": sm.Spectrum.from_supports([(0,)], [1.0], 3)}
    with pytest.raises(sm.InputError, match=message):
        circuit(game, kept, seed=0, **told)
    assert game.asked == 0


def test_all_parts_of_a_small_set_are_taken():
    game = Planted(3, lambda x: x.sum())
    found = circuit(game, keep(3, 0, 1, 2), subsets=50, seed=0)
    names = {k.names for k in found.knock_outs}
    assert names == {c for k in (1, 2, 3) for c in combinations(("p0", "p1", "p2"), k)}


@pytest.mark.parametrize("seed", range(5))
def test_rounding_does_not_choose_the_second_test(seed):
    """Players without a term in common with the one that is tested may be in the part or not."""
    rng = np.random.default_rng(0)
    supports = [(0,), (1,), (2,), (0, 1), (1, 2, 3), (4,), (5, 6)]
    exact = sm.Spectrum.from_supports(supports, rng.normal(size=7), n=8)
    noise = 1 + 1e-12 * np.random.default_rng(seed).normal(size=7)
    values = [c * e for (_, c), e in zip(exact.top(7), noise, strict=True)]
    shaken = sm.Spectrum.from_supports([s for s, _ in exact.top(7)], values, n=8)
    mask = np.ones(8, dtype=bool)
    for player in range(8):
        chosen = [
            _decisive_part(spectrum, mask, player, np.random.default_rng(1))
            for spectrum in (exact, shaken)
        ]
        np.testing.assert_array_equal(*chosen)


class Sparse(Quiz):
    """Few players matter much, one hardly, and one not at all."""

    def __init__(self, questions=120):
        super().__init__(8, questions, own=0.5, seed=1)
        self.pairs, self.strength, self.own[:, 6:] = [], [], 0.0
        self.effects = np.array([4.0, 3.0, 2.0, -2.0, 1.0, 0.05, 0.0, 0.0])

    def per_question(self, masks, *, metric=None):
        return self.scores(masks).astype(float)


@pytest.mark.parametrize("with_spectrum", [False, True])
def test_players_are_asked_until_they_are_shown_to_be_needed(with_spectrum, tmp_path):
    mask, whole, game = keep(8, 0, 1, 2, 3, 4, 5, 6), Sparse(), Sparse()
    spectrum = exact(Sparse()) if with_spectrum else None
    expected = circuit(whole, mask, spectrum, subsets=4, seed=0)
    found = circuit(game, mask, spectrum, subsets=4, questions="auto", seed=0, store=tmp_path / "s")
    assert [node.needed for node in found.nodes[:5]] == [True] * 5 and not found.nodes[-1].needed
    assert {i for i, node in enumerate(found.nodes) if node.needed} <= {
        i for i, node in enumerate(expected.nodes) if node.needed
    }
    for node, same in zip(found.nodes, expected.nodes, strict=True):
        assert node.p >= 0.3 * same.p  # several looks do not make it smaller
        if node.needed and not node.knocked:
            assert node.effect.n < 120 and node.effect.mean == pytest.approx(
                same.effect.mean, abs=0.5
            )
        else:  # whoever is not shown to be needed has answered everything
            assert node.effect.n == 120
            assert node.effect.mean == pytest.approx(same.effect.mean, abs=1e-5)
    # The circuit itself is asked all: these numbers are the same.
    for name in ("full", "empty", "alone", "rest", "faithfulness"):
        assert vars(getattr(found, name)) == pytest.approx(vars(getattr(expected, name)), rel=1e-5)
    asked = len(set(game.asked))
    assert asked == len(game.asked) < 0.85 * len(set(whole.asked))
    assert -(-asked // 120) == found.ablations < expected.ablations
    again = circuit_from_json(json.loads(json.dumps(circuit_to_json(found))), game.players)
    assert again.nodes == found.nodes
    stored = Sparse()
    circuit(stored, mask, spectrum, subsets=4, questions="auto", seed=0, store=tmp_path / "s")
    assert not stored.asked


def test_random_parts_are_asked_until_circuit_and_model_are_shown_to_differ():
    mask, whole, game = keep(8, 0, 1, 2, 5, 7), Sparse(), Sparse()
    expected = circuit(whole, mask, subsets=9, seed=3)
    found = circuit(game, mask, subsets=9, questions="auto", seed=3)
    few = 0
    for part, same in zip(found.knock_outs, expected.knock_outs, strict=True):
        counts = {part.circuit.n, part.model.n, part.difference.n}
        assert part.names == same.names and len(counts) == 1
        few += counts != {120}
        for name, off in (("circuit", 1.0), ("model", 1.0), ("difference", 0.8)):
            one, other = getattr(part, name), getattr(same, name)
            assert one.mean == pytest.approx(other.mean, abs=1e-5 if counts == {120} else off)
        if counts != {120}:  # its sign was shown
            assert part.difference.mean * same.difference.mean > 0
    assert few > 0
    assert found.ablations < expected.ablations
    assert found.incompleteness.low < expected.incompleteness.mean < found.incompleteness.high
    assert circuit(Sparse(), mask, subsets=9, questions="auto", seed=3).incompleteness == (
        found.incompleteness
    )


def test_the_interval_of_raced_knock_outs_holds():
    """Against the mean over all questions, of parts that stop at different numbers of questions."""
    inside, early = 0, 0
    for trial in range(30):
        game, rng = Sparse(), np.random.default_rng(trial)
        game.own = rng.normal(0, 1.5, (120, 8))
        mask = keep(8, *rng.permutation(8)[:3])
        parts = random_parts(mask, 4, rng)
        asked = asked_values(game, "auto")
        knock_outs, found = raced_knock_outs(asked, mask, parts, game.players, seed=trial)
        expected = np.abs(game(mask & ~parts) - game(~parts)).mean()
        inside += found.low <= expected <= found.high
        early += sum(part.difference.n < 120 for part in knock_outs)
    assert inside >= 26 and early > 80  # of 30 and of 120


def test_players_without_effect_are_seldom_shown_to_be_needed():
    """The level holds though each player is looked at several times."""
    rng, false = np.random.default_rng(0), 0
    for trial in range(40):
        game = Sparse(60)
        game.own = rng.normal(0, 1.0, (60, 8))
        game.own -= game.own.mean(axis=0)  # no effect on average, much on each question
        game.effects = np.zeros(8)
        found = circuit(game, keep(8, *range(6)), subsets=0, questions="auto", seed=trial)
        false += any(node.needed for node in found.nodes)
    assert false <= 5  # 5 % of 40 are 2
