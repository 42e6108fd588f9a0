from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.training_data import Examples, Vocabulary
from spex_mech.training_data.examples import check_pair


def make(**change) -> Examples:
    parts = {
        "inputs": np.arange(6.0).reshape(3, 2),
        "labels": np.array([0, 1, 1]),
        "classes": ("cat", "dog"),
    }
    return Examples(**{**parts, **change})


def test_labels_that_do_not_match_the_inputs_are_refused():
    with pytest.raises(InputError, match=r"labels have shape \(2,\).*3 inputs"):
        make(labels=np.array([0, 1]))


def test_labels_that_are_no_class_are_named():
    with pytest.raises(InputError, match=r"example 2 has label 2.*2 classes cat, dog"):
        make(labels=np.array([0, 1, 2]))
    with pytest.raises(InputError, match="example 0 has label -1"):
        make(labels=np.array([-1, 1, 1]))


def test_labels_must_be_integers():
    with pytest.raises(InputError, match="float64"):
        make(labels=np.array([0.0, 1.0, 1.0]))


def test_inputs_must_be_finite_and_there():
    with pytest.raises(InputError, match="input of example 1 is not finite"):
        make(inputs=np.array([[0.0, 1.0], [np.nan, 1.0], [0.0, 0.0]]))
    with pytest.raises(InputError, match=r"shape \(0, 2\)"):
        make(inputs=np.empty((0, 2)), labels=np.empty(0, dtype=int))


def test_texts_go_with_the_inputs():
    with pytest.raises(InputError, match="2 texts beside 3 inputs"):
        make(texts=("a", "b"))
    examples = make(texts=("a", "b", "c" * 100))
    assert examples.name(0) == "cat: a"
    assert examples.name(2) == "dog: " + "c" * 57 + "..."


def test_take_and_join_keep_rows_together():
    examples = make(texts=("a", "b", "c"))
    assert examples.take([2, 0]).texts == ("c", "a")
    np.testing.assert_array_equal(examples.take([2, 0]).labels, [1, 0])
    both = examples.take(np.array([True, False, False])).join(examples)
    assert both.texts == ("a", "a", "b", "c")
    np.testing.assert_array_equal(both.inputs[:, 0], [0, 0, 2, 4])
    with pytest.raises(InputError, match="not all among the 3"):
        examples.take([3])


def test_fingerprint_changes_with_every_part():
    base = make()
    others = [
        make(inputs=np.arange(6.0).reshape(3, 2) + np.eye(3, 2)),
        make(labels=np.array([1, 1, 1])),
        make(classes=("cat", "cow")),
    ]
    assert make().fingerprint == base.fingerprint
    assert len({base.fingerprint, *(x.fingerprint for x in others)}) == 4


def test_train_and_test_must_go_together():
    with pytest.raises(InputError, match="classes differ"):
        check_pair(make(), make(classes=("cat", "cow")))
    with pytest.raises(InputError, match=r"\(2,\).*\(3,\)"):
        check_pair(make(), make(inputs=np.zeros((3, 3))))


def test_texts_as_inputs_are_refused_with_a_remedy_that_works():
    texts = ["a cat sat", "a dog", "dogs"]
    with pytest.raises(InputError, match=r"Vocabulary\.of\(texts\)\.encode\(texts, length\)"):
        make(inputs=np.array(texts))
    assert len(make(inputs=Vocabulary.of(texts).encode(texts, 4))) == 3
