"""Interaction indices against their definitions, their axioms and shapiq."""

import sys
from itertools import chain, combinations
from math import comb, factorial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spex_mech.core.errors import InputError
from spex_mech.core.interactions import interactions, moebius, to_spectrum
from spex_mech.core.masks import all_masks
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum

INDICES = ("Fourier", "Moebius", "Banzhaf", "Shapley", "BII", "SII", "STII", "FBII", "FSII")
GAMES = Path(__file__).parents[2] / ".." / "shared" / "games"

games = (
    st.integers(1, 5)
    .flatmap(lambda n: st.lists(st.integers(-50, 50), min_size=2**n, max_size=2**n))
    .map(lambda v: np.array(v, dtype=float))
)


def subsets(players, first=0, last=None):
    last = len(players) if last is None else last
    return chain.from_iterable(combinations(players, k) for k in range(first, last + 1))


def number(coalition):
    return sum(1 << i for i in coalition)


def derivative(v, s, t):
    """Discrete derivative: sum over L ⊆ s of (-1)^{|s| - |L|} v(t ∪ L)."""
    return sum((-1) ** (len(s) - len(lo)) * v[number(t) + number(lo)] for lo in subsets(s))


def averaged(v, s, weight):
    """Sum of derivatives over all T without s, each weighted by its size."""
    n = len(v).bit_length() - 1
    rest = [i for i in range(n) if i not in s]
    return sum(weight(n, len(s), len(t)) * derivative(v, s, t) for t in subsets(rest))


def fit(v, order, weights, fixed):
    """Weighted least squares over polynomials in 0/1 players, exact on the masks ``fixed``."""
    n = len(v).bit_length() - 1
    sets = list(subsets(range(n), 0, order))
    x = all_masks(n)
    columns = np.array([x[:, list(s)].all(axis=1) for s in sets], float).T
    root = np.sqrt(weights)[:, None]
    # Least squares under linear constraints, by the Karush-Kuhn-Tucker equations.
    gram, target = (root * columns).T @ (root * columns), (root * columns).T @ (root[:, 0] * v)
    c = columns[fixed]
    kkt = np.block([[gram, c.T], [c, np.zeros((len(c), len(c)))]])
    solution = np.linalg.lstsq(kkt, np.concatenate([target, v[fixed]]), rcond=None)[0]
    return dict(zip(sets, solution, strict=False))


def by_definition(v, index, order):
    n = len(v).bit_length() - 1
    sets = list(subsets(range(n), 1, 1 if index in ("Banzhaf", "Shapley") else order))
    sizes = all_masks(n).sum(axis=1)
    if index in ("Banzhaf", "BII"):
        return {s: averaged(v, s, lambda n, k, t: 0.5 ** (n - k)) for s in sets}
    if index in ("Shapley", "SII"):
        return {
            s: averaged(
                v, s, lambda n, k, t: factorial(n - t - k) * factorial(t) / factorial(n - k + 1)
            )
            for s in sets
        }
    if index == "STII":
        lower = {s: derivative(v, s, ()) for s in subsets(range(n), 0, order - 1)}
        top = {
            s: averaged(v, s, lambda n, k, t: order / n / comb(n - 1, t))
            for s in combinations(range(n), order)
        }
        return lower | top
    if index == "FBII":
        return fit(v, order, np.ones(len(v)), [])
    if index == "FSII":
        inner = (sizes > 0) & (sizes < n)
        kernel = [
            (n - 1) / (comb(n, s) * s * (n - s)) if i else 0.0
            for s, i in zip(sizes.tolist(), inner, strict=True)
        ]
        return fit(v, order, np.array(kernel), [0, len(v) - 1])
    every = subsets(range(n), 0, order)
    if index == "Moebius":
        return {s: derivative(v, s, ()) for s in every}
    signs = {s: (-1.0) ** all_masks(n)[:, list(s)].sum(axis=1) for s in every}
    return {s: float(np.mean(v * signs[s])) for s in signs}


