"""What each layer keeps, against definitions written out; and the even form."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spex_mech.core.layer_rules import LAYER_RULES
from spex_mech.exporting.cuts import cuts, filled, is_even


@st.composite
def models(draw):
    """Random gates of a model of up to 4 layers, 3 key/value heads, 3 query heads on each."""
    layers, kv, size = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    bits = st.lists(st.booleans(), min_size=layers * kv * size, max_size=layers * kv * size)
    heads = np.array(draw(bits)).reshape(layers, kv * size)
    mlps, attention = (
        np.array(draw(st.lists(st.booleans(), min_size=layers, max_size=layers))) for _ in range(2)
    )
    heads &= attention[:, None]  # a layer that is removed has no heads
    mlps &= attention
    return heads, mlps, attention, size, draw(st.booleans())


@given(models())
def test_cuts_say_what_stays(model):
    heads, mlps, attention, size, biased = model
    found = cuts(heads, mlps, attention, group_size=size, biased=biased)
    left = [
        layer
        for layer in range(len(heads))
        if heads[layer].any() or mlps[layer] or (biased and attention[layer])
    ]
    assert [cut.layer for cut in found] == left
    for cut in found:
        row = heads[cut.layer].reshape(-1, size)
        assert cut.kv_heads == tuple(np.flatnonzero(row.any(axis=1)))
        assert cut.groups == tuple(n for n in row.sum(axis=1) if n)
        assert cut.heads == tuple(np.flatnonzero(heads[cut.layer]))
        assert cut.entry() == {
            "groups": [int(n) for n in row.sum(axis=1) if n],
            "bias": biased and bool(attention[cut.layer]),
            "mlp": bool(mlps[cut.layer]),
        }


@given(models())
def test_even_cuts_contain_the_given_ones_and_are_no_larger_than_needed(model):
    heads, mlps, attention, size, biased = model
    found = cuts(heads, mlps, attention, group_size=size, biased=biased)
    even = filled(found, LAYER_RULES["family"], heads.shape[1])
    if not found:
        assert even == []
        return
    assert is_even(even)
    n_kv = max([1, *(len(cut.kv_heads) for cut in found)])
    most = max([1, *(n for cut in found for n in cut.groups)])
    for before, after in zip(found, even, strict=True):
        assert after.layer == before.layer and after.mlp
        assert {*before.heads} <= {*after.heads}
        assert after.groups == (most,) * n_kv
        assert list(after.heads) == sorted({*after.heads})


def test_a_layer_that_computes_with_its_number_keeps_its_place():
    nothing = np.zeros((2, 4), dtype=bool), np.zeros(2, dtype=bool), np.zeros(2, dtype=bool)
    assert cuts(*nothing, group_size=2, biased=True) == []
    kept = cuts(*nothing, group_size=2, biased=True, numbered=True)
    assert [cut.entry() for cut in kept] == [{"groups": [], "bias": False, "mlp": False}] * 2
