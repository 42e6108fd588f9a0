"""Games to and from shapiq."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech import features
from spex_mech.core.errors import InputError

shapiq = pytest.importorskip("shapiq", reason="shapiq is a peer, installed with the extra 'dev'")


def value(texts):
    return [2.0 * ("a" in t) - ("b" in t) + 3 * ("a" in t and "c" in t) + 0.5 for t in texts]


def test_our_game_in_shapiqs_approximators():
    game = features.text(value, "a b c d e", level="word")
    theirs = features.to_shapiq(game)
    exact = theirs.exact_values("SII", 2)
    ours = sm.interactions(sm.exact_spectrum(game(sm.designs.exhaustive(5).masks)), "SII", 2).values
    for players, own in ours.items():
        assert exact[players] == pytest.approx(own, abs=1e-9)
    kernel = shapiq.KernelSHAP(n=5, random_state=0).approximate(32, theirs)
    shapley = sm.interactions(
        sm.exact_spectrum(game(sm.designs.exhaustive(5).masks)), "Shapley"
    ).values
    for i in range(5):
        assert kernel[(i,)] == pytest.approx(shapley.get((i,), 0.0), abs=1e-6)
    assert theirs.player_name_lookup["a"] == 0
    assert theirs(np.zeros((1, 5), dtype=bool))[0] == 0  # counted from the empty text's 0.5


class Tree(shapiq.Game):
    """A sum of two conjunctions."""

    def __init__(self):
        super().__init__(12, normalize=False)

    def value_function(self, coalitions):
        return (
            1.0 * coalitions[:, 0] * coalitions[:, 3]
            - 2.0 * coalitions[:, 5] * coalitions[:, 7]
            + 1
        )


def test_a_shapiq_game_in_our_decoders(tmp_path):
    game = features.from_shapiq(Tree())
    design = sm.designs.uniform(12, 300, seed=0)
    run = sm.evaluate(game, design, store=tmp_path / "s")
    spectrum = sm.decode(design, run.values, method="proxyspex", seed=0)
    held = sm.designs.uniform(12, 400, seed=9).masks
    assert sm.faithfulness(spectrum, held, Tree()(held)) > 0.999
    assert game.players.names[:2] == ["player 0", "player 1"]
    assert sm.evaluate(features.from_shapiq(Tree()), design, store=tmp_path / "s").evaluated == 0
    top = sm.interactions(spectrum, "Moebius", 2).joint(2)
    assert [s for s, _ in top] == [(5, 7), (0, 3)]


def test_there_and_back():
    game = features.text(value, "a b c d e", level="word")
    back = features.from_shapiq(features.to_shapiq(game))
    masks = sm.designs.exhaustive(5).masks
    np.testing.assert_allclose(back(masks), game(masks) - 0.5)
    assert back.players.names == game.players.names


def test_what_is_no_game():
    with pytest.raises(InputError, match="is not a shapiq Game"):
        features.from_shapiq(len)
