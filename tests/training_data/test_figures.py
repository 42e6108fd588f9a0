from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.training_data import (
    Examples,
    attribute,
    by_example,
    joint_figure,
    load_trainings,
    reviews,
    selection_figure,
)


def attributions(n: int = 6):
    x = np.random.default_rng(0).random((300, n)) < 0.5
    margins = np.stack([3.0 * (x[:, 0] & x[:, 1]), -2.0 * (x[:, 2] & x[:, 3])], axis=1)
    names = [f"#{i} {'ab'[i % 2]}" for i in range(n)]
    return attribute(load_trainings(x, margins, players=names), method="lasso")


def texts_of(figure) -> str:
    found = [t.get_text() for t in figure.texts]
    for axes in figure.axes:
        found += [axes.get_title(), axes.get_title(loc="left"), axes.get_xlabel()]
        found += [t.get_text() for t in axes.texts]
    return "\n".join(found)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (5,)])
def test_pairs_are_shown_with_labels_and_values(shape: tuple[int, ...]):
    rng = np.random.default_rng(0)
    train = Examples(rng.random((6, *shape)), np.arange(6) % 2, ("a", "b"))
    test = Examples(rng.random((2, *shape)), np.array([0, 1]), ("a", "b"))
    text = texts_of(joint_figure(attributions(), train, test, pairs=1))
    assert "together +3.0" in text or "together +2.9" in text
    assert "together -2.0" in text or "together -1.9" in text
    assert "#0, label a" in text
    assert "#3, label b" in text
    assert "test point 1" in text


def test_texts_are_shown():
    train, test = reviews(6, 2, seed=0)
    owned = by_example(train)
    found = attributions()
    trainings = load_trainings(
        np.random.default_rng(0).random((50, 6)) < 0.5, np.random.default_rng(1).random((50, 2)),
        players=owned.players,
    )  # fmt: skip
    named = attribute(trainings, method="lasso")
    shown = texts_of(joint_figure(named, train, test)).replace("\n", " ")
    assert test.texts[0] in shown
    with pytest.raises(InputError, match="other players"):
        joint_figure(found, train, test)


def test_volumes_are_not_images():
    data = Examples(np.zeros((6, 2, 2, 2, 2)), np.arange(6) % 2, ("a", "b"))
    with pytest.raises(InputError, match="no images"):
        joint_figure(attributions(), data, data)


def test_selection_curves_have_their_names():
    sizes = np.array([10, 20])
    curves = {"random": (sizes, [0.5, 0.6], [0.4, 0.5], [0.6, 0.7])}
    axes = selection_figure(curves).axes[0]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["random"]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), sizes)
