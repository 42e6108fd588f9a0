"""Pairs of texts against ``model(**tokenizer(a, b))`` for every mask."""

from __future__ import annotations

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers, processors

import spex_mech as sm
from spex_mech import features
from spex_mech.core.errors import InputError
from spex_mech.features.options import Removal, TextPair
from spex_mech.features.parts import cut_texts, part_texts
from spex_mech.features.tokenizing import tokenize_pair

PREMISE = "The trolley runs down the track. Pulling the lever moves it."
HYPOTHESIS = "The lever moves the trolley"
A, B = PREMISE.split(), HYPOTHESIS.split()
BOTH = TextPair(PREMISE, HYPOTHESIS)


def masks_of(n: int, count: int = 30) -> np.ndarray:
    drawn = np.random.default_rng(0).random((count, n)) < 0.6
    one_side = np.arange(n) < len(A)
    ends = [np.ones(n, bool), np.zeros(n, bool), one_side[:n], ~one_side[:n]]
    return np.concatenate([drawn, np.array(ends)])


def words_of(first, second):
    """Two texts whose words are parts that are deleted."""
    return part_texts(cut_texts(TextPair(first, second), "word"), Removal())


def joined(words, kept, gone=""):
    out = [w if k else gone for w, k in zip(words, kept, strict=True)]
    return " ".join(w for w in out if w)


def by_hand(hf, tokenizer, a, b) -> np.ndarray:
    # In lists: called with two texts of which the second is empty, tokenizers leave it out.
    with torch.no_grad():
        return hf(**tokenizer([a], [b], return_tensors="pt")).logits[0].double().numpy()


def roberta(make):
    """Byte-level BPE with ``<s> a </s></s> b </s>``, and a model without segments."""
    tokenizer = make.byte_bpe()
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    cls, sep = tokenizer.convert_tokens_to_ids(["<s>", "</s>"])
    tokenizer.backend_tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", sep), ("<s>", cls), trim_offsets=False, add_prefix_space=False
    )
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=130,
        type_vocab_size=1,
        num_labels=3,
        pad_token_id=1,
    )
    return make.seeded(lambda: transformers.RobertaForSequenceClassification(config)), tokenizer


def distilled(make):
    """A model that does not read segments, with a tokenizer that gives them."""
    config = transformers.DistilBertConfig(
        vocab_size=120, dim=32, n_layers=2, n_heads=4, hidden_dim=48, num_labels=3
    )
    hf = make.seeded(lambda: transformers.DistilBertForSequenceClassification(config))
    return hf, make.word_piece()


