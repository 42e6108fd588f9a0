"""The entry to all decoders and the choice among them."""

from functools import partial

import numpy as np
import pytest

from spex_mech import designs
from spex_mech.decoders import decode, lasso, proxyspex
from spex_mech.decoders.auto import auto
from spex_mech.designs import MaskDesign
from spex_mech.errors import InputError
from spex_mech.masks import all_masks
from spex_mech.spectrum import Spectrum
from spex_mech.transform import exact_spectrum


def additive(masks):
    return masks @ np.linspace(-1.0, 2.0, masks.shape[1])


def test_methods_are_their_functions():
    design = designs.uniform(8, 60, seed=0)
    values = additive(design.masks)
    assert dict(decode(design, values, method="lasso", order=1)) == dict(
        lasso(design, values, order=1)
    )
    assert dict(decode(design, values, method="proxyspex", seed=3)) == dict(
        proxyspex(design, values, seed=3)
    )


@pytest.mark.parametrize("method", ["auto", "exact"])
def test_all_masks_in_any_order_are_transformed_exactly(method):
    table = np.random.default_rng(0).normal(size=32)
    order = np.random.default_rng(1).permutation(32)
    masks = np.vstack([all_masks(5)[order], all_masks(5)[:3]])  # and three of them twice
    values = np.concatenate([table[order], table[:3]])
    found = dict(decode(MaskDesign(masks, 0), values, method=method))
    assert found == pytest.approx(dict(exact_spectrum(table)))


def test_auto_says_what_it_chose():
    design = designs.uniform(20, 200, seed=0)
    linear = decode(design, additive(design.masks))
    assert linear.info["method"] == "lasso"
    assert "chose lasso by cross-validated R²" in linear.info["message"]
    deep = Spectrum.from_supports([(0,), (1,), (0, 1), (0, 1, 2), (2, 3)], [1, 1, 1, 2, 1], 20)
    assert decode(design, deep(design.masks)).info["method"] == "proxyspex"


def test_auto_leaves_lasso_out_where_it_does_not_fit(monkeypatch: pytest.MonkeyPatch):
    design = designs.uniform(1500, 300, seed=0)
    with pytest.raises(InputError, match="do not fit in memory"):
        lasso(design, additive(design.masks))
    monkeypatch.setitem(auto.__globals__, "proxyspex", partial(proxyspex, rounds=10))
    assert decode(design, additive(design.masks)).info["method"] == "proxyspex"


def test_constant_values_are_an_answer():
    for method in ("auto", "lasso", "proxyspex"):
        design = designs.uniform(6, 20, seed=0)
        assert dict(decode(design, np.full(20, 1.5), method=method)) == {(): 1.5}


def test_bad_input_is_named():
    design = designs.uniform(6, 20, seed=0)
    values = additive(design.masks)
    with pytest.raises(
        InputError, match="'magic', expected one of auto, walsh_gp, proxyspex, spex, lasso"
    ):
        decode(design, values, method="magic")
    with pytest.raises(InputError, match="20 distinct masks, the exact transform needs all 2\\^6"):
        decode(design, values, method="exact")
    with pytest.raises(InputError, match="expected \\(20,\\)"):
        decode(design, values[:-1])
    with pytest.raises(InputError, match="spex"):
        decode(design, values, method="spex")
