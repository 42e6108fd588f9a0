"""BLiMP: the card, the published layouts, and whole sentences scored from their first word on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
import torch
import transformers

import spex_mech as sm
from spex_mech.tasks.cards import load_card
from spex_mech.tasks.prompts import encode
from spex_mech.tasks.task import SPLITS, ChoiceTask, Example

SHARED = Path(__file__).parents[3] / "shared" / "blimp"


def pairs(count: int = 20, name: str = "wh_island") -> list[dict]:
    return [
        {
            "sentence_good": f"Who {i} said they left?",
            "sentence_bad": f"Who {i} said who left?",
            "field": "syntax",
            "UID": name,
            "simple_LM_method": True,
            "pairID": str(i),
        }
        for i in range(count)
    ]


def write(file: Path, rows: list[dict]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_the_card_has_all_sets_in_the_phenomena_of_the_paper():
    card = load_card("blimp")
    sizes = {name: len(sets) for name, sets in card.groups.items()}
    assert sizes == {
        "anaphor_agreement": 2,
        "argument_structure": 9,
        "binding": 7,
        "control_raising": 5,
        "determiner_noun_agreement": 8,
        "ellipsis": 2,
        "filler_gap_dependency": 7,
        "irregular_forms": 2,
        "island_effects": 8,
        "npi_licensing": 7,
        "quantifiers": 4,
        "subject_verb_agreement": 6,
    }
    assert len(set(card.members)) == 67 + 12
    assert {"blimp", "blimp/binding", "blimp/wh_island"} <= set(sm.task_names())


@pytest.mark.parametrize(
    "name",
    [
        "wh_island.jsonl",
        "data/wh_island.jsonl",
        "wh_island/train-00000-of-00001.parquet",
        "data/wh_island/train.jsonl",
    ],
)
def test_published_layouts(tmp_path, name):
    write(tmp_path / name, pairs())
    write(tmp_path / "adjunct_island.jsonl", pairs(3, "adjunct_island"))
    task = sm.load_task("blimp/wh_island", data=tmp_path)
    assert len(task.examples) == 20 and task.chance == 0.5
    first = task.examples[0]
    assert (first.id, first.prompt, first.answer) == ("wh_island/train/0", "", 0)
    assert first.options == ("Who 0 said they left?", "Who 0 said who left?")


def test_splits_are_seeded_and_disjoint(tmp_path):
    write(tmp_path / "wh_island.jsonl", [*pairs(), *pairs(2)])

    def splits(seed: int) -> list[set]:
        task = sm.load_task("blimp/wh_island", data=tmp_path, seed=seed)
        return [{x.options for x in task.select(split)} for split in SPLITS]

    search, validation, test = splits(0)
    assert len(search | validation | test) == len(search) + len(validation) + len(test) == 20
    assert splits(0) == [search, validation, test] != splits(1)


def test_a_group_has_the_splits_of_its_sets(tmp_path):
    for name in load_card("blimp").groups["ellipsis"]:
        write(tmp_path / f"{name}.jsonl", pairs(10, name))
    task = sm.load_task("blimp/ellipsis", data=tmp_path)
    assert [len(task.select(split)) for split in SPLITS] == [10, 2, 8]


def test_broken_and_missing_sets_are_named(tmp_path):
    write(tmp_path / "wh_island.jsonl", [*pairs(1), {"sentence_good": "Who left?"}])
    with pytest.raises(ValueError, match=r"wh_island\.jsonl, row 2 has no 'sentence_bad'"):
        sm.load_task("blimp/wh_island", data=tmp_path)
    write(tmp_path / "wh_island.jsonl", [{**pairs(1)[0], "sentence_bad": None}])
    with pytest.raises(ValueError, match="row 1 has sentence_bad None, expected text"):
        sm.load_task("blimp/wh_island", data=tmp_path)
    with pytest.raises(
        FileNotFoundError,
        match=r"no train part of causative.*causative/train-0.* or, as published, causative\.jsonl",
    ):
        sm.load_task("blimp/causative", data=tmp_path)
    with pytest.raises(ValueError, match="has no shots; leave shots= out"):
        sm.load_task("blimp/wh_island", data=tmp_path, shots=1)


WORDS = ["<s>", "</s>", "[UNK]", *"abcdefgh"]


def words(*, adds_start: bool, **special: str):
    """One token a word."""
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    fast = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if adds_start:
        fast.post_processor = tokenizers.processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 0)]
        )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, unk_token="[UNK]", **special)


def sentences(*options: tuple[str, ...], prompt: str = "") -> ChoiceTask:
    examples = tuple(
        Example(f"q{i}", prompt, 0, texts, "search") for i, texts in enumerate(options)
    )
    return ChoiceTask("t", 1, examples, form="continuations", chance=0.5)


SENTENCES = (("a b c", "a d"), ("e f", "f e g h"))
BOTH = {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize(
    ("adds_start", "special", "first"),
    [(True, BOTH, 0), (False, BOTH, 0), (False, {"eos_token": "</s>"}, 1)],
)
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_whole_sentences_are_scored_as_plain_code_does(
    tiny_llama, adds_start, special, first, engine
):
    tokenizer = words(adds_start=adds_start, **special)
    model = sm.load_model(tiny_llama.hf, tokenizer=tokenizer)
    players = sm.select_players(model, "heads")
    game = sm.TaskGame(model, sentences(*SENTENCES), players, engine=engine)
    scores = game.scores(np.ones((1, players.n), dtype=bool))[0]
    for row, options in zip(scores, SENTENCES, strict=True):
        for score, text in zip(row, options, strict=True):
            ids = [first, *(WORDS.index(word) for word in text.split())]
            with torch.no_grad():
                logprob = model.hf(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
            expected = sum(float(logprob[i, token]) for i, token in enumerate(ids[1:]))
            assert score == pytest.approx(expected, abs=1e-5)
    margins = game.per_example(scores[None], metric="margin")[0]
    np.testing.assert_allclose(margins, scores[:, 0] - scores[:, 1], atol=1e-6)
    right = game.per_example(scores[None], metric="accuracy")[0]
    assert right.tolist() == (scores[:, 0] > scores[:, 1]).tolist()


def test_a_sentence_begins_with_the_space_that_separates_it_from_nothing():
    letters = {"</s>": 0, "Ġ": 1, "a": 2, "Ġa": 3, "b": 4, "Ġb": 5}
    merges = [("Ġ", "a"), ("Ġ", "b")]
    fast = tokenizers.Tokenizer(tokenizers.models.BPE(letters, merges, fuse_unk=False))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="</s>")
    prompts = encode(sentences(("a b", "b</s>")), "all", tokenizer, 64)
    assert prompts.tokens == ((0, 3, 5), (0, 5, 0))  # as lm-evaluation-harness: " a b"
    assert prompts.targets is not None and prompts.targets.tolist() == [2, 2]
    blank = encode(sentences(("a", "b"), prompt="\n"), "all", words(adds_start=True, **BOTH), 64)
    assert blank.tokens == ((0, WORDS.index("a")), (0, WORDS.index("b")))


def test_a_sentence_that_begins_with_the_start_token_gets_no_second_one():
    prompts = encode(sentences(("<s> a", "b")), "all", words(adds_start=True, **BOTH), 64)
    assert prompts.tokens == ((0, WORDS.index("a")), (0, WORDS.index("b")))


def test_questions_with_and_without_context_keep_their_order():
    task = ChoiceTask(
        "t",
        1,
        (
            Example("q0", "c", 0, ("a", "b"), "search"),
            Example("q1", "", 0, ("a", "b"), "search"),
            Example("q2", "", 1, ("d", "e"), "search", contexts=("f", "")),
        ),
        form="continuations",
    )
    prompts = encode(task, "all", words(adds_start=True, **BOTH), 64)
    expected = ("<s> c a", "<s> c b", "<s> a", "<s> b", "<s> f d", "<s> e")
    assert prompts.tokens == tuple(tuple(WORDS.index(w) for w in text.split()) for text in expected)


def test_a_sentence_that_nothing_can_stand_before_or_without_tokens():
    with pytest.raises(ValueError, match=r"'q0' has no text before .* no token \(BOS or EOS\)"):
        encode(sentences(("a", "b")), "all", words(adds_start=False), 64)
    with pytest.raises(ValueError, match="example 'q0' has an option without tokens: ' '"):
        encode(sentences(("a", "")), "all", words(adds_start=True, **BOTH), 64)


def test_the_ten_sets_as_published():
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/blimp")
    phenomenon = {s: group for group, sets in load_card("blimp").groups.items() for s in sets}
    files = sorted(SHARED.glob("*.jsonl"))
    for file in files:
        task = sm.load_task(f"blimp/{file.stem}", data=SHARED)
        assert [len(task.select(split)) for split in SPLITS] == [500, 100, 400]
        first = json.loads(file.read_text().split("\n", 1)[0])
        assert phenomenon[first["UID"]] == first["linguistics_term"]
    assert len(files) == 10