FAMILIES = {
    "bert": lambda make: (make.bert(), make.word_piece()),
    "roberta": roberta,
    "distilbert": distilled,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_words_of_both_texts(make, family):
    hf, tokenizer = FAMILIES[family](make)
    game = features.text(hf, BOTH, tokenizer=tokenizer, level="word", target=1)
    n = game.players.n
    assert n == len(A) + len(B) and game.subject.text == f"{PREMISE}\n\n{HYPOTHESIS}"
    masks = masks_of(n)
    if family == "roberta":  # a word without its blank would be other tokens: the first ones stay
        masks[:, [0, len(A)]] = True
    plain = tokenizer
    if family == "distilbert":  # its own loop cannot take segment ids

        def plain(*texts, **options):
            found = tokenizer(*texts, **options)
            del found["token_type_ids"]
            return found

    expected = [
        by_hand(hf, plain, joined(A, x[: len(A)]), joined(B, x[len(A) :]))[1] for x in masks
    ]
    np.testing.assert_allclose(game(masks), expected, atol=2e-5)
    assert len(np.unique(np.round(expected, 3))) > 20
    np.testing.assert_allclose(np.concatenate([game(x[None]) for x in masks]), expected, atol=2e-5)


def test_segment_ids_matter_and_are_those_of_the_tokenizer(make):
    hf, tokenizer = make.bert(), make.word_piece()
    game = features.text(hf, BOTH, tokenizer=tokenizer, level="word")
    found = tokenizer(PREMISE, HYPOTHESIS)
    row = game.source.full
    np.testing.assert_array_equal(row, [found["input_ids"], found["token_type_ids"]])
    with torch.no_grad():
        untyped = hf(input_ids=torch.tensor([found["input_ids"]])).logits[0]
    value = game(np.ones((1, game.players.n), bool))[0]
    assert abs(value - untyped.max().item()) > 1e-3
    assert game.shown(np.ones(game.players.n, bool)) == tokenizer.decode(found["input_ids"])
    # the same tokens in one segment are another game
    one = features.text(
        hf, f"{PREMISE} [SEP] {HYPOTHESIS}", tokenizer=tokenizer, level="word", target=0
    )
    assert one.key["tokens"] != game.key["tokens"]


@pytest.mark.parametrize("side", ["first", "second"])
def test_one_text_stays_whole(make, side):
    hf, tokenizer = make.bert(), make.word_piece()
    level, second = {"first": ("word", None), "second": (None, "word")}[side]
    pair = TextPair(PREMISE, HYPOTHESIS, level=second)
    game = features.text(hf, pair, level=level, tokenizer=tokenizer, target=2, value="margin")
    words = A if side == "first" else B
    assert game.players.n == len(words)
    assert [game.subject.text[s.start : s.stop] for s in game.subject.spans] == words
    masks = np.random.default_rng(1).random((20, len(words))) < 0.5
    for x, value in zip(masks, game(masks), strict=True):
        part = joined(words, x)
        z = by_hand(hf, tokenizer, *((part, HYPOTHESIS) if side == "first" else (PREMISE, part)))
        assert value == pytest.approx(z[2] - max(z[0], z[1]), abs=2e-5)


@pytest.mark.parametrize("removal", ["mask", "filler", "replace"])
def test_what_stands_in_has_the_segment_of_its_text(make, removal):
    hf, tokenizer = make.bert(), make.word_piece()
    how = {
        "mask": "mask",
        "filler": Removal("filler", filler="a fruit"),
        "replace": Removal(replacements=[["watermelon"]] * (len(A) + len(B))),
    }[removal]
    game = features.text(hf, BOTH, tokenizer=tokenizer, level="word", target=0, removal=how)
    gone = {"filler": "a fruit", "replace": "watermelon"}.get(removal)
    masks = masks_of(game.players.n, 12)
    for x, value in zip(masks, game(masks), strict=True):
        if removal == "mask":
            texts = [
                " ".join(
                    w if k else " ".join(["[MASK]"] * len(tokenizer.tokenize(w)))
                    for w, k in zip(words, kept, strict=True)
                )
                for words, kept in ((A, x[: len(A)]), (B, x[len(A) :]))
            ]
        else:
            texts = [joined(A, x[: len(A)], gone), joined(B, x[len(A) :], gone)]
        assert value == pytest.approx(by_hand(hf, tokenizer, *texts)[0], abs=2e-5)


def test_levels_spans_templates_and_documents(make):
    hf, tokenizer = make.bert(), make.word_piece()

    def game(text=PREMISE, second="same", **options):
        pair = TextPair(text, HYPOTHESIS, level=second)
        return features.text(hf, pair, tokenizer=tokenizer, target=0, **options)

    assert game().players.names == [
        "The trolley runs down the t…",
        "Pulling the lever moves it.",
        HYPOTHESIS,
    ]
    assert game(second="word").players.n == 2 + len(B)
    spans = features.find_spans(HYPOTHESIS, ["lever", "trolley"])
    chosen = game(level=None, second=spans)
    assert chosen.players.names == ["lever", "trolley"]
    values = chosen(np.array([[True, True], [True, False]]))
    assert values[1] == pytest.approx(
        by_hand(hf, tokenizer, PREMISE, "The lever moves the")[0], abs=2e-5
    )
    around = game(template="It is said: {text}", level=None, second="word")
    whole = by_hand(hf, tokenizer, f"It is said: {PREMISE}", HYPOTHESIS)[0]
    assert around(np.ones((1, len(B)), bool))[0] == pytest.approx(whole, abs=2e-5)
    documents = game(PREMISE.split(". "), level="document", second=None)
    given = by_hand(hf, tokenizer, "The trolley runs down the track", HYPOTHESIS)[0]
    assert documents(np.array([[True, False]]))[0] == pytest.approx(given, abs=2e-5)
    tokens = game(level="token")
    assert tokens.players.n == len(tokenizer.tokenize(PREMISE)) + len(
        tokenizer.tokenize(HYPOTHESIS)
    )


def test_encoders_compare_pairs_too(make):
    hf = make.seeded(lambda: transformers.BertModel(make.bert().config))
    tokenizer = make.word_piece()
    game = features.text(hf, BOTH, tokenizer=tokenizer, level="word")

    def embed(a, b):
        with torch.no_grad():
            found = hf(**tokenizer([a], [b], return_tensors="pt")).last_hidden_state
        return found[0].mean(0).double().numpy()

    whole, masks = embed(PREMISE, HYPOTHESIS), masks_of(game.players.n, 8)
    states = [embed(joined(A, x[: len(A)]), joined(B, x[len(A) :])) for x in masks]
    expected = [s @ whole / np.linalg.norm(s) / np.linalg.norm(whole) for s in states]
    np.testing.assert_allclose(game(masks), expected, atol=1e-5)


def test_a_tokenizer_that_does_not_tell_where_its_tokens_stand(make):
    with pytest.raises(
        InputError, match="ByT5Tokenizer does not tell where its tokens stand; give"
    ):
        features.text(make.t5(), PREMISE, tokenizer=transformers.ByT5Tokenizer())


def test_no_separator_is_needed():
    """Two texts that are told apart by their segments alone: equal tokens are not equal inputs."""
    words = ["[PAD]", "[UNK]", "a", "b", "c"]
    level = tokenizers.Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]")
    )
    level.pre_tokenizer = pre_tokenizers.Whitespace()
    level.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A $B:1", special_tokens=[]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=level, model_input_names=["input_ids", "token_type_ids", "attention_mask"]
    )
    layout = tokenize_pair(tokenizer, words_of("a b", "b c"), typed=True)
    rows = layout.rows(np.array([[0, 0, 1, 0], [0, 1, 0, 0]]))
    np.testing.assert_array_equal(rows[0], [[2, 3, 4], [0, 0, 1]])
    np.testing.assert_array_equal(rows[1], [[2, 3, 4], [0, 1, 1]])
    assert rows[0].tobytes() != rows[1].tobytes()


