import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spex_mech.core.errors import InputError
from spex_mech.designs.gf2 import Field, gf2_rank


@st.composite
def field_and_elements(draw):
    m = draw(st.integers(2, 16))
    element = st.integers(0, (1 << m) - 1)
    return Field(m), draw(element), draw(element), draw(element)


def multiply_polynomials(a: int, b: int, modulus: int) -> int:
    """Schoolbook product of binary polynomials, reduced."""
    product = 0
    for i in range(b.bit_length()):
        if b >> i & 1:
            product ^= a << i
    while product.bit_length() >= modulus.bit_length():
        product ^= modulus << (product.bit_length() - modulus.bit_length())
    return product


@given(field_and_elements())
def test_field_axioms(case):
    field, a, b, c = case
    mul = field.mul
    assert mul(a, b) == mul(b, a)
    assert mul(a, mul(b, c)) == mul(mul(a, b), c)
    assert mul(a, b ^ c) == mul(a, b) ^ mul(a, c)
    assert mul(a, 1) == a
    assert mul(a, 0) == 0
    if a:
        assert mul(a, field.inv(a)) == 1


@given(field_and_elements())
def test_products_are_products_of_polynomials(case):
    field, a, b, _ = case
    assert field.mul(a, b) == multiply_polynomials(a, b, field.minimal_polynomial(1))


@pytest.mark.parametrize("m", range(2, 17))
def test_the_primitive_element_generates_the_field(m):
    field = Field(m)
    powers = field.exp[: field.order]
    assert len(np.unique(powers)) == field.order == 2**m - 1
    np.testing.assert_array_equal(field.log[powers], np.arange(field.order))


@pytest.mark.parametrize("m", [3, 4, 6, 8])
def test_minimal_polynomials_vanish_at_all_conjugates_and_nowhere_else(m):
    field = Field(m)
    for power in range(1, field.order, 2):
        polynomial = field.minimal_polynomial(power)
        value = np.zeros(field.order, dtype=np.int64)
        for i in range(polynomial.bit_length()):
            if polynomial >> i & 1:
                value ^= field.exp[np.arange(field.order) * i % field.order]
        roots = set(np.flatnonzero(value == 0).tolist())
        assert roots == {power * 2**i % field.order for i in range(m)}


@given(st.integers(1, 8), st.integers(1, 100), st.randoms(use_true_random=False))
def test_rank_is_the_dimension_of_the_row_space(rows, columns, random):
    matrix = np.array([[random.random() < 0.4 for _ in range(columns)] for _ in range(rows)])
    span = {
        (np.array(chosen) @ matrix % 2).tobytes()
        for chosen in itertools.product([0, 1], repeat=rows)
    }
    assert 2 ** gf2_rank(matrix) == len(span)
    assert gf2_rank(matrix.T) == gf2_rank(matrix)


@pytest.mark.parametrize("m", [1, 17])
def test_unsupported_field_sizes_are_refused(m):
    with pytest.raises(InputError, match="m must be 2 to 16"):
        Field(m)