def close(found, expected, atol=1e-9):
    """Equal as sparse tables: a set that is missing counts as zero."""
    keys = set(found) | set(expected)
    for key in keys:
        assert found.get(key, 0.0) == pytest.approx(expected.get(key, 0.0), abs=atol), key


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize(("n", "order"), [(1, 1), (3, 2), (4, 3), (5, 1), (5, 5), (6, 2)])
def test_values_are_those_of_the_definition(index, n, order):
    v = np.random.default_rng(n).normal(size=2**n)
    found = interactions(exact_spectrum(v), index, order)
    close(found.values, by_definition(v, index, order))
    assert (found.index, found.n) == (index, n)


@pytest.mark.parametrize("index", ("Moebius", "BII", "SII", "STII", "FBII", "FSII"))
def test_eight_players(index):
    v = np.random.default_rng(8).normal(size=256)
    close(interactions(exact_spectrum(v), index, 2).values, by_definition(v, index, 2))


@settings(deadline=None)
@given(games)
def test_fourier_and_moebius_round_trip(v):
    n = len(v).bit_length() - 1
    spectrum = exact_spectrum(v)
    coefficients = moebius(spectrum)
    back = to_spectrum(coefficients)
    close(dict(back), dict(spectrum))
    total = [
        sum(a for s, a in coefficients.values.items() if set(s) <= set(x))
        for x in subsets(range(n))
    ]
    np.testing.assert_allclose(total, [v[number(x)] for x in subsets(range(n))], atol=1e-8)
    close(dict(to_spectrum(interactions(spectrum, "Fourier", None))), dict(spectrum))


@settings(deadline=None)
@given(games, st.sampled_from(["Shapley", "STII", "FSII"]), st.integers(1, 3))
def test_efficiency(v, index, order):
    n = len(v).bit_length() - 1
    found = interactions(exact_spectrum(v), index, min(order, n))
    total = sum(value for s, value in found.values.items() if s)
    assert total == pytest.approx(v[-1] - v[0], abs=1e-8)
    assert found.baseline == pytest.approx(v[0], abs=1e-9)


@settings(deadline=None)
@given(games, st.sampled_from(INDICES), st.integers(1, 3))
def test_dummy(v, index, order):
    """A player who adds its own value and no more has that value, and no interactions."""
    n = len(v).bit_length() - 1
    game = np.concatenate([v, v + 3.0])  # player n adds 3
    found = interactions(exact_spectrum(game), index, min(order, n + 1))
    alone = -1.5 if index == "Fourier" else 3.0
    close({s: a for s, a in found.values.items() if n in s}, {(n,): alone})


@settings(deadline=None)
@given(games, st.sampled_from(INDICES), st.integers(1, 3), st.randoms(use_true_random=False))
def test_permuting_the_players_permutes_the_values(v, index, order, random):
    """Symmetry in its strong form: names of players do not matter."""
    n = len(v).bit_length() - 1
    name = random.sample(range(n), n)
    permuted = np.empty_like(v)
    for x in subsets(range(n)):
        permuted[number(name[i] for i in x)] = v[number(x)]
    order = min(order, n)
    renamed = {
        tuple(sorted(name[i] for i in s)): a
        for s, a in interactions(exact_spectrum(v), index, order).values.items()
    }
    close(interactions(exact_spectrum(permuted), index, order).values, renamed)


@settings(deadline=None)
@given(games, st.sampled_from(["FBII", "FSII"]))
def test_faithful_indices_of_full_order_are_the_function(v, index):
    spectrum = exact_spectrum(v)
    close(dict(to_spectrum(interactions(spectrum, index, spectrum.n))), dict(spectrum), 1e-8)


