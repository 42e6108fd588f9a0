from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spex_mech.core.errors import InputError
from spex_mech.core.masks import all_masks
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum
from spex_mech.decoders.spex import decode as spex_decode
from spex_mech.decoders.spex.bins import Bins
from spex_mech.decoders.spex.decode import spex
from spex_mech.decoders.spex.search import hard_decode, soft_decode
from spex_mech.designs.codes import source_code
from spex_mech.designs.design import MaskDesign
from spex_mech.designs.spex import spex as coded_design
from spex_mech.designs.uniform import uniform

GAMES = Path("../shared/games")
STAGES = spex_decode._STAGES
DRAWS = {
    "gaussian": lambda rng, s: rng.normal(size=s),
    "away from zero": lambda rng, s: rng.choice([-1, 1], s) * rng.uniform(0.5, 1.5, s),
    "equal": lambda rng, s: rng.choice([-1.0, 1.0], s),
}


def planted(n, s, seed, draw="away from zero", degrees=(1, 2, 3, 4, 5)):
    """A spectrum of ``s`` random sets, their degrees uniform."""
    rng = np.random.default_rng(seed)
    supports = set()
    while len(supports) < s:
        supports.add(frozenset(rng.choice(n, rng.choice(degrees), replace=False).tolist()))
    return Spectrum.from_supports(sorted(supports, key=sorted), DRAWS[draw](rng, s), n)


def rows_of(supports, t):
    rows = np.full((len(supports), t), -1, dtype=np.int64)
    for row, members in zip(rows, supports, strict=True):
        row[: len(members)] = sorted(members, reverse=True)
    return rows


def noisy(truth, masks, share, seed):
    """Values with noise of ``share`` of the signal's standard deviation."""
    spread = np.sqrt((truth.coefficients**2).sum())
    return truth(masks) + share * spread * np.random.default_rng(seed).normal(size=len(masks))


def assert_same_terms(found, truth, tolerance):
    assert set(found.supports) == set(truth.supports)
    for support, coefficient in truth:
        assert abs(found[support] - coefficient) <= tolerance


# the aliased bins ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "budget", "degree"), [(6, 60, 2), (9, 400, 3), (10, 300, 1)])
def test_bins_hold_the_sums_of_their_terms(n, budget, degree):
    table = np.random.default_rng(n).normal(size=1 << n)
    exact = exact_spectrum(table, tolerance=0)
    design = coded_design(n, budget, degree, seed=n)
    s = design.structure
    bins = Bins.from_values(s, table[design.masks @ (1 << np.arange(n))])
    amplitudes = bins.amplitudes.reshape(s.groups, 1 << s.b, -1)
    for c in range(s.groups):
        home = exact.membership.astype(int) @ s.matrices[c] % 2 @ (1 << np.arange(s.b))
        for d, delay in enumerate(s.delays):
            signs = (-1.0) ** (exact.membership.astype(int) @ (delay.astype(int) + s.offsets[c]))
            sums = np.bincount(home, exact.coefficients * signs, minlength=1 << s.b)
            np.testing.assert_allclose(amplitudes[c, :, d], sums, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 3.0])
def test_the_fit_is_least_squares_on_the_samples(ridge):
    n, t = 40, 4
    design = coded_design(n, 3000, t, seed=1)
    s = design.structure
    values = np.random.default_rng(2).normal(size=len(design))
    sets = rows_of([(), (3,), (3, 7), (0, 1, 39), (5, 6, 8, 20), (8, 9), (10,)], t)
    left, coefficients = Bins.from_values(s, values).without(sets, ridge=ridge)
    masks = design.masks[s.rows.ravel()]
    signs = np.stack([(-1.0) ** masks[:, row[row >= 0]].sum(axis=1) for row in sets], axis=1)
    # An entry of a bin is a sum of 2^b samples over 2^b, so squares shrink by 2^b.
    normal = signs.T @ signs + ridge * (1 << s.b) * np.eye(len(sets))
    expected = np.linalg.solve(normal, signs.T @ values[s.rows.ravel()])
    np.testing.assert_allclose(coefficients, expected, rtol=0, atol=1e-13)
    supports = [row[row >= 0].tolist() for row in sets]
    terms = Spectrum.from_supports(supports, coefficients, n)
    rest = Bins.from_values(s, values - terms(design.masks))
    np.testing.assert_allclose(left.amplitudes, rest.amplitudes, rtol=0, atol=1e-13)


