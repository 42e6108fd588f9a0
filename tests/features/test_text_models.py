"""Games of texts against one plain forward pass for every masked text."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from scipy.special import logsumexp

import spex_mech as sm
from spex_mech import features
from spex_mech.core.errors import InputError
from spex_mech.features.readers.causal import CausalReader, Prefix
from spex_mech.features.readers.model import TextModel

TEXT = "The trolley runs down the track. Pulling the lever moves the trolley to another track."
RNG = np.random.default_rng


def masks_of(n: int, count: int = 24, rate: float = 0.6, seed: int = 0) -> np.ndarray:
    drawn = RNG(seed).random((count, n)) < rate
    return np.concatenate([drawn, np.ones((1, n), bool), np.zeros((1, n), bool)])


def kept_text(game: sm.features.FeatureGame, mask: np.ndarray) -> str:
    """The text without the removed parts, put together by hand; parts are words or sentences."""
    text, spans = game.subject.text, game.subject.spans
    return " ".join(text[s.start : s.stop] for s, keep in zip(spans, mask, strict=True) if keep)


def classify(hf, ids: list[int]) -> np.ndarray:
    with torch.no_grad():
        return hf(input_ids=torch.tensor([ids])).logits[0].double().numpy()


def continuation(hf, ids: list[int], answer: list[int]) -> float:
    """Log-probability of an answer, from a forward pass over everything."""
    with torch.no_grad():
        logits = hf(input_ids=torch.tensor([ids + answer])).logits[0].log_softmax(-1)
    places = range(len(ids) - 1, len(ids) + len(answer) - 1)
    return sum(float(logits[p, t]) for p, t in zip(places, answer, strict=True))


CLASS_VALUES = {
    "logit": lambda z, c, full: z[c],
    "margin": lambda z, c, full: z[c] - max(z[i] for i in range(len(z)) if i != c),
    "logprob": lambda z, c, full: np.log(np.exp(z[c]) / np.exp(z).sum()),
    "logodds": lambda z, c, full: np.log(np.exp(z[c]) / (np.exp(z).sum() - np.exp(z[c]))),
    "similarity": lambda z, c, full: (
        -sum(
            np.exp(a - logsumexp(full)) * ((a - logsumexp(full)) - (b - logsumexp(z)))
            for a, b in zip(full, z, strict=True)
        )
    ),
}


@pytest.mark.parametrize("value", list(CLASS_VALUES))
def test_a_classifier_by_hand(make, value):
    hf, tokenizer = make.bert(), make.word_piece()
    game = features.text(hf, TEXT, tokenizer=tokenizer, level="word", value=value)
    full = classify(hf, tokenizer(TEXT)["input_ids"])
    c = int(full.argmax())
    masks = masks_of(game.players.n)
    expected = [
        CLASS_VALUES[value](classify(hf, tokenizer(kept_text(game, x))["input_ids"]), c, full)
        for x in masks
    ]
    np.testing.assert_allclose(game(masks), expected, atol=2e-5)


def test_targets_by_number_and_label(make):
    hf, tokenizer = make.bert(), make.word_piece()
    hf.config.id2label = {0: "bad", 1: "fine", 2: "good"}
    masks = masks_of(2)
    of = {t: features.text(hf, TEXT, tokenizer=tokenizer, target=t) for t in (0, 2, "good")}
    np.testing.assert_array_equal(of["good"](masks), of[2](masks))
    assert of["good"].reading.target == "good" and of["good"].key != of[0].key
    full = classify(hf, tokenizer(TEXT)["input_ids"])
    assert of[0](np.ones((1, 2), bool))[0] == pytest.approx(full[0], abs=1e-5)


@pytest.mark.parametrize("removal", ["mask", "unknown", "filler", "replace"])
def test_removals_by_hand(make, removal):
    hf, tokenizer = make.bert(), make.word_piece()
    words = TEXT.split()
    replacements = [[w[::-1], "key"] for w in words] if removal == "replace" else None
    how = features.Removal(removal, filler="a fruit", replacements=replacements, seed=3)
    game = features.text(hf, TEXT, tokenizer=tokenizer, level="word", removal=how)
    token = {"mask": "[MASK]", "unknown": "[UNK]"}.get(removal)
    for x in masks_of(game.players.n, count=6):
        shown = game.shown(x).split()
        out, at = [], 1  # after [CLS]
        for word, keep in zip(words, x, strict=True):
            own = tokenizer.tokenize(word)
            if keep:
                out += own
            elif token:
                out += [token] * len(own)
            elif removal == "filler":
                out += tokenizer.tokenize("a fruit")
            else:
                choices = [tokenizer.tokenize(t) for t in (word[::-1], "key")]
                ids = np.frombuffer(game.source.inputs(_choice(game, x))[0], dtype=np.int32)
                there = tokenizer.convert_ids_to_tokens(ids[at + len(out) :].tolist())
                out += next(c for c in choices if there[: len(c)] == c)
        ids = tokenizer.convert_tokens_to_ids(["[CLS]", *out, "[SEP]"])
        assert shown == tokenizer.decode(ids).split()
        full = classify(hf, tokenizer(TEXT)["input_ids"])
        np.testing.assert_allclose(game(x[None])[0], classify(hf, ids)[full.argmax()], atol=1e-5)


def _choice(game, mask):
    from spex_mech.features.game import choose

    return choose(mask[None], game.source.counts, game.seed)


def test_replacements_follow_seed_and_mask(make):
    hf, tokenizer = make.bert(), make.word_piece()
    words = {w: ["key", "fruit", "kitchen"] for w in ("trolley", "lever", "track")}
    spans = features.find_spans(TEXT, words)
    removal = features.Removal(replacements=words, seed=5)
    game = features.text(hf, TEXT, tokenizer=tokenizer, level=spans, removal=removal)
    masks = masks_of(game.players.n, count=40)
    found = game(masks)
    np.testing.assert_array_equal(game(masks), found)
    np.testing.assert_allclose(game(masks[::-1])[::-1], found, atol=1e-6)
    assert "replacement seed" in game.key
    other = game.with_seed(6)
    assert other.fingerprint != game.fingerprint
    changed = np.abs(other(masks) - found) > 1e-6
    assert not changed[-2] and changed.mean() > 0.5  # the whole text has nothing to draw


@pytest.mark.parametrize("value", ["logprob", "logodds", "margin", "probability", "similarity"])
def test_a_causal_model_by_hand(make, value):
    hf, tokenizer = make.gpt2(), make.byte_bpe()
    answers = [" another track", " the kitchen", " no"]
    used = answers if value in ("margin", "probability") else answers[0]
    game = features.text(
        hf,
        TEXT,
        tokenizer=tokenizer,
        level="word",
        value=value,
        target=used,
        template="Say: {text}\nSo",
    )
    cut = [tokenizer(" " + w)["input_ids"] for w in TEXT.split()]
    # the first word follows the template's space
    before, after = tokenizer("Say:")["input_ids"], tokenizer("\nSo")["input_ids"]
    ids = [tokenizer(a)["input_ids"] for a in answers]

    def row(mask):
        return [
            *before,
            *(t for own, keep in zip(cut, mask, strict=True) if keep for t in own),
            *after,
        ]

    masks = masks_of(game.players.n)
    masks[:, 0] = True  # the space before the first word belongs to the template
    full = tokenizer("Say: " + TEXT + "\nSo")["input_ids"]
    assert row(masks[-2]) == full

    def by_hand(mask):
        given = row(mask)
        p = [continuation(hf, given, a) for a in ids]
        if value == "logprob":
            return p[0]
        if value == "probability":
            return np.exp(p[0]) / np.exp(p).sum()
        if value == "logodds":
            return np.log(np.exp(p[0]) / (1 - np.exp(p[0])))
        if value == "margin":
            return p[0] - max(p[1:])
        with torch.no_grad():
            reads = [
                hf(input_ids=torch.tensor([r + ids[0]])).logits[0].log_softmax(-1).double()
                for r in (full, given)
            ]
        steps = range(-len(ids[0]) - 1, -1)
        kl = [(reads[0][s].exp() * (reads[0][s] - reads[1][s])).sum().item() for s in steps]
        return -np.mean(kl)

    np.testing.assert_allclose(game(masks), [by_hand(x) for x in masks], atol=1e-4)


FAMILIES = ("llama", "qwen2", "gpt2", "gemma2", "mistral")


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
@pytest.mark.parametrize("answers", [[(3,), (4,)], [(3, 9), (4,)]])
def test_the_prefix_changes_nothing(tiny, family, answers):
    """Rows that share a beginning with the whole text, read with and without its keys and values."""
    rng = RNG(1)
    full = rng.integers(2, 60, 40).astype(np.int32)
    rows = [full, full[:5], full[:1], full[::-1].copy()]
    for _ in range(30):
        keep = rng.random(40) < 0.7
        keep[: rng.integers(0, 30)] = True
        rows.append(full[keep])
    found = {}
    for reuse in (True, False):
        reader = CausalReader(TextModel(tiny.hf, None, "causal"))
        reader.set_answers(full, answers, similarity=False, reuse=reuse)
        found[reuse] = reader.outputs(rows)
    np.testing.assert_allclose(found[True], found[False], atol=2e-4)
    for i in (0, 7, 20):
        by_hand = [continuation(tiny.hf, rows[i].tolist(), list(a)) for a in answers]
        np.testing.assert_allclose(found[True][i], by_hand, atol=2e-4)
    if family in ("llama", "gpt2"):
        assert Prefix(tiny.hf, full).usable


def test_the_prefix_spares_tokens(make):
    """What the model reads with and without: counted, not timed."""
    hf, tokenizer = make.gpt2(), make.byte_bpe()
    full = np.array(tokenizer(TEXT * 2)["input_ids"], dtype=np.int32)
    rows = [np.delete(full, i) for i in range(len(full) // 2, len(full))]
    counts = {}
    for reuse in (True, False):
        reader = CausalReader(TextModel(hf, tokenizer, "causal"))
        reader.set_answers(full, [(5,)], similarity=False, reuse=reuse)
        reader.outputs(rows[:1])
        seen = []
        handle = hf.register_forward_pre_hook(
            lambda m, a, k, seen=seen: seen.append(k["input_ids"].numel()), with_kwargs=True
        )
        reader.outputs(rows)
        handle.remove()
        counts[reuse] = sum(seen)
    assert counts[True] < 0.4 * counts[False]


def test_an_encoder_decoder_by_hand(make):
    hf, tokenizer = make.t5(), make.closed_bpe()
    game = features.text(hf, TEXT, tokenizer=tokenizer, level="sentence", target=["yes", "no"])

    def by_hand(mask):
        ids = torch.tensor([tokenizer(kept_text(game, mask))["input_ids"]])
        p = []
        for answer in ("yes", "no"):
            labels = torch.tensor([tokenizer(answer)["input_ids"]])
            with torch.no_grad():
                loss = hf(input_ids=ids, labels=labels).loss
            p.append(-float(loss) * labels.shape[1])
        return p[0] - p[1]

    masks = np.array([[1, 1], [1, 0]], dtype=bool)
    np.testing.assert_allclose(game(masks), [by_hand(x) for x in masks], atol=1e-4)
    # Without the first sentence its blank stays with the second one: tokens are cut once.
    assert (
        game.shown([False, True]) == " Pulling the lever moves the trolley to another track.<|end|>"
    )


def test_what_the_model_says_itself_is_the_default_target(make):
    causal = features.text(
        make.gpt2(), TEXT, tokenizer=make.byte_bpe(), target=features.Generated(3)
    )
    hf, tokenizer = make.gpt2(), make.byte_bpe()
    ids = torch.tensor([tokenizer(TEXT)["input_ids"]])
    with torch.no_grad():
        said = hf.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=3,
            do_sample=False,
            pad_token_id=0,
        )
    expected = continuation(hf, ids[0].tolist(), said[0, ids.shape[1] :].tolist())
    assert causal(np.ones((1, 2), bool))[0] == pytest.approx(expected, abs=1e-4)
    t5 = features.text(make.t5(), TEXT, tokenizer=make.closed_bpe(), target=features.Generated(4))
    ids = torch.tensor([make.closed_bpe()(TEXT)["input_ids"]])
    with torch.no_grad():
        said = make.t5().generate(ids, max_new_tokens=4, do_sample=False)[0, 1:]
        loss = make.t5()(input_ids=ids, labels=said[None]).loss
    got = t5(np.ones((1, 2), bool))[0]
    assert got == pytest.approx(-float(loss) * len(said), abs=1e-4)


def test_what_the_model_says_ends_with_its_context(make):
    tokenizer = make.byte_bpe()
    size = len(tokenizer(TEXT)["input_ids"])
    hf = make.gpt2(positions=size + 2)
    game = features.text(hf, TEXT, tokenizer=tokenizer, target=features.Generated(9))
    (answer,) = json.loads(game.key["continuations"])
    assert 1 <= len(answer) <= 2
    expected = continuation(hf, tokenizer(TEXT)["input_ids"], answer)
    assert game(np.ones((1, 2), bool))[0] == pytest.approx(expected, abs=1e-4)
    for positions, target in ((size, None), (size, " a"), (size - 1, None)):
        with pytest.raises(InputError, match=f"the model's context holds {positions}"):
            features.text(make.gpt2(positions=positions), TEXT, tokenizer=tokenizer, target=target)


def test_an_encoder_gives_the_cosine_to_the_whole_text(make):
    config = make.bert().config
    hf = make.seeded(lambda: transformers.BertModel(config))
    tokenizer = make.word_piece()
    game = features.text(hf, TEXT, tokenizer=tokenizer, level="word")

    def embed(text):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            return hf(input_ids=ids).last_hidden_state[0].mean(0).double().numpy()

    masks, whole = masks_of(game.players.n, count=8), embed(TEXT)
    states = [embed(kept_text(game, x)) for x in masks]
    expected = [s @ whole / np.linalg.norm(s) / np.linalg.norm(whole) for s in states]
    np.testing.assert_allclose(game(masks), expected, atol=1e-5)


def test_chats_put_the_text_into_the_template(make):
    hf, tokenizer = make.gpt2(), make.byte_bpe()
    game = features.text(
        hf,
        TEXT,
        tokenizer=tokenizer,
        template=features.Chat("Read: {text} Answer.", system="Be brief."),
        target="No",
    )
    assert game.shown([True, True]) == (
        f"<|system|>\nBe brief.<|end|>\n<|user|>\nRead: {TEXT} Answer.<|end|>\n<|assistant|>"
    )
    assert "Pulling" not in game.shown([True, False])


def test_tokens_as_players(make):
    hf, tokenizer = make.bert(), make.word_piece()
    game = features.text(hf, TEXT, tokenizer=tokenizer, level="token", removal="mask")
    pieces = tokenizer.tokenize(TEXT)
    assert game.players.n == len(pieces)
    x = RNG(0).random(len(pieces)) < 0.5
    expected = [p if keep else "[MASK]" for p, keep in zip(pieces, x, strict=True)]
    ids = tokenizer.convert_tokens_to_ids(["[CLS]", *expected, "[SEP]"])
    assert game.shown(x) == tokenizer.decode(ids)


def test_a_causal_classifier_without_a_padding_token(make):
    config = transformers.GPT2Config(
        vocab_size=300, n_embd=32, n_layer=2, n_head=4, num_labels=2, n_positions=128
    )
    hf = make.seeded(lambda: transformers.GPT2ForSequenceClassification(config))
    game = features.text(hf, TEXT, tokenizer=make.byte_bpe(), level="word", target=1)
    masks = masks_of(game.players.n, count=6)
    rows = [np.frombuffer(r, np.int32) for r in game.source.inputs((~masks).astype(int))]
    np.testing.assert_allclose(game(masks), [classify(hf, r.tolist())[1] for r in rows], atol=1e-5)


def test_the_answer_does_not_depend_on_batches_or_order(make):
    game = features.text(
        make.bert(), TEXT, tokenizer=make.word_piece(), level="word", value="margin"
    )
    masks = masks_of(game.players.n, count=100)
    whole = game(masks)
    np.testing.assert_allclose(np.concatenate([game(x[None]) for x in masks]), whole, atol=1e-5)
    order = RNG(3).permutation(len(masks))
    np.testing.assert_allclose(game(masks[order]), whole[order], atol=1e-5)


def test_equal_inputs_are_read_once(make):
    hf, tokenizer = make.bert(), make.word_piece()
    game = features.text(hf, "good good good good", tokenizer=tokenizer, level="word", target=0)
    read = []
    handle = hf.register_forward_pre_hook(
        lambda m, a, k: read.append(len(k["input_ids"])), with_kwargs=True
    )
    values = game(sm.designs.exhaustive(4).masks)
    handle.remove()
    assert sum(read) == 5  # texts of 0 to 4 words
    assert len(np.unique(values)) == 5


def test_fingerprints_follow_what_matters(make):
    hf, tokenizer = make.bert(), make.word_piece()
    make_game = lambda **o: features.text(hf, o.pop("text", TEXT), tokenizer=tokenizer, **o)  # noqa: E731
    games = [
        make_game(),
        make_game(text=TEXT.replace("lever", "key")),
        make_game(value="margin"),
        make_game(target=0),
        make_game(target=1),
        make_game(level="word"),
        make_game(removal="mask"),
        make_game(template="x {text}"),
    ]
    prints = [game.fingerprint for game in games]
    assert len(set(prints)) >= len(prints) - 1  # the default target is one of the two
    assert make_game().fingerprint == prints[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "  "}, "which has no word"),
        ({"text": []}, "a list of documents needs at least one"),
        ({"level": "document"}, "a list of documents"),
        ({"value": "kl"}, "value is 'kl', expected one of logit, margin"),
        ({"target": 7}, "target is 7, expected a class from 0 to 2"),
        ({"target": "joy"}, "target is 'joy', expected a class: LABEL_0"),
        ({"template": "no place"}, "expected a text with {text} in it"),
        ({"template": features.Chat()}, "a Chat is for causal models, this is a classifier"),
        ({"text": TEXT * 20}, "tokens, the model's context holds 128"),
        (
            {"removal": features.Removal("filler", filler="fruit " * 80)},
            "with its longest replacements .* holds 128",
        ),
        ({"level": [(0, 2), (1, 4)]}, "overlap"),
        ({"level": [(1, 3)]}, "has no token of its own"),
        ({"value": len}, "a function as value goes with functions"),
    ],
)
def test_bad_input(make, options, message):
    given = {"text": TEXT, **options}
    with pytest.raises(InputError, match=message):
        features.text(make.bert(), given.pop("text"), tokenizer=make.word_piece(), **given)


def test_bad_input_of_causal_models(make):
    hf, tokenizer = make.gpt2(), make.byte_bpe()
    cases = [
        ({"removal": "mask"}, "has no mask token; use removal='delete', 'unknown'"),
        ({"target": []}, "expected an answer"),
        ({"target": [" a", " a"]}, "the same answer twice"),
        ({"target": " a", "value": "margin"}, "there is one answer"),
        ({"tokenizer": None}, "needs tokenizer="),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=message):
            features.text(hf, TEXT, **{"tokenizer": tokenizer, **options})
    with pytest.raises(InputError, match="expected the name or folder of a model"):
        features.text(3, TEXT)


def test_values_that_are_not_finite_name_the_mask(make):
    hf, tokenizer = make.bert(), make.word_piece()
    game = features.text(hf, TEXT, tokenizer=tokenizer, target=0)
    with torch.no_grad():
        hf.classifier.bias[0] = float("nan")
    with pytest.raises(sm.InputError, match=r"mask 0 \(without Pulling the lever.*scores nan"):
        game(np.array([[True, False]]))


def test_documents_and_their_sentences(make):
    documents = ["The key is red. It is old. ", "\nA fruit.", "The track ends."]
    hf, tokenizer = make.bert(), make.word_piece()
    game = features.text(hf, documents, tokenizer=tokenizer, level="document")
    assert game.players.names == ["The key is red. It is old.", "A fruit.", "The track ends."]
    by_sentence = features.text(hf, documents, tokenizer=tokenizer, level="sentence")
    assert by_sentence.players.n == 4
    whole = np.ones((1, 4), bool)
    assert by_sentence(whole)[0] == pytest.approx(game(whole[:, :3])[0], abs=1e-6)
