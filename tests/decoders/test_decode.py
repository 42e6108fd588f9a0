"""The entry to all decoders and the choice among them."""

import numpy as np
import pytest

from spex_mech import designs
from spex_mech.core.errors import InputError
from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.interactions import interactions
from spex_mech.core.masks import all_masks
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum
from spex_mech.decoders.auto import auto
from spex_mech.decoders.decode import decode
from spex_mech.decoders.lasso import lasso
from spex_mech.decoders.proxyspex import proxyspex
from spex_mech.decoders.spex.expected_r2 import spex_r2, subsampling_of
from spex_mech.decoders.stack.decode import stack
from spex_mech.designs import MaskDesign


def additive(masks):
    return masks @ np.linspace(-1.0, 2.0, masks.shape[1])


def peak(n, terms, seed, degree=5):
    """Random sets of five players and nothing else."""
    rng = np.random.default_rng(seed)
    sets = [rng.choice(n, degree, replace=False) for _ in range(terms)]
    return Spectrum.from_supports(sets, np.ones(terms), n)


def test_methods_are_their_functions():
    design = designs.uniform(8, 60, seed=0)
    values = additive(design.masks)
    assert dict(decode(design, values, method="lasso", order=1)) == dict(
        lasso(design, values, order=1)
    )
    assert dict(decode(design, values, method="proxyspex", seed=3)) == dict(
        proxyspex(design, values, seed=3)
    )
    assert dict(decode(design, values, method="stack", seed=3, terms=9)) == dict(
        stack(design, values, seed=3, terms=9)
    )


@pytest.mark.parametrize("method", ["auto", "exact"])
def test_all_masks_in_any_order_are_transformed_exactly(method):
    table = np.random.default_rng(0).normal(size=32)
    order = np.random.default_rng(1).permutation(32)
    masks = np.vstack([all_masks(5)[order], all_masks(5)[:3]])  # and three of them twice
    values = np.concatenate([table[order], table[:3]])
    found = dict(decode(MaskDesign(masks, 0), values, method=method))
    assert found == pytest.approx(dict(exact_spectrum(table)))


def test_auto_stacks_and_says_what_to_expect():
    design = designs.uniform(14, 120, seed=0)
    spectrum = decode(design, additive(design.masks))
    assert spectrum.info["method"] == "stack"
    assert faithfulness(spectrum, all_masks(14), additive(all_masks(14))) > 0.999
    message = spectrum.info["message"]
    assert message.startswith("chose to stack: stack of gp")
    assert f"expect R² {spectrum.info['r2_cv']:.3f}" in message and "\n" not in message


def test_auto_with_hardly_any_masks():
    design = designs.uniform(10, 5, seed=0)
    spectrum = decode(design, additive(design.masks))
    assert spectrum.info["method"] == "walsh_gp"
    assert np.isfinite(spectrum(all_masks(10))).all()


def test_high_degree_without_low_order_structure_is_named():
    design = designs.uniform(40, 150, seed=0)
    message = decode(design, peak(40, 10, 0)(design.masks)).info["message"]
    assert message.startswith("nothing here predicts masks it has not seen")
    assert "interactions of high degree" in message and "Noise looks like this" in message
    assert "the values take only" in message
    budget = int(message.split("designs.spex(40, ")[1].split(")")[0])
    coded = designs.spex(40, budget, seed=0)
    found = decode(coded, peak(40, 10, 0)(coded.masks))
    assert found.info["method"] == "spex"
    assert found.info["r2_cv"] == pytest.approx(1.0) and dict(found) == pytest.approx(
        dict(peak(40, 10, 0))
    )


def test_repeated_masks_tell_noise_from_structure():
    masks = designs.uniform(30, 100, seed=0).masks
    design = MaskDesign(np.vstack([masks, masks[:20]]), 0)
    message = decode(design, peak(30, 5, 1)(design.masks)).info["message"]
    assert "20 masks evaluated again gave the same values, so it is not noise" in message
    noise = decode(design, np.random.default_rng(0).normal(size=120)).info["message"]
    share = int(noise.split("put noise at ")[1].split(" %")[0])
    assert share >= 50 and "nothing here predicts" in noise


def test_few_players_are_told_to_take_all_masks():
    design = designs.uniform(9, 100, seed=0)
    message = decode(design, np.random.default_rng(0).normal(size=100)).info["message"]
    assert "designs.exhaustive(9)" in message
    assert "no mask was evaluated twice" in message


def test_one_value_that_is_all_the_variance_is_named():
    design = designs.uniform(12, 60, seed=0)
    values = additive(design.masks)
    values[7] = 1e4
    message = decode(design, values).info["message"]
    assert "value 10000 of mask 7 makes up" in message


