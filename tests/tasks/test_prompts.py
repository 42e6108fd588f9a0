"""Prompts of every answer form: their tokens, and their scores against plain Hugging Face code."""

from __future__ import annotations

import numpy as np
import pytest
import tokenizers
import torch
import transformers

import spex_mech as sm
from spex_mech.tasks.chats import encode_texts, render
from spex_mech.tasks.prompts import encode, fitting
from spex_mech.tasks.task import Example, Turn
from tests.shared.word_tokenizer import CHAT, ids, task, words

RAGGED = (
    Example("q0", "a b c", 1, ("d", "e f g", "h"), "search"),
    Example("q1", "k l", 0, ("m n", "o"), "search"),
)


def test_continuations_as_tokens():
    prompts = encode(task(*RAGGED, form="continuations"), "all", words(), 64)
    assert prompts.tokens == tuple(
        ids(t)
        for t in (
            "<s> a b c d",
            "<s> a b c e f g",
            "<s> a b c h",
            "<s> k l m n",
            "<s> k l o",
        )
    )
    assert prompts.answers is None and prompts.targets is not None
    assert prompts.targets.tolist() == [1, 3, 1, 2, 1]
    assert prompts.options is not None and prompts.lengths is not None
    assert prompts.options.tolist() == [[0, 1, 2], [3, 4, -1]]
    assert prompts.lengths.tolist() == [[1, 5, 1], [3, 1, 1]]
    assert prompts.ids == ("q0", "q1") and prompts.right.tolist() == [1, 0]


def logprob(hf, context: str, option: str) -> float:
    """Log-probability of an option's words one by one, without the library."""
    total, seen = 0.0, list(ids(context))
    for token in ids(option):
        with torch.inference_mode():
            last = hf(torch.tensor([seen])).logits[0, -1].double()
        total += float(last.log_softmax(0)[token])
        seen.append(token)
    return total


def test_continuations_are_scored_as_plain_code_does(tiny_llama):
    model = sm.load_model(tiny_llama.hf, tokenizer=words())
    players = sm.select_players(model, "heads")
    game = sm.TaskGame(model, task(*RAGGED, form="continuations"), players, split="all")
    full = np.ones((1, players.n), dtype=bool)
    scores = game.scores(full)[0]
    expected = [
        [logprob(model.hf, f"<s> {x.prompt}", option) for option in x.options] for x in RAGGED
    ]
    np.testing.assert_allclose(scores[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(scores[1, :2], expected[1], atol=1e-5)
    assert scores[1, 2] == np.float32(-1e30)
    (a, b, c), (d, e) = expected
    margins = [b - max(a, c), d - e]
    np.testing.assert_allclose(game.per_example(scores[None])[0], margins, atol=1e-5)
    by_length = game.per_example(scores[None], metric="margin_norm")[0]
    np.testing.assert_allclose(by_length, [b / 5 - max(a, c), d / 3 - e], atol=1e-5)
    assert game.per_example(scores[None], metric="kl")[0] == pytest.approx(0, abs=1e-12)
    # Every mask, not only the full model: a head of layer 1 removed changes the scores.
    assert abs(game(~np.eye(players.n, dtype=bool)[5:6]) - game(full))[0] > 1e-6


def test_a_game_of_continuations_is_its_own_key(tiny_llama):
    model = sm.load_model(tiny_llama.hf, tokenizer=words())
    players = sm.select_players(model, "heads")
    whole = Example("q0", "a b c", 0, ("d e", "f g"), "search")
    parts = Example("q0", "a b c d", 0, ("e", "e"), "search", contexts=("a b c d", "a b c f"))
    one = sm.TaskGame(model, task(whole, form="continuations"), players)
    two = sm.TaskGame(model, task(parts, form="continuations"), players)
    assert one.prompts.tokens[0] == two.prompts.tokens[0]
    assert one.key["prompts"] != two.key["prompts"]


def test_contexts_of_their_own():
    example = Example("q", "a _ c", 1, ("c d", "c d"), "search", contexts=("a x", "a y y"))
    prompts = encode(task(example, form="continuations"), "all", words(), 64)
    assert prompts.tokens == (ids("<s> a x c d"), ids("<s> a y y c d"))
    assert prompts.targets is not None and prompts.targets.tolist() == [2, 2]
    with pytest.raises(
        ValueError, match="'q' has a context for each option, which has no chat form"
    ):
        encode(task(example, form="continuations", chat="turns"), "all", words(), 64)


def test_spaces_at_the_end_of_a_context_belong_to_the_option():
    example = Example("q", "a b ", 0, ("c", "d"), "search")
    prompts = encode(task(example, form="continuations"), "all", words(), 64)
    assert prompts.tokens[0] == ids("<s> a b c")


def test_a_tokenizer_that_joins_prompt_and_option():
    vocabulary = {"a": 0, "b": 1, "ab": 2}
    fast = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, [("a", "b")]))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=fast)
    example = Example("q", "<s>a", 0, ("b", "a"), "search", turns=(Turn("user", "a"),))
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    joined = task(example, form="continuations", chat="turns")
    with pytest.raises(
        ValueError, match=r"'q': this tokenizer joins the end of the prompt with .* 'b'"
    ):
        encode(joined, "all", tokenizer, 64)


