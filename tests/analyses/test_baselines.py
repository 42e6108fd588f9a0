"""The baselines against exact indices and scikit-learn."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from spex_mech import designs
from spex_mech.core.errors import InputError
from spex_mech.core.interactions import interactions
from spex_mech.core.masks import all_masks
from spex_mech.core.transform import exact_spectrum
from spex_mech.designs import MaskDesign

_PATH = Path(__file__).parents[2] / "analyses" / "benchmarks" / "baselines.py"
_BASELINES = runpy.run_path(str(_PATH))
faith_banzhaf, kernel_shap, lime = (
    _BASELINES[name] for name in ("faith_banzhaf", "kernel_shap", "lime")
)

TABLE = np.random.default_rng(0).normal(size=64)
EXACT = exact_spectrum(TABLE)
ALL = designs.exhaustive(6)


def test_lime_is_sklearns_weighted_ridge():
    design = designs.uniform(6, 40, seed=0)
    values = EXACT(design.masks)
    cosine = design.masks.sum(axis=1) / np.sqrt(6 * np.maximum(design.masks.sum(axis=1), 1))
    weights = np.sqrt(np.exp(-((1 - cosine) ** 2) / 0.25**2))
    model = Ridge(alpha=1.0).fit(design.masks, values, sample_weight=weights)
    expected = model.predict(all_masks(6))
    np.testing.assert_allclose(lime(design, values)(all_masks(6)), expected, atol=1e-10)
    with pytest.raises(InputError, match="positive"):
        lime(design, values, kernel_width=0.0)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_faith_banzhaf_on_all_masks_is_the_index(order):
    fitted = faith_banzhaf(ALL, TABLE, order=order)
    found = interactions(fitted, "FBII", order).values
    assert found == pytest.approx(interactions(EXACT, "FBII", order).values, abs=1e-10)


def test_faith_banzhaf_recovers_a_function_of_its_order():
    low = exact_spectrum(np.arange(64.0) ** 2)  # (sum_i 2^i x_i)^2 has pairs only
    design = designs.biased(6, 200, keep_rate=0.7, seed=0)
    found = faith_banzhaf(design, low(design.masks), order=2)
    np.testing.assert_allclose(found(all_masks(6)), np.arange(64.0) ** 2, atol=1e-7)
    with pytest.raises(InputError, match="order is 7"):
        faith_banzhaf(design, low(design.masks), order=7)


def test_kernel_shap_on_all_masks_is_the_shapley_value():
    found = kernel_shap(ALL, TABLE)
    assert found.values == pytest.approx(interactions(EXACT, "Shapley").values, abs=1e-10)
    assert found.baseline == TABLE[0]


def test_kernel_shap_is_exact_for_games_of_pairs_on_paired_masks():
    """Covert and Lee 2021: pairing removes the even part, so pairs do no harm."""
    table = np.arange(64.0) ** 2
    spectrum = exact_spectrum(table)
    design = designs.paired(6, 40, seed=0)
    found = kernel_shap(design, spectrum(design.masks), empty=table[0], full=table[-1])
    assert found.values == pytest.approx(interactions(spectrum, "Shapley").values, abs=1e-8)


def replicated(counts_by_size: list[int], kind: str, keep_rate: float) -> MaskDesign:
    """All masks of four players, each as often as a design draws masks of its size."""
    masks = all_masks(4)
    times = np.array(counts_by_size)[masks.sum(axis=1)]
    return MaskDesign(np.repeat(masks, times, axis=0), 0, kind, np.full(4, keep_rate))


@pytest.mark.parametrize(
    "design",
    [
        replicated([16, 24, 36, 54, 81], "biased", 0.6),  # 10,000 * 0.6^k 0.4^(4 - k) / 16
        replicated([1, 2, 1, 2, 1], "stratified", 0.5),  # a size's share is 1 / (k (4 - k))
        replicated([1, 1, 1, 1, 1], "uniform", 0.5),
    ],
    ids=lambda d: d.kind,
)
def test_kernel_shap_weighs_masks_by_how_they_were_drawn(design: MaskDesign):
    table = TABLE[:16]
    values = table[design.masks @ (1 << np.arange(4))]
    exact = interactions(exact_spectrum(table), "Shapley").values
    assert kernel_shap(design, values).values == pytest.approx(exact, abs=1e-10)


def test_kernel_shap_needs_both_ends():
    with pytest.raises(InputError, match="mask of no players"):
        kernel_shap(MaskDesign(all_masks(3)[1:], 0), np.arange(7.0))
    with pytest.raises(InputError, match="mask of all players"):
        kernel_shap(MaskDesign(all_masks(3)[:-1], 0), np.arange(7.0))
    one = kernel_shap(designs.exhaustive(1), np.array([1.0, 4.0]))
    assert one.values == {(0,): 3.0}
