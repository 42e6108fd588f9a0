"""Our decoders as an approximator of shapiq.

Against 1.8.0, which needs Python 3.12, in an environment of its own:

    python3.12 -m venv peers && peers/bin/pip install shapiq==1.8.0 pytest -e .
    peers/bin/python -m pytest tests/decoders/test_shapiq.py tests/core/test_shapiq_games.py
"""

from __future__ import annotations

import doctest
from itertools import combinations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.decoders import shapiq as of_shapiq

shapiq = pytest.importorskip("shapiq", reason="shapiq is a peer, installed with the extra 'dev'")

N = 7
RNG = np.random.default_rng(3)
TABLE = RNG.normal(size=1 << N)
SMALL = ("SV", "BV", "SII", "k-SII", "STII", "FSII", "BII", "FBII", "Moebius")


class Counted:
    """A callable on bool arrays that keeps what it was asked."""

    def __init__(self, function):
        self.function, self.asked = function, []

    def __call__(self, coalitions):
        assert coalitions.dtype == bool
        self.asked.extend(map(tuple, coalitions.tolist()))
        return self.function(coalitions)


class Table(shapiq.Game):
    """A complete game, counted from the value of nobody."""

    def __init__(self):
        super().__init__(N, normalize=True, normalization_value=float(TABLE[0]))

    def value_function(self, coalitions):
        return TABLE[np.asarray(coalitions, dtype=bool) @ (1 << np.arange(N))]


def planted(coalitions):
    return 1.0 * coalitions[:, 1] + 2.0 * (coalitions[:, 3] & coalitions[:, 7]) - 0.5


@pytest.mark.parametrize("index", SMALL)
def test_of_all_coalitions_it_is_shapiqs_exact_computer(index):
    order = 1 if index in ("SV", "BV") else 2
    found = sm.shapiq_approximator(N, order, index, random_state=0).approximate(1 << N, Table())
    exact = shapiq.ExactComputer(game=Table(), n_players=N)(index, order)
    for size in range(1, order + 1):
        for players in combinations(range(N), size):
            assert found[players] == pytest.approx(
                exact[players], abs=1e-7
            )  # its FSII is regressed
    assert (found.index, found.max_order, found.n_players) == (index, order, N)
    assert not found.estimated
    assert found.baseline_value == pytest.approx(exact.baseline_value, abs=1e-9)


@pytest.mark.parametrize("index", ["SII", "FBII"])
@pytest.mark.parametrize("budget", [60, 151])
def test_budgets_are_exact_and_no_coalition_is_evaluated_twice(index, budget):
    game = Counted(planted)
    approximator = sm.shapiq_approximator(12, 2, index, random_state=1, method="lasso")
    found = approximator.approximate(budget, game)
    assert len(game.asked) == len(set(game.asked)) == budget == found.estimation_budget
    assert {(False,) * 12, (True,) * 12} <= set(game.asked)
    assert found.estimated
    if index == "SII":
        assert found.baseline_value == -0.5


def test_a_seed_decides_everything_and_none_draws_anew():
    ones = [
        sm.shapiq_approximator(12, 2, "SII", random_state=seed, method="lasso").approximate(
            60, planted
        )
        for seed in (5, 5, 6)
    ]
    assert ones[0].dict_values == ones[1].dict_values
    assert ones[0].dict_values != ones[2].dict_values
    unseeded, asked = sm.shapiq_approximator(12, 1, "SV", method="lasso"), []
    for _ in range(2):
        game = Counted(planted)
        unseeded(30, game)
        asked.append(game.asked)
    assert asked[0] != asked[1]


def test_the_example_of_the_docstring_runs():
    result = doctest.testmod(of_shapiq)
    assert (result.failed, result.attempted) == (0, 5)