def test_texts():
    example = Example("q", "a b c", 0, (), "search")
    prompts = encode(task(example, form="texts", metric="logprob"), "all", words(), 64)
    assert prompts.tokens == (ids("<s> a b c"),)
    assert not prompts.has_answers and prompts.targets is None
    with pytest.raises(ValueError, match="text 'q' has 1 tokens, expected at least 2"):
        encode(task(Example("q", "", 0, (), "search"), form="texts"), "all", words(), 64)


def test_texts_are_scored_as_token_tasks_are(tiny_llama):
    model = sm.load_model(tiny_llama.hf, tokenizer=words())
    players = sm.select_players(model, "heads")
    texts = task(Example("q", "a b c d", 0, (), "search"), form="texts", metric="logprob")
    tokens = sm.TokenTask([ids("<s> a b c d")])
    masks = np.random.default_rng(0).random((3, players.n)) < 0.7
    ours = sm.TaskGame(model, texts, players)(masks)
    np.testing.assert_array_equal(ours, sm.TaskGame(model, tokens, players)(masks))


TURNS = (
    Turn("system", "a"),
    Turn("user", "b", " "),
    Turn("assistant", "c", " d "),
    Turn("user", "e"),
)


def test_chats():
    tokenizer = words()
    assert render("plain", TURNS, None, tokenizer) == "plain"
    assert render("", TURNS, "turns", tokenizer) == "<s><s>a<u>b<a>c<u>e<t>"
    assert render("", TURNS, "single", tokenizer) == "<s><s>a<u>b c d e<t>"
    assert render("plain", (), "turns", tokenizer) == "<s><u>plain<t>"
    refusing = words(chat=CHAT.replace("no_system is defined", "true"))
    assert render("", TURNS, "turns", refusing) == "<s><u>b<a>c<u>e<t>"
    with pytest.raises(
        ValueError, match="the tokenizer has no chat template; load the task without"
    ):
        render("plain", (), "turns", words(chat=None))


def test_the_start_token_comes_once():
    assert encode_texts(words(), ["a b", "<s> a b"]) == [ids("<s> a b")] * 2
    assert encode_texts(words(start=False), ["a b"]) == [ids("a b")]


def test_a_chat_is_answered_without_a_space():
    """After a template the option comes at once, as in lm-evaluation-harness."""
    merges = {"<s>": 0, "</s>": 1, "Ġ": 2, "A": 3, "B": 4, "ĠA": 5, "ĠB": 6, "x": 7, ":": 8}
    fast = tokenizers.Tokenizer(tokenizers.models.BPE(merges, [("Ġ", "A"), ("Ġ", "B")]))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<s>", eos_token="</s>"
    )
    tokenizer.chat_template = "{{ bos_token }}{{ messages[0]['content'] }}"
    example = Example("q", "x:", 0, ("A", "B"), "search")
    plain = encode(task(example), "all", tokenizer, 64)
    chat = encode(task(example, chat="turns"), "all", tokenizer, 64)
    assert plain.answers is not None and plain.answers.tolist() == [[5, 6]]
    assert chat.answers is not None and chat.answers.tolist() == [[3, 4]]
    assert plain.tokens == ((7, 8),) and chat.tokens == ((0, 7, 8),)


def test_questions_that_do_not_fit_are_left_out_when_asked():
    long = Example("q2", "a " * 70, 0, ("d", "e f"), "test")
    both = task(*RAGGED, long, form="continuations")
    with pytest.raises(ValueError, match="prompt 'q2' has 73 tokens, the model's context holds 64"):
        encode(both, "test", words(), 64)
    assert fitting(both, words(), 64) == task(*RAGGED, form="continuations")
    pairs = (
        Example("q0", "a", 0, (" b", " c"), "search"),
        Example("q1", "a", 0, (" b c", " d"), "search"),
    )
    with pytest.raises(ValueError, match=r"not single, distinct tokens .* form='continuations'"):
        encode(task(*pairs, form="pairs"), "all", words(), 64)
    assert fitting(task(*pairs, form="pairs"), words()) == task(pairs[0], form="pairs")
