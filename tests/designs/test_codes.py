import itertools

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.core.masks import pack, unpack
from spex_mech.designs.codes import BCHCode, IdentityCode, source_code, xor_of


def rows_of(sets, t):
    rows = np.full((len(sets), t), -1, dtype=np.int64)
    for row, members in zip(rows, sets, strict=True):
        row[: len(members)] = sorted(members, reverse=True)
    return rows


def sets_of(decoded):
    return [frozenset(row[row >= 0].tolist()) for row in decoded.players]


def test_known_generator_polynomials():
    # Lin and Costello, table 6.4: the (15, 7) code of t = 2 and the (15, 5) code of t = 3.
    for n, t, generator in [(7, 2, 0b111010001), (5, 3, 0b10100110111)]:
        code = BCHCode(n, t)
        assert code.field.m == 4
        assert code.parity == generator.bit_length() - 1
        assert int(code.columns[0, 0]) == generator ^ (1 << code.parity)


@pytest.mark.parametrize(
    ("n", "t", "m", "parity"),
    [(92, 5, 7, 35), (93, 5, 8, 40), (100, 5, 8, 40), (500, 5, 10, 50), (1000, 5, 11, 55)],
)
def test_parities_of_the_shortest_code(n, t, m, parity):
    code = BCHCode(n, t)
    assert (code.field.m, code.parity) == (m, parity)


@pytest.mark.parametrize(("n", "t"), [(14, 3), (30, 2), (10, 4), (40, 1)])
def test_bch_corrects_every_pattern_of_players_and_wrong_bits(n, t):
    code = BCHCode(n, t)
    length = code.parity + n
    patterns = [c for k in range(t + 1) for c in itertools.combinations(range(length), k)]
    if len(patterns) > 40_000:
        patterns = patterns[:: len(patterns) // 40_000]
    sets = [frozenset(p - code.parity for p in c if p >= code.parity) for c in patterns]
    wrong = np.zeros((len(patterns), code.parity), dtype=bool)
    for row, c in zip(wrong, patterns, strict=True):
        row[[p for p in c if p < code.parity]] = True
    decoded = code.decode(xor_of(code.columns, rows_of(sets, t)) ^ pack(wrong))
    assert decoded.decodable.all()
    assert sets_of(decoded) == sets


@pytest.mark.parametrize(("n", "t"), [(1000, 5), (1000, 7), (60, 5)])
def test_bch_corrects_random_patterns(n, t):
    rng = np.random.default_rng(n + t)
    code = BCHCode(n, t)
    sizes = rng.integers(0, t + 1, 600)
    sets = [frozenset(rng.choice(n, size, replace=False).tolist()) for size in sizes]
    wrong = np.zeros((len(sets), code.parity), dtype=bool)
    for row, size in zip(wrong, sizes, strict=True):
        row[rng.choice(code.parity, rng.integers(0, t - size + 1), replace=False)] = True
    decoded = code.decode(xor_of(code.columns, rows_of(sets, t)) ^ pack(wrong))
    assert decoded.decodable.all()
    assert sets_of(decoded) == sets


def test_bch_finds_a_set_exactly_where_there_is_one():
    code = BCHCode(9, 2)
    reachable = {}
    for size in range(3):
        for places in itertools.combinations(range(code.parity + 9), size):
            members = frozenset(p - code.parity for p in places if p >= code.parity)
            wrong = np.zeros((1, code.parity), dtype=bool)
            wrong[0, [p for p in places if p < code.parity]] = True
            syndrome = xor_of(code.columns, rows_of([members], 2)) ^ pack(wrong)
            reachable[int(syndrome[0, 0])] = members
    syndromes = np.arange(1 << code.parity, dtype=np.uint64)
    decoded = code.decode(syndromes[:, None])
    assert set(np.flatnonzero(decoded.decodable).tolist()) == set(reachable)
    for syndrome, found, members in zip(
        syndromes, decoded.decodable, sets_of(decoded), strict=True
    ):
        assert members == (reachable[int(syndrome)] if found else frozenset())


def test_decoding_does_not_depend_on_what_else_is_decoded():
    code = BCHCode(300, 4)
    rng = np.random.default_rng(0)
    syndromes = pack(rng.random((200, code.parity)) < 0.1)
    together = code.decode(syndromes)
    for row in range(0, 200, 7):
        alone = code.decode(syndromes[row : row + 1])
        assert alone.decodable[0] == together.decodable[row]
        np.testing.assert_array_equal(alone.players[0], together.players[row])


def test_no_syndromes_give_no_sets():
    decoded = BCHCode(50, 3).decode(np.empty((0, 1), dtype=np.uint64))
    assert decoded.players.shape == (0, 3)
    assert decoded.decodable.shape == (0,)


def test_identity_code_reads_the_bits():
    code = source_code(12, 5)
    assert isinstance(code, IdentityCode)
    bits = unpack(np.arange(1 << 12, dtype=np.uint64)[:, None], 12)
    decoded = code.decode(pack(bits))
    np.testing.assert_array_equal(decoded.decodable, bits.sum(axis=1) <= 5)
    for row, found, members in zip(bits, decoded.decodable, sets_of(decoded), strict=True):
        assert members == (frozenset(np.flatnonzero(row).tolist()) if found else frozenset())


@pytest.mark.parametrize("n", [1, 2, 27, 28, 92, 93, 215, 216])
def test_the_shorter_code_is_chosen(n):
    code = source_code(n, 5)
    assert code.parity <= n
    assert code.t == min(n, 5)
    assert isinstance(code, IdentityCode if n <= 27 else BCHCode)
    assert len(np.unique(code.columns, axis=0)) == n


def test_sizes_without_a_code_are_refused():
    with pytest.raises(InputError, match="at least 1 player and degree 1, got n=5 and t=0"):
        source_code(5, 0)
    with pytest.raises(InputError, match="fewer players or a smaller max_degree"):
        source_code(1 << 16, 5)