# source decoding -----------------------------------------------------------------------------------


def single_terms(n, t, count, noise, seed):
    """Bins of one term each: the true sets, and amplitudes with noise."""
    rng = np.random.default_rng(seed)
    code = source_code(n, t)
    supports = [rng.choice(n, rng.integers(1, t + 1), replace=False) for _ in range(count)]
    sets = rows_of(supports, t)
    design = coded_design(n, 10**4, t)
    signs = Bins.from_values(design.structure, np.zeros(len(design))).signs(sets)
    amplitudes = rng.choice([-1.0, 1.0], (count, 1)) * signs
    return code, sets, amplitudes + noise * rng.normal(size=amplitudes.shape)


@pytest.mark.parametrize(("n", "t"), [(20, 3), (100, 5), (400, 4)])
def test_bins_of_one_term_are_decoded_whatever_its_sign(n, t):
    code, sets, amplitudes = single_terms(n, t, 300, 0.0, seed=n)
    for decode in (hard_decode, soft_decode):
        found, rows = decode(code, amplitudes)
        truth = sets[rows]
        assert set(rows[(np.sort(found) == np.sort(truth)).all(axis=1)]) == set(range(300))
    found, rows = hard_decode(code, amplitudes)
    np.testing.assert_array_equal(rows, np.arange(300))


@pytest.mark.parametrize(("n", "t"), [(20, 3), (100, 5), (400, 4)])
def test_soft_decoding_finds_more_than_hard_decoding(n, t):
    code, sets, amplitudes = single_terms(n, t, 1000, 0.55, seed=7)

    def right(decode):
        found, rows = decode(code, amplitudes)
        return set(rows[(np.sort(found) == np.sort(sets[rows])).all(axis=1)].tolist())

    hard = right(hard_decode)
    few = right(lambda *bins: soft_decode(*bins, flips=4, depth=2))
    many = right(soft_decode)
    assert hard < few < many
    assert len(many) > len(hard) + 100


