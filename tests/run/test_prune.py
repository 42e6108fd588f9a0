"""Kept sets of a run: what the files hold, and what the choice of a size is given."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import spex_mech as sm
from spex_mech.pruning.methods.model import gradient_rankings
from spex_mech.pruning.prune import Pruned, ranked
from spex_mech.run import prune, steps
from spex_mech.run.decode import decode_folder
from spex_mech.run.opening import claim
from spex_mech.run.records import kept_from_json, kept_to_json
from spex_mech.run.setup import prepare
from spex_mech.run.spec import DesignSpec
from spex_mech.run.spec_file import read_spec
from spex_mech.run.steps import evaluate_step
from tests.shared.quiz import Quiz

PLAYERS = sm.PlayerSet.from_names("abcd")
MASK = np.array([True, False, True, True])


def test_a_kept_set_comes_back_from_its_file():
    for kept in (
        Pruned(MASK, 0.0, 0.0, 7),
        Pruned(MASK, None, None, 3, method="random"),
        Pruned(MASK, -1.5, 0.1 + 0.2, 9, method="lasso ranking"),
    ):
        content = json.loads(json.dumps(kept_to_json(kept, PLAYERS)))
        assert content["keep"] == 3 and content["kept"] == ["a", "c", "d"]
        again = kept_from_json(content, PLAYERS)
        np.testing.assert_array_equal(again.mask, kept.mask)
        for name in ("method", "keep", "predicted", "measured", "ablations"):
            assert getattr(again, name) == getattr(kept, name)


def test_the_size_is_chosen_among_our_sets_as_they_are(monkeypatch):
    """A prediction of 0.0 is a prediction, not a missing one."""
    monkeypatch.setattr(prune, "choose_size", lambda curve, *_, **__: curve)
    ours = [Pruned(MASK, 0.0, 0.0, 7), Pruned(MASK & False, 1.0, None, 7)]
    setup = SimpleNamespace(
        spec=SimpleNamespace(prune=SimpleNamespace(tolerance=0.0, errors=1.0, seed=0)),
        game=SimpleNamespace(with_split=lambda split: split),
    )
    kept = [ours[0], Pruned(MASK, None, 2.0, 7, method="random"), ours[1]]
    curve = prune.choose_exported(setup, SimpleNamespace(path=Path("run")), kept)
    assert curve.points == tuple(ours) and curve.points[0].predicted == 0.0
    assert curve.ablations == 7


def test_candidates_race_where_the_design_was_asked_some_questions(tmp_path):
    game, folder = Quiz(10, 16), SimpleNamespace(masks=tmp_path / "masks", path=tmp_path)
    design = sm.designs.biased(10, 40, keep_rate=(0.3, 0.9), seed=0)
    run = sm.evaluate(game, design, questions=2, store=folder.masks, progress=False)
    settings = SimpleNamespace(seed=0, baselines=["knock-out", "lasso ranking"], proposals="lasso")
    setup = SimpleNamespace(
        spec=SimpleNamespace(prune=settings, design=DesignSpec()),
        game=game,
        sizes=(7, 4),
        budget=15,
        limits=[],
    )
    spectrum = sm.decode(design, run, method="lasso", order=1)
    decoded = SimpleNamespace(design=design, run=run, spectrum=spectrum, gradients=False)
    kept = prune.choose_kept_sets(setup, folder, decoded, progress=False)
    assert [k.method for k in kept] == ["ours", "knock-out", "lasso ranking"] * 2
    spent = {k.method: k.ablations for k in kept}
    assert spent["lasso ranking"] == 5 and spent["knock-out"] == 10 and 5 < spent["ours"] <= 15
    # All methods and the design share a store, which asks a mask all again of which it lacks some answers.
    assert len(game.asked) < 1.1 * len(set(game.asked))
    for ours in kept[::3]:
        assert np.isclose(ours.measured, Quiz(10, 16)(ours.mask[None])[0])


def test_gradients_propose_where_the_spec_says_so(tmp_path):
    settings = ["game.examples=4", "design.budget=24", "design.check=0", "design.questions=all"]
    settings += ["prune.keep=[12]", "prune.ablations=16", "prune.baselines=[]", "prune.export=none"]
    spec = read_spec(None, [*settings, "prune.proposals=gradients", "circuit.subsets=0"])
    setup = prepare(spec, pruning=True)
    folder = claim(tmp_path / "run", spec)
    evaluate_step(setup, folder, progress=False)
    (ours,) = prune.choose_kept_sets(setup, folder, decode_folder(folder), progress=False)
    lines = gradient_rankings(setup.game)
    proposals = np.stack([ranked(line, 12) for line in lines])
    assert ours.measured >= setup.game(proposals).max() - 1e-5
    assert ours.ablations <= 24 + 16


def test_tested_sets_are_kept_while_their_spectrum_is(tmp_path):
    spec = read_spec(None, ["prune.export=none"])
    folder = claim(tmp_path / "run", spec)
    setup = SimpleNamespace(players=PLAYERS)
    line = sm.Spectrum.from_supports([(), (0,)], [1.0, 0.5], 4)
    rows = [kept_to_json(Pruned(MASK, float(line(MASK[None])[0]), 0.3, 7, method="ours"), PLAYERS)]
    folder.save("kept.json", rows)
    assert steps._tested_before(setup, folder, SimpleNamespace(spectrum=line)) is None  # not tested
    folder.save("results.json", {})
    (kept,) = steps._tested_before(setup, folder, SimpleNamespace(spectrum=line))
    np.testing.assert_array_equal(kept.mask, MASK)
    other = sm.Spectrum.from_supports([(), (0,)], [1.0, 0.4], 4)  # decoded anew, in another way
    assert steps._tested_before(setup, folder, SimpleNamespace(spectrum=other)) is None
