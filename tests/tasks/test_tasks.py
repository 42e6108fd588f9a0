"""Tasks, prompts and cards: what is read, and every kind of bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tokenizers
import transformers

import spex_mech as sm
from spex_mech.tasks.prompts import encode, fitting
from spex_mech.tasks.task import ChoiceTask, Example

TEMPLATE = r"{passage}{question}\nA. {A}\nB. {B}\nC. {C}\nD. {D}\nAnswer:"
CARD = f"""
version = 1
description = "a test"
data = "rows.jsonl"
template = "{TEMPLATE}"
options = ["A", "B", "C", "D"]
metric = "margin"
"""
ROW = {
    "id": "q0",
    "split": "search",
    "passage": "",
    "question": "Which?",
    "choices": list("wxyz"),
    "answer": 2,
}


def tokenizer_of(*words: str):
    vocabulary = {word: i for i, word in enumerate(["[UNK]", *words])}
    fast = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, unk_token="[UNK]")


WORDS = tokenizer_of("Which", "?", "A", "B", "C", "D", ".", ":", "Answer", *"wxyz")


def card(tmp_path, rows=(ROW,), text=CARD) -> str:
    (tmp_path / "card.toml").write_text(text)
    (tmp_path / "rows.jsonl").write_text(
        "\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows)
    )
    return str(tmp_path / "card.toml")


def test_a_card_of_ones_own(tmp_path):
    second = {**ROW, "id": "q1", "passage": "Read this.", "split": "test"}
    task = sm.load_task(card(tmp_path, [ROW, second]))
    assert task.examples[0].prompt == "Which?\nA. w\nB. x\nC. y\nD. z\nAnswer:"
    assert task.examples[1].prompt.startswith("Read this.\nWhich?\n")
    assert task.examples[0].answer == 2
    assert [x.id for x in task.select("test")] == ["q1"]
    assert len(task.select("all")) == 2
    with pytest.raises(ValueError, match="no validation examples"):
        task.select("validation")
    with pytest.raises(ValueError, match="unknown split 'train'; expected one of"):
        task.select("train")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (['{"id": 1'], r"rows\.jsonl, row 1 is not JSON"),
        (
            [ROW, {**ROW, "id": "q1", "answer": 4}],
            r"row 2 has 4 choices and answer 4; expected .* 0 to 3",
        ),
        ([{**ROW, "choices": ["w"]}], "row 1 has 1 choices"),
        ([{**ROW, "split": "train"}], "row 1 has split 'train'"),
        ([{"id": "q0"}], "row 1 has no 'question'; its columns are id"),
        ([{"question": "?"}], "row 1 lacks choices"),
        ([{**ROW, "choices": "wxyz"}], "row 1 has choices 'wxyz', expected a list of texts"),
        (
            [{**ROW, "answer": "E"}],
            "answer 'E'; expected an answer from 0 to 3 or a letter from A to D",
        ),
        ([ROW, ROW], r"same id: \['q0'\]"),
    ],
)
def test_broken_rows_are_named(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        sm.load_task(card(tmp_path, rows))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "metric =",
            "metrics =",
            r"card\.toml, line 7: unknown key 'metrics'; did you mean 'metric'",
        ),
        ('metric = "margin"', "", r"\(lines 1 to 7\) lacks 'metric'; add a line such as: metric ="),
        ("version = 1", 'version = "1"', r"line 2: version is '1', expected a whole number"),
        (
            "metric =",
            'form = "essay"\nmetric =',
            r"line 7: unknown form 'essay'; expected one of letters",
        ),
        (
            "data =",
            "date =",
            "has no source; expected one of the keys data, hub, generator, players",
        ),
        ("version = 1", "version =", r"card\.toml is not TOML"),
        (
            "{question}",
            "{query}",
            r"template .* cannot be filled \(KeyError: 'query'\); its fields are",
        ),
    ],
)
def test_broken_cards_are_named(tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message):
        sm.load_task(card(tmp_path, text=CARD.replace(old, new)))


def test_a_card_without_its_files(tmp_path):
    path = card(tmp_path)
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match="has no data file"):
        sm.load_task(path)
    with pytest.raises(FileNotFoundError, match=r"'none\.toml' does not exist"):
        sm.load_task("none.toml")


def test_a_card_of_ones_own_is_found_without_its_ending(tmp_path):
    assert sm.load_task(card(tmp_path)) == sm.load_task(str(tmp_path / "card"))


def test_questions_in_other_files(tmp_path):
    header = "question,A,B,C,D,answer\n"
    (tmp_path / "own.csv").write_text(header + '"Which, now?",w,x,y,z,C\nWho?,w,x,y,z,A\n')
    task = sm.load_task(card(tmp_path), data=tmp_path / "own.csv")
    assert [x.answer for x in task.examples] == [2, 0]
    assert [x.id for x in task.examples] == ["own/0", "own/1"]
    assert task.examples[0].prompt == "Which, now?\nA. w\nB. x\nC. y\nD. z\nAnswer:"
    (tmp_path / "own.csv").write_text(header + "Which?,w,x,y,z,C\nWho?,w,x,y\n")
    with pytest.raises(ValueError, match=r"own\.csv, row 2 \(line 3\) has 4 columns, expected 6"):
        sm.load_task(card(tmp_path), data=tmp_path / "own.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots": 2}, "'card' has no shots; leave shots= out"),
        ({"cut": "published"}, "'card' has no cut"),
        ({"cut": "half"}, "unknown cut 'half'; expected one of seeded, published"),
        ({"chat": "verbose"}, "unknown chat 'verbose'; expected one of turns, single"),
        ({"form": "essay"}, "unknown answer form 'essay'"),
    ],
)
def test_options_that_a_card_cannot_serve(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        sm.load_task(card(tmp_path), **options)


def test_leaving_examples_out(tmp_path):
    task = sm.load_task(card(tmp_path, [ROW, {**ROW, "id": "q1"}]))
    assert [x.id for x in task.without(["q0"]).examples] == ["q1"]
    with pytest.raises(ValueError, match=r"has no examples \['q2'\]"):
        task.without(["q2"])


def test_an_unknown_task_offers_near_names():
    with pytest.raises(
        ValueError, match=r"unknown task 'embeded/peple'; did you mean embedded/people"
    ):
        sm.load_task("embeded/peple")


def example(prompt="Which ? Answer :", options=("A", "B", "C", "D"), name="q0") -> Example:
    return Example(name, prompt, 0, options, "search")


def task_of(*examples: Example) -> ChoiceTask:
    return ChoiceTask("t", 1, examples)


def test_options_are_single_tokens_after_the_prompt():
    prompts = encode(task_of(example()), "search", WORDS, 64)
    assert prompts.answers is not None
    assert WORDS.convert_ids_to_tokens(prompts.answers[0].tolist()) == ["A", "B", "C", "D"]
    assert prompts.tokens == (tuple(WORDS("Which ? Answer :")["input_ids"]),)


def test_options_of_bytelevel_tokenizers_take_the_leading_space():
    letters = {"Ġ": 0, "A": 1, "ĠA": 2, "B": 3, "ĠB": 4, "x": 5, ":": 6}
    fast = tokenizers.Tokenizer(
        tokenizers.models.BPE(letters, [("Ġ", "A"), ("Ġ", "B")], fuse_unk=False)
    )
    fast.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=fast)
    prompts = encode(task_of(example("x:", ("A", "B"))), "search", tokenizer, 64)
    assert prompts.answers is not None and prompts.answers.tolist() == [[2, 4]]
    pairs = ChoiceTask("t", 1, (example("x:", ("A", "B")),), form="pairs")
    prompts = encode(pairs, "search", tokenizer, 64)
    assert prompts.answers is not None and prompts.answers.tolist() == [[1, 3]]


def test_options_that_are_not_single_tokens():
    for options in (("A", "B w"), ("A", "unknown", "words")):
        with pytest.raises(ValueError, match=r"not single, distinct tokens .*example 'q0'"):
            encode(task_of(example(options=options)), "search", WORDS, 64)


def test_a_prompt_longer_than_the_context_is_named():
    long = example("Which " * 65, name="q1")
    with pytest.raises(ValueError, match="prompt 'q1' has 65 tokens, the model's context holds 64"):
        encode(task_of(example(), long), "search", WORDS, 64)
    kept = fitting(task_of(example(), long), WORDS, 64)
    assert [x.id for x in kept.examples] == ["q0"]
    with pytest.raises(
        ValueError, match="no question of task 't' fits; the first, 'q1': 65 tokens"
    ):
        fitting(task_of(long), WORDS, 64)


def test_text_without_a_tokenizer(tiny_llama):
    players = sm.select_players(tiny_llama, "heads")
    with pytest.raises(ValueError, match="has no tokenizer; pass tokenizer= to load_model"):
        sm.TaskGame(tiny_llama, task_of(example()), players)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: sm.TokenTask([[1, 2]], attention_mask=[[1, 1, 1]]),
            r"attention_mask has shape \(1, 3\)",
        ),
        (lambda: sm.TokenTask([[1, 2, 3]], attention_mask=[[1, 0, 1]]), "example 0 has a gap"),
        (lambda: sm.TokenTask([[1, 2, 3], [4, 5]]), "input_ids has rows of different lengths"),
        (
            lambda: sm.TokenTask([[1, 2]] * 2, attention_mask=[[1, 1], [1]]),
            "attention_mask has rows of different lengths",
        ),
        (
            lambda: sm.TokenTask([[1, 2], [1, 2]], attention_mask=[[1, 1], [0, 1]]),
            "example 1 has 1 tokens",
        ),
        (lambda: sm.TokenTask([[1.5, 2]]), "float64, expected integers"),
        (lambda: sm.TokenTask([1, 2]), r"shape \(2,\)"),
        (
            lambda: sm.TokenTask([[1, 2]], answers=[[3]]),
            r"answers have shape \(1, 1\), expected \(1, 2\)",
        ),
        (
            lambda: sm.TokenTask([[1, 2]], answers=[[3, 4], [5, 6]]),
            r"shape \(2, 2\), expected \(1, 2\)",
        ),
        (lambda: sm.TokenTask([[1, 2]], target="all"), "unknown target 'all'"),
    ],
)
def test_bad_token_tasks(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"metric": "f1"},
            "unknown metric 'f1' .*; expected one of accuracy, accuracy_first, margin, ",
        ),
        ({"ablation": "noise"}, "unknown ablation 'noise'; expected one of zero, mean, resample"),
        ({"ablation": "mean", "rescale": True}, "rescale=True goes with zero ablation only"),
        ({"split": "test"}, "a TokenTask has no test split"),
    ],
)
def test_bad_games(tiny_llama, options, message):
    task = sm.TokenTask(np.ones((2, 5), dtype=int), answers=[[1, 2], [3, 4]])
    with pytest.raises(ValueError, match=message):
        sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama), **options)


def test_a_game_refuses_masks_that_do_not_fit(tiny_llama):
    task = sm.TokenTask(np.ones((2, 5), dtype=int))
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama))
    with pytest.raises(ValueError, match="3 players wide, expected 12"):
        game(np.ones((1, 3), dtype=bool))
    with pytest.raises(ValueError, match="int64, expected bool"):
        game(np.ones((1, 12), dtype=int))
    other = sm.PlayerSet.from_names(["x"])
    with pytest.raises(ValueError, match="'x' is not a part of a model"):
        sm.TaskGame(tiny_llama, task, other)(np.ones((1, 1), dtype=bool))


def test_a_score_that_is_not_finite_names_mask_and_example(tiny_llama):
    tiny_llama.hf.lm_head.weight.data[7] = float("nan")
    task = sm.TokenTask([[1, 2], [3, 4]], answers=[[1, 2], [7, 4]])
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama, "heads:1"))
    mask = np.array([[True, False, True, True]])
    with pytest.raises(ValueError, match=r"without L1H1\) scores \[ *nan .* on example '1'"):
        game(mask)


def test_metrics_by_hand(tiny_llama):
    scores = np.array([[[2.0, 1.0, 0.0], [0.0, 3.0, 3.0]], [[1.0, 1.0, 1.0], [5.0, 0.0, 4.0]]])
    task = sm.TokenTask([[1, 2], [3, 4]], answers=[[1, 2, 3], [4, 5, 6]])
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama))
    scores = scores.astype(np.float32)
    np.testing.assert_allclose(game.per_example(scores, metric="margin"), [[1, -3], [0, 1]])
    np.testing.assert_allclose(game.per_example(scores, metric="accuracy"), [[1, 0], [0, 1]])
    logprob = [
        [2 - np.log(np.exp([2, 1, 0]).sum()), -np.log(1 + 2 * np.exp(3))],
        [-np.log(3), 5 - np.log(np.exp([5, 0, 4]).sum())],
    ]
    np.testing.assert_allclose(game.per_example(scores, metric="logprob"), logprob)
    assert sm.TaskGame(tiny_llama, task, game.players, metric="kl")(np.ones((1, 12), bool)) == 0
    p, q = np.exp(game._full[0].astype(float)), np.exp(scores[0].astype(float))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    expected = -(p * np.log(p / q)).sum(1)
    np.testing.assert_allclose(game.per_example(scores[:1], metric="kl")[0], expected, rtol=1e-5)
