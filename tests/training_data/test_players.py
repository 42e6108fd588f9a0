from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.core.masks import all_masks
from spex_mech.core.players import PlayerSet
from spex_mech.training_data import (
    Coalitions,
    Examples,
    by_class,
    by_cluster,
    by_example,
    by_group,
)


def test_every_example_is_a_player(train: Examples):
    made = by_example(train)
    masks = np.random.default_rng(0).random((6, len(train))) < 0.5
    np.testing.assert_array_equal(made.subsets(masks), masks)
    assert made.players.names[4] == "#4 b"


def test_examples_of_no_player_always_stay(train: Examples):
    made = by_example(train, rows=[3, 7])
    subsets = made.subsets(all_masks(2))
    others = np.setdiff1d(np.arange(len(train)), [3, 7])
    assert subsets[:, others].all()
    np.testing.assert_array_equal(subsets[:, [3, 7]], all_masks(2))


def test_a_group_comes_and_goes_together(train: Examples):
    groups = [None if i < 2 else f"source {i % 3}" for i in range(len(train))]
    made = by_group(train, groups)
    assert made.players.names == ["source 2", "source 0", "source 1"]
    subsets = made.subsets(np.array([[True, False, False]]))
    np.testing.assert_array_equal(subsets[0], [i < 2 or i % 3 == 2 for i in range(len(train))])
    np.testing.assert_array_equal(made.members[0], np.flatnonzero(subsets[0])[2:])


def test_a_class_is_a_player(train: Examples):
    made = by_class(train)
    assert made.players.names == ["a", "b", "c"]
    subset = made.subsets(np.array([[True, False, True]]))[0]
    np.testing.assert_array_equal(subset, train.labels != 1)
    np.testing.assert_array_equal(made.class_of(train), [0, 1, 2])


def test_clusters_part_the_examples_and_mix_no_labels(train: Examples):
    made = by_cluster(train, 7, seed=0)
    assert made.players.n == 7
    assert sorted(np.concatenate(made.members).tolist()) == list(range(len(train)))
    for rows in made.members:
        assert len(set(train.labels[rows])) == 1


def test_clusters_find_what_lies_together():
    inputs = np.repeat([[0.0, 0.0], [9.0, 9.0], [0.0, 9.0], [9.0, 0.0]], 3, axis=0)
    inputs += np.random.default_rng(0).normal(scale=0.1, size=inputs.shape)
    made = by_cluster(Examples(inputs, np.repeat([0, 1], 6), ("a", "b")), 4, seed=0)
    assert {tuple(rows.tolist()) for rows in made.members} == {
        (0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)
    }  # fmt: skip


def test_bad_coalitions_are_refused(train: Examples):
    with pytest.raises(InputError, match="distinct positions"):
        by_example(train, rows=[1, 1])
    with pytest.raises(InputError, match="2 groups for 24"):
        by_group(train, ["a", "b"])
    with pytest.raises(InputError, match="2 clusters of 24"):
        by_cluster(train, 2, seed=0)
    with pytest.raises(InputError, match="player 'q' has no examples"):
        Coalitions(PlayerSet.from_names(["p", "q"]), np.zeros(3, dtype=int))
    with pytest.raises(InputError, match="owners run from"):
        Coalitions(PlayerSet.from_names(["p"]), np.array([0, 1]))