def test_an_abrupt_end_is_known_and_does_not_spoil_the_fit():
    terms = Spectrum.from_supports([(), (0,), (1, 4), (2, 5)], [1.0, 0.5, -0.7, 0.4], 10)
    table = terms(all_masks(10))
    smooth = table.copy()
    table[0] = -200.0  # what the game is worth to nobody
    design = designs.uniform(10, 120, ends=True, seed=1)
    rows = design.masks @ (1 << np.arange(10))
    found = decode(design, table[rows], method="walsh_gp")
    assert np.abs(found(all_masks(10)[1:]) - smooth[1:]).max() < 0.2  # the decoder has not seen it
    truth = interactions(exact_spectrum(table), "Shapley").values
    shapley = interactions(found, "Shapley")
    for player, value in truth.items():
        assert shapley.values[player] == pytest.approx(value, abs=0.05)
        assert abs(shapley.values[player] - value) < 4 * shapley.std[player]
    assert shapley.baseline == pytest.approx(-200.0)
    # Without it, the deviation allows for an end as far off as the values' range is wide.
    inner = MaskDesign(design.masks[2:], 1, "uniform", design.keep_rates)
    blind = interactions(decode(inner, table[rows[2:]], method="walsh_gp"), "Shapley")
    assert min(blind.std.values()) > np.ptp(table[rows[2:]]) / 10


def test_coded_design_of_a_game_that_spex_cannot_decode():
    rng = np.random.default_rng(0)
    dense = Spectrum.from_supports(
        [(i, j) for i in range(16) for j in range(i)] + [(i,) for i in range(16)],
        rng.normal(size=136),
        16,
    )
    design = designs.spex(16, 400, seed=0)
    spectrum = decode(design, dense(design.masks))
    assert spectrum.info["method"] == "stack"
    assert "by R² on masks held out (spex" in spectrum.info["message"]
    test = designs.uniform(16, 3000, seed=1).masks
    spex = faithfulness(decode(design, dense(design.masks), method="spex"), test, dense(test))
    assert faithfulness(spectrum, test, dense(test)) > spex + 0.05


def test_r2_to_expect_of_spex_is_cautious():
    design = designs.spex(30, 1500, seed=0)
    test = designs.uniform(30, 4000, seed=1).masks
    rng = np.random.default_rng(0)
    for game, noise in ((peak(30, 8, 0), 0.0), (peak(30, 8, 1), 1.0), (peak(30, 1, 2), 30.0)):
        values = game(design.masks) + noise * rng.normal(size=len(design))
        found = decode(design, values, method="spex")
        true = faithfulness(found, test, game(test) + noise * rng.normal(size=len(test)))
        assert true - 0.15 < spex_r2(design, values, found) < true + 0.05


def test_subsamplings_are_found_again():
    design = designs.spex(30, 1500, seed=0)
    group = subsampling_of(design)
    for k, rows in enumerate(design.structure.rows):
        assert (group[rows] <= k).all()
        assert set(np.flatnonzero(group == k)) <= set(rows.ravel())


def test_auto_leaves_pairs_out_where_they_do_not_fit():
    design = designs.uniform(600, 60, seed=0)
    values = additive(design.masks)
    with pytest.raises(InputError, match="do not fit in memory"):
        lasso(design, values, order=3)
    assert decode(design, values).info["method"] == "stack"


def test_constant_values_are_an_answer():
    for method in ("auto", "lasso", "proxyspex", "stack"):
        design = designs.uniform(6, 20, seed=0)
        assert dict(decode(design, np.full(20, 1.5), method=method)) == {(): 1.5}
    twice = MaskDesign(np.vstack([design.masks] * 2), 0)
    noise = auto(twice, np.repeat([1.0, 2.0], 20))
    assert dict(noise) == {(): 1.5} and "nothing but noise" in noise.info["message"]


def test_bad_input_is_named():
    design = designs.uniform(6, 20, seed=0)
    values = additive(design.masks)
    with pytest.raises(
        InputError, match="'magic', expected one of auto, walsh_gp, stack, proxyspex, spex, lasso"
    ):
        decode(design, values, method="magic")
    with pytest.raises(InputError, match="20 distinct masks, the exact transform needs all 2\\^6"):
        decode(design, values, method="exact")
    with pytest.raises(InputError, match="expected \\(20,\\)"):
        decode(design, values[:-1])
    with pytest.raises(InputError, match="spex"):
        decode(design, values, method="spex")
    with pytest.raises(InputError, match="of kind 'uniform'"):
        subsampling_of(design)
