"""Packed supports against Python sets."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spex_mech.core import packed as terms
from spex_mech.core.masks import unpack

N = 130
supports_of_any_size = st.lists(st.frozensets(st.integers(0, N - 1), max_size=6), max_size=40)


@settings(deadline=None)
@given(supports_of_any_size)
def test_pack_and_players_round_trip(supports):
    words = terms.pack_supports(supports, N)
    members = unpack(words, N)
    assert [frozenset(np.flatnonzero(row).tolist()) for row in members] == supports
    for degree in {len(s) for s in supports}:
        rows = terms.degrees(words) == degree
        expected = [sorted(s) for s in supports if len(s) == degree]
        assert terms.players_of(words[rows], degree).tolist() == expected


@settings(deadline=None)
@given(supports_of_any_size)
def test_group_finds_equal_rows(supports):
    distinct, inverse = terms.group(terms.pack_supports(supports, N))
    assert len(distinct) == len(set(supports))
    np.testing.assert_array_equal(distinct[inverse], terms.pack_supports(supports, N))


@settings(deadline=None)
@given(supports_of_any_size)
def test_combine_adds_up(supports):
    words, sums = terms.combine(terms.pack_supports(supports, N), np.ones(len(supports)))
    members = [frozenset(np.flatnonzero(row).tolist()) for row in unpack(words, N)]
    assert dict(zip(members, sums.tolist(), strict=True)) == Counter(supports)


def test_rows_of_the_same_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(terms, "_hash", lambda words: np.zeros(len(words), np.uint64))
    words = np.array([[3, 1], [4, 1], [3, 1], [3, 2]], dtype=np.uint64)
    distinct, inverse = terms.group(words)
    assert distinct.tolist() == [[3, 1], [4, 1], [3, 2]]
    assert inverse.tolist() == [0, 1, 0, 2]
