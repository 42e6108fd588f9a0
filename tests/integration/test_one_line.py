"""`repr` of every public object is one line that a terminal holds."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.ablation.constants import Constants, FittedBy
from spex_mech.core.estimates import Estimate
from spex_mech.run.decode import Decoded
from spex_mech.run.records import HeldOut, ScoredSet, ScoreTable

MOST = 200
NEVER_MADE = {"Trainer"}  # a protocol


def values(masks: np.ndarray) -> np.ndarray:
    return masks[:, 0] + 2.0 * masks[:, 1] * masks[:, 2]


def _core() -> list:
    players = sm.PlayerSet.from_names(["a\nname" * 9, *(f"part {i}" for i in range(39))])
    design = sm.designs.uniform(40, 60, seed=0)
    run = sm.evaluate(values, design)
    spectrum = sm.decode(design, run.values, method="lasso", seed=0)
    found = sm.interactions(spectrum, index="FBII", order=2)
    pruned = sm.prune(values, spectrum, keep=20, validate=3, seed=0)
    curve = sm.prune_curve(values, spectrum, keeps=[20, 10], validate=4, seed=0)
    r2 = Estimate(0.5, 0.4, 0.6, 9, 0.95)
    held = HeldOut(np.zeros(50), np.zeros(50), r2)
    scored = ScoredSet(pruned, {"margin": r2}, {"margin": r2}, {}, None)
    table = ScoreTable({"margin": r2}, [scored] * 9, None, 1)
    decoded = Decoded(design, players, spectrum, found, held, None)
    return [players, design, run, spectrum, found, pruned, curve, held, scored, table, decoded]


def _of_a_model(tmp_path) -> list:
    model = sm.load_model("embedded")
    heads = sm.select_players(model, "heads:0")
    game = sm.TaskGame(model, sm.load_task("embedded/people").first(2), heads)
    rates = sm.find_keep_rates(game, 12, questions="all", seed=0)
    explanation = sm.explain(game, budget=12, seed=0, method="lasso", store=tmp_path / "store")
    tested = sm.circuit(game, np.arange(8) < 4, explanation.spectrum, subsets=1, seed=0)
    ablated = sm.AblatedGame("zero", game)
    several = sm.alternative_circuits(game, explanation.spectrum, keep=4, validate=4, seed=0)
    sizes = sm.circuit_curve(game, np.arange(8.0))
    (pattern,) = sm.attention_patterns(game, questions=1)
    constants = Constants({"a": np.zeros(40)}, FittedBy("hash", "mean", {"mean": 0.5}, 200, 9600))
    text = sm.features.text(model, "one two\nthree", level="word", target=" A")
    joint = sm.joint(text, game)
    (limit, *_) = sm.per_layer(heads, 3)
    card = sm.Card("a\ntask " * 50, [("L0H0", 0.5)] * 50)
    stored = sm.open_run(tmp_path / "store")
    tokens = sm.TokenTask(np.ones((40, 5), dtype=int))
    executors = [sm.LocalExecutor(2), sm.RayExecutor()]
    circuits = [tested, ablated, several, sizes, pattern, constants, joint]
    found = [model, heads, game, rates, explanation, limit, card, stored, tokens]
    return [*found, *circuits, *executors]


def _of_features() -> list:
    f = sm.features
    game = f.text(lambda texts: [len(t) for t in texts], "a long text " * 40, level="word")
    view = f.View(
        None, tuple("abc" * 9), "length", "Banzhaf", (0.1,) * 27, "FBII", (((0, 1), 1.0),) * 30
    )
    options = [f.Chat(), f.ExplainOptions(), f.Generated("x"), f.Removal(), f.Span(0, 3)]
    regions = f.Regions(fill=np.zeros((40, 40, 3)))
    pair = f.TextPair("a\nb", "c")
    endpoint = f.Endpoint("model", base_url="http://localhost/v1")
    return [game, view, *options, regions, pair, endpoint, f.EndpointError("no\nreply")]


def _of_training_data() -> list:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    td = sm.training_data
    train = td.Examples(np.zeros((40, 3)), np.arange(40) % 2, ("a", "b"))
    pipeline = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.123456, max_iter=12345, tol=1e-7)
    )
    players = td.by_example(train)
    noise = td.SeedNoise(3, np.zeros(40), np.ones(40))
    trainings = td.Trainings(np.zeros((9, 40), dtype=bool), np.zeros((9, 2)), players.players)
    trainer = td.TorchTrainer(len, td.Recipe(epochs=2))
    function = td.TrainFunction(lambda rows, seed: rows, "mine")
    of_sklearn = td.SklearnTrainer(pipeline)
    game = td.TrainingGame(of_sklearn, train, train, players)
    spectra = (sm.Spectrum.from_supports([()], [0.0], 40),) * 2
    found = td.Attributions(players.players, (0, 1), spectra, np.zeros((2, 40)))
    joint = td.Joint((0, 1), 0.5, (0.1, 0.2))
    words = td.Vocabulary(tuple(f"w{i}" for i in range(99)))
    models = td.TrainedModels(
        sm.load_model("embedded"), players.players, print, name="a\nname " * 50
    )
    return [
        train,
        players,
        noise,
        trainings,
        trainer,
        trainer.recipe,
        function,
        of_sklearn,
        game,
        found,
        joint,
        words,
        models,
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> list:
    folder = tmp_path_factory.mktemp("one-line")
    return [
        *_core(),
        *_of_a_model(folder),
        *_of_features(),
        *_of_training_data(),
        sm.InputError("a\nb"),
    ]


def test_every_public_object_is_one_line(made):
    long = {type(x).__name__: repr(x) for x in made if "\n" in repr(x) or len(repr(x)) > MOST}
    assert long == {}


def test_no_public_class_is_left_out(made):
    public = {
        name
        for module in (sm, sm.designs, sm.features, sm.training_data)
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
    }
    assert public - {type(x).__name__ for x in made} == NEVER_MADE


def test_arrays_are_named_by_their_shape():
    design = sm.designs.uniform(40, 60, seed=0)
    assert repr(design).startswith("MaskDesign(masks=<bool (60, 40)>, seed=0, kind='uniform'")
    assert repr(sm.PlayerSet.from_names("abcdef")) == "PlayerSet(6 players: a b c ... f)"
    assert repr(sm.PlayerSet.from_names("ab")) == "PlayerSet(2 players: a b)"