def test_a_planted_pair_is_found_across_the_texts(make):
    """Which words of the question need which words of the passage."""
    hf, tokenizer = make.bert(), make.word_piece()
    game = features.text(
        hf, TextPair("The key is red", "The basket"), tokenizer=tokenizer, level="word"
    )
    found = sm.exact_spectrum(game(sm.designs.exhaustive(6).masks))
    shown = features.view(game, found, top=30)
    across = [m for m, _ in shown.joint if m[0] < 4 <= m[1]]
    assert len(across) == 8
    assert [shown.subject.text[s.start : s.stop] for s in shown.subject.spans][4:] == [
        "The",
        "basket",
    ]
    assert shown.names[4] == "The #2"


def test_bad_pairs(make):
    bert = {"model": make.bert(), "tokenizer": make.word_piece()}
    gpt = {"model": make.gpt2(), "tokenizer": make.byte_bpe()}
    cases = [
        (
            {**gpt, "target": " a"},
            "a TextPair is for sequence classifiers and encoders, this is a causal",
        ),
        ({"model": len}, "not for a function of texts; put both texts into one"),
        ({"model": features.Endpoint("m", "http://localhost:1/v1")}, "not for an endpoint"),
        ({**bert, "level": None}, "both texts stay whole"),
        ({**bert, "text": TextPair(PREMISE, " ")}, "which has no word"),
        ({**bert, "text": TextPair(PREMISE, " ", level=None)}, "which has no word"),
        (
            {**bert, "text": TextPair(PREMISE, HYPOTHESIS, level="line")},
            "level is 'line', expected one of",
        ),
        (
            {**bert, "text": TextPair(PREMISE, HYPOTHESIS * 30)},
            "tokens, the model's context holds 128",
        ),
        ({**bert, "text": PREMISE, "level": None}, "that goes with a TextPair"),
        ({**bert, "text": TextPair(PREMISE, HYPOTHESIS, level=[(0, 99)])}, "runs out of the text"),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=message):
            features.text(**{"text": BOTH, **options})


def test_segment_ids_within_one_text_are_refused(make):
    tokenizer = make.word_piece()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [SEP] [CLS]:2",  # as XLNet's
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    with pytest.raises(InputError, match=r"segment ids \[0, 2\], which are kept for pairs only"):
        features.text(make.bert(), PREMISE, tokenizer=tokenizer)
    hf, _ = distilled(make)  # does not read them
    assert features.text(hf, PREMISE, tokenizer=tokenizer).players.n > 1
