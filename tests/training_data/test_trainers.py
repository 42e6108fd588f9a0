from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from spex_mech.core.errors import InputError
from spex_mech.training_data import Examples, SklearnTrainer, Trainer, TrainFunction


def subset(train: Examples, rows) -> np.ndarray:
    return np.isin(np.arange(len(train)), rows)[None]


def test_logistic_regression_equals_its_own_fit(train: Examples, test: Examples):
    rows = np.arange(0, 24, 2)
    trainer = SklearnTrainer(LogisticRegression())
    found = trainer.outputs(train, test, subset(train, rows), seed=0)
    alone = LogisticRegression().fit(train.inputs[rows], train.labels[rows])
    np.testing.assert_allclose(found[0], alone.predict_log_proba(test.inputs), atol=1e-6)
    assert isinstance(trainer, Trainer)


def test_a_class_that_a_subset_lacks_has_the_least_score(train: Examples, test: Examples):
    present = (train.labels != 1)[None]
    found = SklearnTrainer(LogisticRegression()).outputs(train, test, present, seed=0)[0]
    np.testing.assert_allclose(found[:, 1], np.log(1e-6))
    np.testing.assert_allclose(np.exp(found[:, [0, 2]]).sum(axis=1), 1.0, atol=1e-5)
    found = SklearnTrainer(RidgeClassifier()).outputs(train, test, present, seed=0)[0]
    np.testing.assert_allclose(found[:, 1], -1.0)


@pytest.mark.parametrize("estimator", [LogisticRegression(), LinearSVC()])
def test_one_class_and_none(train: Examples, test: Examples, estimator):
    subsets = np.concatenate([(train.labels == 2)[None], np.zeros((1, len(train)), bool)])
    one, none = SklearnTrainer(estimator).outputs(train, test, subsets, seed=0)
    np.testing.assert_array_equal(one.argmax(axis=1), 2)
    np.testing.assert_array_equal(none, 0.0)


def test_two_class_decision_values_have_both_signs():
    inputs = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    data = Examples(inputs, np.array([0, 0, 1, 1]), ("n", "p"))
    found = SklearnTrainer(LinearSVC()).outputs(data, data, np.ones((1, 4), bool), seed=0)[0]
    np.testing.assert_array_equal(found[:, 0], -found[:, 1])
    np.testing.assert_array_equal(found.argmax(axis=1), data.labels)


def test_the_seed_reaches_the_estimator(train: Examples, test: Examples):
    trainer = SklearnTrainer(make_pipeline(DecisionTreeClassifier(max_features=1, max_depth=2)))
    every = np.ones((1, len(train)), dtype=bool)
    first, again, other = (trainer.outputs(train, test, every, seed=s) for s in (0, 0, 5))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_pipelines_may_read_texts():
    texts = ("good film", "bad film", "good food", "bad food")
    data = Examples(np.zeros((4, 1)), np.array([1, 0, 1, 0]), ("bad", "good"), texts)
    trainer = SklearnTrainer(make_pipeline(CountVectorizer(), LogisticRegression()), texts=True)
    found = trainer.outputs(data, data, np.ones((1, 4), bool), seed=0)[0]
    np.testing.assert_array_equal(found.argmax(axis=1), data.labels)
    bare = Examples(data.inputs, data.labels, data.classes)
    with pytest.raises(InputError, match="texts=True needs examples with texts"):
        trainer.outputs(bare, bare, np.ones((1, 4), bool), seed=0)


def test_a_failing_fit_names_the_subset(train: Examples, test: Examples):
    trainer = SklearnTrainer(KNeighborsClassifier(n_neighbors=5))
    with pytest.raises(InputError, match=r"KNeighbors.* subset of 2 examples, first rows \[0, 1\]"):
        trainer.outputs(train, test, subset(train, [0, 1]), seed=0)


def test_estimators_without_scores_are_refused():
    from sklearn.cluster import KMeans

    with pytest.raises(InputError, match="KMeans has neither"):
        SklearnTrainer(KMeans())


def test_keys_tell_settings_apart():
    keys = [dict(SklearnTrainer(LogisticRegression(C=c)).key) for c in (1.0, 1.0, 2.0)]
    assert keys[0] == keys[1] != keys[2]


def test_a_function_is_a_trainer(train: Examples, test: Examples):
    seen = []

    def count(rows: np.ndarray, seed: int) -> np.ndarray:
        seen.append((rows.tolist(), seed))
        return np.full((len(test), 3), len(rows) + seed)

    trainer = TrainFunction(count, "count v1")
    found = trainer.outputs(train, test, subset(train, [2, 9]), seed=7)
    assert seen == [([2, 9], 7)]
    np.testing.assert_array_equal(found, np.full((1, 5, 3), 9.0, dtype=np.float32))
    assert trainer.key == {"trainer": "function count v1"}


def test_a_function_must_score_all_points_and_classes(train: Examples, test: Examples):
    trainer = TrainFunction(lambda rows, seed: np.zeros((2, 3)), "short")
    with pytest.raises(InputError, match=r"shape \(2, 3\), expected \(5, 3\)"):
        trainer.outputs(train, test, subset(train, [0]), seed=0)
