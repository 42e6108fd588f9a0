"""Games of functions from texts to numbers, vectors or texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech import features
from spex_mech.core.errors import InputError

TEXT = "not bad and not good"


def count_words(texts):
    return [len(t.split()) for t in texts]


def test_numbers():
    game = features.text(count_words, TEXT, level="word")
    masks = sm.designs.exhaustive(5).masks
    np.testing.assert_array_equal(game(masks), masks.sum(1))
    assert game.players.names == ["not", "bad", "and", "not #2", "good"]
    assert game.shown([True, False, False, True, True]) == "not not good"


def test_it_runs_through_evaluate_decode_and_the_store(tmp_path):
    def value(texts):
        return [("not bad" in t) * 2.0 - ("not" in t.split()) for t in texts]

    game = features.text(value, TEXT, level="word")
    design = sm.designs.exhaustive(5)
    run = sm.evaluate(game, design, store=tmp_path / "s")
    spectrum = sm.decode(design, run.values)
    moebius = sm.interactions(spectrum, "Moebius", 5).values
    # "not bad" stands together as words 0 and 1; word 3 is the other "not".
    expected = {(0,): -1.0, (3,): -1.0, (0, 1): 2.0, (0, 3): 1.0}
    assert {s: round(v, 9) for s, v in moebius.items() if s} == expected
    again = sm.evaluate(game, design, store=tmp_path / "s")
    assert again.evaluated == 0
    np.testing.assert_array_equal(again.values, run.values)
    other = features.text(value, TEXT + "!", level="word")
    with pytest.raises(InputError, match="evaluated with another"):
        sm.evaluate(other, design, store=tmp_path / "s")


def test_texts_are_matched_or_compared():
    def echo(texts):
        return [t.upper() for t in texts]

    masks = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]], dtype=bool)
    match = features.text(echo, TEXT, level="word", value="match", target="bad")
    np.testing.assert_array_equal(match(masks), [1, 1, 0])
    f1 = features.text(echo, TEXT, level="word", value="similarity")
    np.testing.assert_allclose(f1(masks), [1, 2 * 2 / (2 + 5), 0])
    longest = features.text(echo, TEXT, level="word", value=lambda reply: len(reply))
    np.testing.assert_array_equal(longest(masks), [20, 8, 0])


def test_vectors_are_compared_by_their_cosine():
    def embed(texts):
        return np.array([[t.count("not"), t.count("good") + 1] for t in texts], float)

    game = features.text(embed, TEXT, level="word", value="similarity")
    found = game(np.array([[0, 0, 0, 1, 1]], dtype=bool))[0]
    whole, part = np.array([2, 2]), np.array([1, 2])
    assert found == pytest.approx(whole @ part / np.linalg.norm(whole) / np.linalg.norm(part))


def test_equal_texts_are_asked_once():
    asked = []

    def value(texts):
        asked.extend(texts)
        return [0.0] * len(texts)

    features.text(value, "a a a", level="word")(sm.designs.exhaustive(3).masks)
    assert sorted(asked) == ["", "a", "a a", "a a a"]


def test_games_travel_to_other_processes():
    import cloudpickle

    removal = features.Removal(replacements=[["a", "b c"]] * 5, seed=2)
    game = features.text(count_words, TEXT, level="word", removal=removal)
    masks = sm.designs.exhaustive(5).masks
    far = cloudpickle.loads(cloudpickle.dumps(game))
    np.testing.assert_array_equal(far(masks), game(masks))
    assert far.fingerprint == game.fingerprint
    endpoint = features.text(features.Endpoint("m", base_url="http://x"), TEXT, target="a")
    assert cloudpickle.loads(cloudpickle.dumps(endpoint)).fingerprint == endpoint.fingerprint


WORDS = torch.nn.Parameter(torch.tensor(0.5))


@pytest.mark.parametrize(
    "function",
    [
        lambda texts: WORDS * torch.tensor(count_words(texts)),
        lambda texts: (WORDS * torch.tensor(count_words(texts)))[:, None],
        lambda texts: (WORDS * torch.tensor(count_words(texts))).bfloat16(),
        lambda texts: [WORDS * len(t.split()) for t in texts],
        lambda texts: [np.float32(len(t.split()) / 2) for t in texts],
        lambda texts: np.array(count_words(texts)) / 2,
        lambda texts: tuple([len(t.split()) / 2] for t in texts),
        lambda texts: (len(t.split()) / 2 for t in texts),
        lambda texts: {t: len(t.split()) / 2 for t in texts}.values(),
    ],
)
def test_numbers_of_every_kind(function):
    masks = sm.designs.exhaustive(5).masks
    game = features.text(function, TEXT, level="word")
    np.testing.assert_array_equal(game(masks), masks.sum(1) / 2)


@pytest.mark.parametrize("convert", [float, int, np.float64, np.array, torch.tensor, bool])
def test_one_number_will_do_for_one_text_only(convert):
    game = features.text(lambda texts: convert(len(texts[0]) / 4), TEXT, level="word")
    masks = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 1]], dtype=bool)
    assert game(masks[:1]) == float(convert(len(TEXT) / 4))
    with pytest.raises(InputError, match=r"gave 1 replies to 2 texts; expected one reply to each"):
        game(masks)


def test_one_text_is_not_read_as_its_letters():
    game = features.text(lambda texts: "ab", TEXT, level="word", value=lambda reply: len(reply))
    masks = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 1]], dtype=bool)
    assert game(masks[:1]) == 2
    with pytest.raises(InputError, match="gave 1 replies to 2 texts"):
        game(masks)


def test_tensors_are_compared_and_judged():
    def embed(texts):
        return WORDS * torch.tensor([[t.count("not"), t.count("good") + 1] for t in texts])

    mask = np.array([[0, 0, 0, 1, 1]], dtype=bool)
    found = features.text(embed, TEXT, level="word", value="similarity")(mask)[0]
    assert found == pytest.approx(6 / np.sqrt(8 * 5))
    judged = features.text(embed, TEXT, level="word", value=lambda v: v.softmax(0)[1])
    assert judged(mask)[0] == pytest.approx(1 / (1 + np.exp(-0.5)))


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (lambda texts: [1.0], {}, "gave 1 replies to 2 texts"),
        (lambda texts: ["a"] * len(texts), {}, "a reply is 'a', expected a number"),
        (lambda texts: [None] * len(texts), {}, "expected a number"),
        (lambda texts: None, {}, "gave NoneType to a list of texts; expected a list, array or"),
        (lambda texts: {t: 1.0 for t in texts}, {}, "gave dict to a list of texts"),
        (lambda texts: {float(len(t)) for t in texts}, {}, "gave set to a list of texts"),
        (lambda texts: torch.ones(1, len(texts)), {}, "gave 1 replies to 2 texts"),
        (lambda texts: [torch.ones(2)] * len(texts), {}, "expected a number"),
        (lambda texts: [[[1], [1, 2]]] * len(texts), {}, "expected a number"),
        (lambda texts: [1j] * len(texts), {}, "expected a number"),
        (lambda texts: ["a", [1.0]][: len(texts)], {"value": "similarity"}, "cannot be compared"),
        (lambda texts: [float("nan")] * len(texts), {}, "scores nan"),
        (lambda texts: [1] * len(texts), {"value": "match", "target": "x"}, "expected a text"),
        (lambda texts: [1] * len(texts), {"value": "match"}, "needs target="),
        (lambda texts: [1] * len(texts), {"value": "logit"}, "expected 'number', 'match'"),
        (lambda texts: [1] * len(texts), {"removal": "mask"}, "have no such token"),
        (lambda texts: [1] * len(texts), {"level": "token"}, "'token' needs a tokenizer"),
        (
            lambda texts: [1] * len(texts),
            {"template": features.Chat()},
            "not for a function of texts",
        ),
    ],
)
def test_bad_functions(function, options, message):
    with pytest.raises(InputError, match=message):
        features.text(function, TEXT, **{"level": "word", **options})(
            np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 1]], dtype=bool)
        )


def test_thousands_of_features_in_bounded_memory():
    """Arrays of masks times tokens exist for a chunk only."""
    import tracemalloc

    def value(texts):
        return [t.count("7") for t in texts]

    text = " ".join(f"w{i}" for i in range(4000))
    game = features.text(value, text, level="word")
    masks = np.random.default_rng(0).random((500, 4000)) < 0.02
    tracemalloc.start()
    game(masks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (
        peak < 60e6
    )  # the choices of all masks would be 96 MB, and as many again when they are drawn