def test_faith_banzhaf_is_the_best_fit_of_its_order():
    v = np.random.default_rng(1).normal(size=64)
    fitted = to_spectrum(interactions(exact_spectrum(v), "FBII", 2))
    low = exact_spectrum(v)
    low = {s: c for s, c in low if len(s) <= 2}
    close(dict(fitted), low)


def test_many_players_and_words():
    rng = np.random.default_rng(0)
    supports = [tuple(sorted(rng.choice(1000, 5, replace=False).tolist())) for _ in range(300)]
    spectrum = Spectrum.from_supports(supports, rng.normal(size=300), 1000)
    close(dict(to_spectrum(moebius(spectrum))), dict(spectrum))
    shapley = interactions(spectrum, "Shapley").values
    assert sum(shapley.values()) == pytest.approx(
        float(np.diff(spectrum(np.array([[False] * 1000, [True] * 1000])))[0]), abs=1e-9
    )
    small = {i: k for k, i in enumerate(sorted(supports[0]))}
    one = Spectrum.from_supports(supports[:1], [1.0], 1000)
    same = Spectrum.from_supports([range(5)], [1.0], 5)
    for index in INDICES:
        found = interactions(one, index, 3).values
        close(
            {tuple(small[i] for i in s): a for s, a in found.items()},
            interactions(same, index, 3).values,
        )


def test_order_none_takes_the_largest_term():
    spectrum = Spectrum.from_supports([(0, 1, 2), (3,)], [1.0, 2.0], 6)
    assert interactions(spectrum, "SII", None).order == 3
    assert interactions(spectrum, "Shapley", 2).order == 1
    assert interactions(spectrum, "Moebius", 2).top(1) == [((3,), -4.0)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: interactions(s, "nSII"), "index is 'nSII', expected one of Fourier, Moebius"),
        (lambda s: interactions(s, "FBII", 0), "order is 0, expected 1 to 4"),
        (lambda s: interactions(s, "FBII", 5), "order is 5, expected 1 to 4"),
        (lambda s: interactions(s, "FBII", 1.5), "expected an integer"),
        (lambda s: to_spectrum(interactions(s, "SII")), "do not determine a function"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call(Spectrum.from_supports([(0, 1)], [1.0], 4))


def test_terms_with_too_many_subsets_are_refused():
    spectrum = Spectrum.from_supports([range(40)], [1.0], 40)
    with pytest.raises(InputError, match="lower the order"):
        moebius(spectrum)
    half = 2.0**-1  # SII gives (-2)^{|T|} / (u + 1) for even u = |S| - |T|, else nothing
    values = interactions(spectrum, "SII", 2).values
    assert len(values) == comb(40, 2)
    assert values[(0, 1)] == pytest.approx(8 * half / 39)


def test_to_shapiq_without_shapiq(monkeypatch):
    monkeypatch.setitem(sys.modules, "shapiq", None)
    spectrum = Spectrum.from_supports([(0, 1)], [1.0], 4)
    with pytest.raises(InputError, match="peers"):
        interactions(spectrum).to_shapiq()


def test_against_shapiq_on_one_of_its_games():
    shapiq = pytest.importorskip("shapiq", reason="shapiq is not installed")
    path = GAMES / "sentimentanalysis-n14-01.npz"
    if not path.exists():
        pytest.skip("the precomputed games of shapiq are not here")
    v = np.load(path)["values"][: 1 << 9]  # players 9 to 13 absent: a real game of 9 players
    exact = shapiq.ExactComputer(
        game=lambda x: v[np.asarray(x, int) @ (1 << np.arange(9))], n_players=9
    )
    spectrum = exact_spectrum(v)
    names = {"Shapley": "SV", "Banzhaf": "BV"}
    for index in INDICES[1:]:
        order = 1 if index in names else 2
        theirs = exact(names.get(index, index), order=order)
        ours = interactions(spectrum, index, order).to_shapiq()
        for s in subsets(range(9), 1, order):
            assert ours[s] == pytest.approx(theirs[s], abs=1e-9), (index, s)