# planted spectra -----------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(
    ("n", "s", "budget"), [(100, 50, 3936), (500, 100, 19584), (1000, 200, 21504)]
)
def test_planted_spectra_are_recovered_exactly(n, s, budget, draw):
    truth = planted(n, s, seed=n + s, draw=draw)
    design = coded_design(n, budget, seed=1)
    found = spex(design, truth(design.masks))
    assert_same_terms(found, truth, 1e-8)
    assert found.info["explained"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_recovery_does_not_depend_on_luck(seed):
    truth = planted(60, 30, seed, draw="gaussian", degrees=(1, 2, 3))
    design = coded_design(60, 2400, 3, seed=seed)
    assert_same_terms(spex(design, truth(design.masks)), truth, 1e-8)


def test_terms_without_subsets_are_recovered():
    truth = planted(100, 10, seed=4, degrees=(5,))
    design = coded_design(100, 984, seed=4)
    assert_same_terms(spex(design, truth(design.masks)), truth, 1e-8)


@pytest.mark.parametrize(("n", "s", "budget"), [(100, 50, 3936), (500, 100, 19584)])
@pytest.mark.parametrize("seed", range(2))
def test_noise_of_a_tenth_of_the_signal_is_borne(n, s, budget, seed):
    truth = planted(n, s, seed)
    design = coded_design(n, budget, seed=seed)
    found = spex(design, noisy(truth, design.masks, 0.1, seed))
    hits = set(found.supports) & set(truth.supports)
    assert len(hits) >= 0.95 * len(truth)
    assert len(hits) >= 0.95 * len(found)
    spread = np.sqrt((truth.coefficients**2).sum())
    error = max(abs(found[support] - truth[support]) for support in hits)
    assert error < 5 * 0.1 * spread / np.sqrt(len(design))
    assert found.info["noise"] == pytest.approx(0.1 * spread, rel=0.1)


def stages(monkeypatch, *chosen):
    """Let `spex` try these of its stages only."""
    monkeypatch.setattr(spex_decode, "_STAGES", tuple(STAGES[k] for k in chosen))


def test_soft_decoding_recovers_terms_that_hard_decoding_misses(monkeypatch):
    truth = planted(100, 40, seed=3, draw="gaussian", degrees=(4, 5))
    design = coded_design(100, 3936, seed=3)
    values = noisy(truth, design.masks, 0.1, 3)
    stages(monkeypatch, 0)
    hard = set(spex(design, values).supports) & set(truth.supports)
    stages(monkeypatch, 0, 1)
    soft = set(spex(design, values).supports) & set(truth.supports)
    assert len(soft) > len(hard)


def test_the_matched_filter_recovers_weak_terms_of_low_degree(monkeypatch):
    truth = planted(100, 40, seed=3, draw="gaussian", degrees=(1, 2))
    design = coded_design(100, 3936, seed=3)
    values = noisy(truth, design.masks, 0.3, 3)
    found = set(spex(design, values).supports)
    stages(monkeypatch, 0, 1)
    without = set(spex(design, values).supports) & set(truth.supports)
    assert without < found & set(truth.supports)
    assert found <= set(truth.supports)


def test_equal_terms_that_share_all_their_bins_are_told_apart(monkeypatch):
    n, t = 100, 5
    design = coded_design(n, 492, t, seed=0)
    rng = np.random.default_rng(0)
    bins = Bins.from_values(design.structure, np.zeros(len(design)))
    sets = rows_of([rng.choice(n, t, replace=False) for _ in range(4000)], t)
    together = (bins.places(sets) == bins.places(sets[:1])).all(axis=1)
    relative = bins.offset_signs(sets) * bins.offset_signs(sets[:1])
    apart = together & (np.ptp(relative, axis=1) > 0)
    pair = [sets[0].tolist(), sets[np.flatnonzero(apart)[0]].tolist()]
    truth = Spectrum.from_supports(pair, [1.0, 1.0], n)
    values = truth(design.masks)
    assert_same_terms(spex(design, values), truth, 1e-8)
    stages(monkeypatch, 0, 1, 3)
    assert set(spex(design, values).supports) != set(truth.supports)


# what must not matter ------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(0.01, 100), st.integers(0, 100))
def test_scaling_and_shifting_the_values_does_so_to_the_spectrum(shift, scale, seed):
    truth = planted(30, 8, seed, degrees=(1, 2, 3))
    design = coded_design(30, 1000, 3, seed=seed)
    found = spex(design, scale * truth(design.masks) + shift)
    expected = {support: scale * c for support, c in truth}
    expected[()] = shift
    tolerance = 1e-9 * (scale + abs(shift))
    for support in set(expected) | set(found.supports):
        assert abs(found[support] - expected.get(support, 0.0)) <= tolerance


def test_the_answer_is_always_the_same():
    truth = planted(100, 40, seed=0)
    design = coded_design(100, 3936, seed=5)
    values = noisy(truth, design.masks, 0.2, 5)
    one, two = spex(design, values), spex(design, values)
    np.testing.assert_array_equal(one.words, two.words)
    np.testing.assert_array_equal(one.coefficients, two.coefficients)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7])