def test_a_planted_game_is_found():
    approximator = sm.shapiq_approximator(12, 2, "k-SII", random_state=0, method="walsh_gp")
    found = approximator.approximate(80, planted)
    assert found[(3, 7)] == pytest.approx(2.0, abs=0.15)
    assert found[(1,)] == pytest.approx(1.0, abs=0.15)
    assert found[(3,)] == pytest.approx(0.0, abs=0.15)
    everything = sum(found[p] for size in (1, 2) for p in combinations(range(12), size))
    assert everything == pytest.approx(3.0, abs=1e-9)  # the game of all minus that of nobody


@pytest.fixture(scope="module")
def tabular():
    data = RNG.normal(size=(60, 8))
    return lambda x: x[:, 0] * x[:, 1] + 2.0 * x[:, 2], data


@pytest.mark.parametrize("kind", ["BaselineImputer", "MarginalImputer"])
def test_its_imputers_are_games_of_ours_and_of_the_approximator(tabular, kind):
    model, data = tabular
    options = {} if kind == "BaselineImputer" else {"sample_size": 20}
    imputer = getattr(shapiq, kind)(model=model, data=data, random_state=0, **options)
    imputer.fit(data[3])
    game = sm.features.from_shapiq(imputer)
    masks = sm.designs.exhaustive(8).masks
    ours = sm.interactions(sm.exact_spectrum(game(masks)), "SII", 2).values
    found = sm.shapiq_approximator(8, 2, "SII", random_state=0).approximate(256, imputer)
    for players in [(0,), (2,), (0, 1), (4, 6)]:
        assert found[players] == pytest.approx(ours.get(players, 0.0), abs=1e-9)
    assert game(masks) == pytest.approx(game(masks))  # its values are the same when asked again


def test_its_explainer_takes_the_approximator(tabular):
    model, data = tabular
    explainer = shapiq.TabularExplainer(
        model=model,
        data=data,
        index="k-SII",
        max_order=2,
        imputer="baseline",
        approximator=sm.shapiq_approximator(8, 2, "k-SII", random_state=0, method="walsh_gp"),
    )
    found = explainer.explain(data[5], budget=60)
    assert found.index == "k-SII"
    players = [found[(i,)] for i in range(8)]
    pairs = [found[p] for p in combinations(range(8), 2)]
    gap = float(model(data[5:6])[0] - model(data.mean(axis=0, keepdims=True))[0])
    assert sum(players) + sum(pairs) == pytest.approx(gap, abs=1e-6)


def test_our_interactions_in_its_plots():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    spectrum = sm.exact_spectrum(TABLE)
    values = sm.interactions(spectrum, "FSII", 2).to_shapiq()
    approximated = sm.shapiq_approximator(N, 2, "FSII", random_state=0).approximate(128, Table())
    for of_two in (values, approximated):
        figure, axes = of_two.plot_network(show=False)
        assert axes.get_children()
        plt.close(figure)
        shapiq.upset_plot(of_two, show=False)
        plt.close("all")
    shapley = sm.interactions(spectrum, "Shapley").to_shapiq()
    assert shapiq.bar_plot([shapley], show=False) is not None
    plt.close("all")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((12, 2, "CHII"), "index is 'CHII', expected one of SV, BV"),
        ((12, 2, "SV"), "max_order is 2, expected 1 to 1 for SV of single players"),
        ((4, 5, "SII"), "max_order is 5, expected 1 to 4"),
        ((0, 1, "SII"), "n is 0, expected a number of players"),
    ],
)
def test_what_it_refuses(arguments, message):
    with pytest.raises(InputError, match=message):
        sm.shapiq_approximator(*arguments)


def test_what_its_method_refuses():
    approximator = sm.shapiq_approximator(12, 2, "SII", random_state=0)
    with pytest.raises(InputError, match="budget is 1, expected at least 2"):
        approximator.approximate(1, planted)
    with pytest.raises(InputError, match="the game has 7 players, the approximator 12"):
        approximator.approximate(50, Table())
    with pytest.raises(InputError, match=r"values of shape .* for 50 coalitions"):
        approximator.approximate(50, lambda coalitions: np.zeros((50, 2)))