def test_few_players_with_all_their_masks_are_solved_exactly(n):
    table = np.random.default_rng(n).normal(size=1 << n)
    design = coded_design(n, 1 << n, n)
    found = spex(design, table[design.masks @ (1 << np.arange(n))])
    np.testing.assert_allclose(found(all_masks(n)), table, rtol=0, atol=1e-8)


# functions that are not sparse ---------------------------------------------------------------------


def test_equal_values_are_a_constant():
    design = coded_design(20, 700)
    found = spex(design, np.full(len(design), 2.5))
    assert found.supports == [()]
    assert found.coefficients.tolist() == [2.5]


@pytest.mark.parametrize(("n", "budget"), [(16, 2000), (100, 3936)])
def test_pure_noise_holds_no_terms(n, budget):
    design = coded_design(n, budget)
    found = spex(design, np.random.default_rng(1).normal(size=len(design)))
    assert found.supports == [()]
    assert "does not look sparse" in found.info["message"]
    assert found.info["explained"] < 0.01


def test_a_dense_function_gives_what_can_be_seen_of_it():
    n = 40
    rng = np.random.default_rng(0)
    pairs, singles = rng.normal(size=(n, n)), rng.normal(size=n)

    def quadratic(masks):
        x = masks.astype(float)
        return np.einsum("mi,ij,mj->m", x, pairs, x) + n * (x @ singles)

    design = coded_design(n, 5000)
    found = spex(design, quadratic(design.masks))
    fresh = uniform(n, 1000, seed=9).masks
    rest = np.var(quadratic(fresh) - found(fresh)) / np.var(quadratic(fresh))
    assert 1 < len(found) <= len(design) // 16 + found.info["bins"]
    assert rest < 0.05


@pytest.mark.skipif(not GAMES.is_dir(), reason="the complete games are not beside the repository")
@pytest.mark.parametrize("name", ["sentimentanalysis-n14-01", "imageclassifier-n14-03"])
def test_real_games_are_explained_on_masks_that_were_not_sampled(name):
    with np.load(GAMES / f"{name}.npz") as game:
        table = np.asarray(game["values"], dtype=np.float64)
    n = table.size.bit_length() - 1
    design = coded_design(n, 1000, 3)
    index = design.masks @ (1 << np.arange(n))
    found = spex(design, table[index])
    held_out = np.setdiff1d(np.arange(table.size), index)
    rest = found(all_masks(n)[held_out]) - table[held_out]
    assert np.var(rest) / np.var(table[held_out]) < 0.05


# bad input -----------------------------------------------------------------------------------------


def test_another_kind_of_design_is_refused():
    design = uniform(20, 100)
    with pytest.raises(InputError, match=r"of kind 'uniform'.*designs.spex.*'proxyspex'"):
        spex(design, np.zeros(100))
    custom = MaskDesign(design.masks, 0)
    with pytest.raises(InputError, match="of kind 'custom'"):
        spex(custom, np.zeros(100))


def test_masks_that_are_not_the_structures_are_refused():
    design = coded_design(20, 700)
    shuffled = replace(design, masks=np.random.default_rng(0).permutation(design.masks))
    shorter = replace(design, masks=design.masks[:-1])
    wider = replace(design, masks=np.pad(design.masks, ((0, 0), (0, 1))), keep_rates=None)
    for wrong in (shuffled, shorter, wider):
        with pytest.raises(InputError, match="masks are not those that its structure describes"):
            spex(wrong, np.arange(len(wrong), dtype=float))


def test_values_that_do_not_fit_are_refused():
    design = coded_design(20, 700)
    m = len(design)
    with pytest.raises(InputError, match=rf"shape \({m - 1},\), expected \({m},\)"):
        spex(design, np.zeros(m - 1))
    values = np.arange(m, dtype=float)
    for wrong in (np.nan, np.inf):
        values[7] = wrong
        with pytest.raises(InputError, match="mask 7 is not finite"):
            spex(design, values)
