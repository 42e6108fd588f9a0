"""MMLU: both published layouts, the prompts byte for byte, shots, splits, and broken files."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spex_mech as sm
from spex_mech.tasks.cards import load_card
from spex_mech.tasks.hub import Dataset

US, EU = "high_school_us_history", "high_school_european_history"
SHARED = Path(__file__).parents[3] / "shared" / "mmlu"
# Quotes, commas, line breaks, blanks at both ends and braces: what real questions have.
QUESTIONS = [
    (' "Liberty," he said,\nwas {dear}.  Who spoke? ', ["Jay", "Henry ", "Paine", "None"], 1),
    ("What year was it?", ["1776", "1787", "1492", "1812"], 3),
]
DEV = [(f"Shot {i}?\n", [f"w{i}", f"x{i}", f"y{i}", f"z{i}"], i % 4) for i in range(5)]


def rows(part: str, count: int) -> list[tuple[str, list[str], int]]:
    return [(f"{part} {i}?", ["one", "two", "three", "four"], i % 4) for i in range(count)]


def write_archive(folder: Path, parts: dict[str, list], subject: str = US) -> Path:
    for part, questions in parts.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        file = folder / part / f"{subject}_{part}.csv"
        with file.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerows([q, *choices, "ABCD"[a]] for q, choices, a in questions)
    return folder


def write_hub(folder: Path, parts: dict[str, list], subject: str = US) -> Path:
    (folder / subject).mkdir(parents=True)
    for part, questions in parts.items():
        columns = dict(
            zip(("question", "choices", "answer"), zip(*questions, strict=True), strict=True)
        )
        table = pa.table({**columns, "subject": [subject] * len(questions)})
        pq.write_table(table, folder / subject / f"{part}-00000-of-00001.parquet")
    return folder


def test_both_layouts_give_the_same_task(tmp_path):
    parts = {"dev": DEV, "test": QUESTIONS}
    archive = sm.load_task(f"mmlu/{US}", data=write_archive(tmp_path / "a", parts), shots=2)
    hub = sm.load_task(f"mmlu/{US}", data=write_hub(tmp_path / "b", parts), shots=2)
    assert archive == hub
    below = write_archive(tmp_path / "c" / "data", parts)
    assert sm.load_task(f"mmlu/{US}", data=below.parent, shots=2) == hub
    assert [x.answer for x in hub.examples] == [1, 3]
    assert [x.id for x in hub.examples] == [f"{US}/test/0", f"{US}/test/1"]


def test_the_column_subject_of_the_file_of_all(tmp_path):
    table = pa.table(
        {
            "question": ["a?", "b?"],
            "subject": [EU, US],
            "choices": [list("wxyz")] * 2,
            "answer": [0, 1],
        }
    )
    (tmp_path / "all").mkdir()
    pq.write_table(table, tmp_path / "all" / "test-00000-of-00001.parquet")
    task = sm.load_task(f"mmlu/{US}", data=tmp_path)
    assert [x.answer for x in task.examples] == [1]


def test_prompts_byte_for_byte(tmp_path):
    data = write_archive(tmp_path, {"dev": DEV, "test": QUESTIONS})
    intro = "The following are multiple choice questions (with answers) about high school us history.\n\n"
    question = '"Liberty," he said,\nwas {dear}.  Who spoke?\nA. Jay\nB. Henry \nC. Paine\nD. None\nAnswer:'
    assert sm.load_task(f"mmlu/{US}", data=data).examples[0].prompt == intro + question
    shots = (
        "Shot 0?\nA. w0\nB. x0\nC. y0\nD. z0\nAnswer: A\n\n"
        "Shot 1?\nA. w1\nB. x1\nC. y1\nD. z1\nAnswer: B\n\n"
    )
    task = sm.load_task(f"mmlu/{US}", data=data, shots=2)
    assert task.examples[0].prompt == intro + shots + question
    turns = task.examples[0].turns
    assert [t.role for t in turns] == ["system", *["user", "assistant"] * 2, "user"]
    assert "".join(t.text + t.after for t in turns) == task.examples[0].prompt


def test_the_card_has_all_subjects_in_four_groups(tmp_path):
    card = load_card("mmlu")
    sizes = {name: len(subjects) for name, subjects in card.groups.items()}
    assert sizes == {"stem": 19, "humanities": 13, "social_sciences": 12, "other": 13}
    assert len(set(card.subjects(""))) == 57
    assert {"mmlu", "mmlu/stem", f"mmlu/{US}"} <= set(sm.task_names())
    with pytest.raises(FileNotFoundError, match=r"no test part of formal_logic: it holds"):
        sm.load_task("mmlu/humanities", data=write_archive(tmp_path, {"test": QUESTIONS}))


def test_a_group_has_the_shots_and_splits_of_its_subjects(tmp_path):
    for subject in load_card("mmlu").groups["social_sciences"]:
        parts = {"dev": [(f"{subject} shot?", list("wxyz"), 0)], "test": rows(subject, 10)}
        write_archive(tmp_path, parts, subject)
    task = sm.load_task("mmlu/social_sciences", data=tmp_path, shots=1)
    assert len(task.examples) == 120
    alone = sm.load_task("mmlu/sociology", data=tmp_path, shots=1)
    assert alone.examples == tuple(x for x in task.examples if x.id.startswith("sociology/"))
    assert "about sociology.\n\nsociology shot?" in alone.examples[0].prompt


def test_splits_are_fixed_and_disjoint(tmp_path):
    data = write_archive(tmp_path, {"test": rows("test", 100)})
    task = sm.load_task(f"mmlu/{US}", data=data)
    sizes = [len(task.select(s)) for s in ("search", "validation", "test")]
    assert sizes == [50, 10, 40] and len(task.select("all")) == 100
    again = sm.load_task(f"mmlu/{US}", data=data)
    other = sm.load_task(f"mmlu/{US}", data=data, seed=1)
    assert again == task != other
    # The order of the file does not matter, and neither do the shots.
    turned = write_archive(tmp_path / "b", {"test": rows("test", 100)[::-1], "dev": DEV})
    shown = sm.load_task(f"mmlu/{US}", data=turned, shots=3)
    assert [x.split for x in shown.examples][::-1] == [x.split for x in task.examples]


def test_equal_questions_share_a_split(tmp_path):
    data = write_archive(tmp_path, {"test": rows("test", 40) * 2})
    for seed in range(5):
        task = sm.load_task(f"mmlu/{US}", data=data, seed=seed)
        for first, second in zip(task.examples[:40], task.examples[40:], strict=True):
            assert first.split == second.split


def test_the_published_cut(tmp_path):
    parts = {"test": rows("test", 204), "val": rows("val", 22), "dev": rows("dev", 5)}
    data = write_archive(tmp_path, parts)
    task = sm.load_task(f"mmlu/{US}", data=data, cut="published")
    assert len(task.select("search")) == 120 and len(task.select("test")) == 111
    with pytest.raises(ValueError, match="no validation examples"):
        task.select("validation")
    parts_of = {x.id.split("/")[1] for x in task.select("search")}
    assert parts_of == {"test", "validation", "dev"}
    with pytest.raises(ValueError, match="asks the dev questions too, which shots would show"):
        sm.load_task(f"mmlu/{US}", data=data, cut="published", shots=1)
    (data / "val" / f"{US}_val.csv").unlink()
    with pytest.raises(FileNotFoundError, match=f"no validation part of {US}"):
        sm.load_task(f"mmlu/{US}", data=data, cut="published")
    small = write_archive(tmp_path / "b", {p: rows(p, 5) for p in ("test", "val", "dev")})
    with pytest.raises(ValueError, match="120 search questions needs more than the 15 there are"):
        sm.load_task(f"mmlu/{US}", data=small, cut="published")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "Which?,w,x,y,C",
            r"history_test\.csv, row 2 \(line 2\) has 5 columns, expected 6: question",
        ),
        ("Which?,w,x,y,z,E", r"row 2 .* answer 'E'; expected .* a letter from A to D"),
        ("Which?,w,x,y,z,c", r"row 2 .* answer 'c'"),
        ('"Which" one?,w,x,y,z,C', r"row 2 \(line 2\) cannot be read: .*quotes doubled"),
        ('"Which?,w,x,y,z,C', r"row 2 \(line \d\) cannot be read: unexpected end of data"),
    ],
)
def test_broken_rows_of_the_archive_are_named(tmp_path, line, message):
    data = write_archive(tmp_path, {"test": rows("test", 1)})
    file = data / "test" / f"{US}_test.csv"
    file.write_text(file.read_text() + line + "\nWho?,w,x,y,z,A\n")
    with pytest.raises(ValueError, match=message):
        sm.load_task(f"mmlu/{US}", data=data)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (
            ("Which?", list("wxyz"), 4),
            r"parquet, row 1 has 4 choices and answer 4; expected .* 0 to 3",
        ),
        (("Which?", list("wxy"), 1), r"row 1 has 3 choices and answer 1; expected 4 choices"),
        ((None, list("wxyz"), 1), "row 1 has question None, expected text"),
    ],
)
def test_broken_rows_of_the_hubs_files_are_named(tmp_path, question, message):
    with pytest.raises(ValueError, match=message):
        sm.load_task(f"mmlu/{US}", data=write_hub(tmp_path, {"test": [question]}))


def test_files_that_cannot_be_used(tmp_path):
    data = write_hub(tmp_path, {"test": QUESTIONS})
    file = data / US / "test-00000-of-00001.parquet"
    file.write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match=r"parquet is no Parquet file: .*fetch it again"):
        sm.load_task(f"mmlu/{US}", data=data)
    with pytest.raises(
        FileNotFoundError, match="does not exist; give the folder that holds the files"
    ):
        sm.load_task(f"mmlu/{US}", data=tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=f"no test part of {EU}: it holds {US}/test"):
        sm.load_task(f"mmlu/{EU}", data=data)


def test_more_shots_than_dev_has(tmp_path):
    data = write_archive(tmp_path, {"dev": DEV, "test": QUESTIONS})
    with pytest.raises(
        ValueError, match=r"has 5 questions to show .* cannot give 6 shots; ask for 0 to 5"
    ):
        sm.load_task(f"mmlu/{US}", data=data, shots=6)
    with pytest.raises(ValueError, match="cannot give -1 shots"):
        sm.load_task(f"mmlu/{US}", data=data, shots=-1)


def test_a_subject_that_does_not_exist():
    with pytest.raises(
        ValueError, match=f"unknown task 'mmlu/us_history'; did you mean .*mmlu/{US}"
    ):
        sm.load_task("mmlu/us_history")


def test_without_a_network(monkeypatch, tmp_path):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    message = (
        r"cannot load cais/mmlu \(high_school_us_history\) at c30699e\w+ from the hub: "
        r"ConnectionError.* put the files .* in a folder .*pass data=<folder>"
    )
    with pytest.raises(FileNotFoundError, match=message):
        sm.load_task(f"mmlu/{US}")


def test_what_is_asked_of_the_hub(monkeypatch):
    """The hub is asked for the pinned commit; rows come as the files' do; a wrong commit is refused."""
    import datasets

    asked = []

    class Builder:
        hash = "c30699e8356da336a370243923dbaf21066bb9fe"

        def download_and_prepare(self):
            asked.append("prepared")

        def as_dataset(self, split):
            asked.append(split)
            return [{"question": "Which?", "choices": list("wxyz"), "answer": 2, "subject": US}]

    def load(path, name, *, revision):
        asked.append((path, name, revision))
        return Builder()

    monkeypatch.setattr(datasets, "load_dataset_builder", load)
    task = sm.load_task(f"mmlu/{US}", shots=1)
    assert [x.answer for x in task.examples] == [2]
    assert asked[0] == ("cais/mmlu", US, Builder.hash) and asked[2] == "test" and asked[5] == "dev"
    with pytest.raises(ValueError, match=f"holds commit {Builder.hash} instead of cais/mmlu"):
        Dataset("cais/mmlu", "0" * 40, None).rows(US, "test")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the two real subjects are not at ../shared/mmlu")
@pytest.mark.parametrize("subject", [US, EU])
def test_real_subjects_in_both_layouts(subject):
    archive = sm.load_task(f"mmlu/{subject}", data=SHARED / "hendrycks", shots=5)
    hub = sm.load_task(f"mmlu/{subject}", data=SHARED / "hf", shots=5)
    assert archive == hub
    assert len(hub.examples) == {US: 204, EU: 165}[subject]


def test_a_mark_at_the_start_of_a_file_is_no_part_of_the_first_prompt(tmp_path):
    folder = write_archive(tmp_path, {"test": QUESTIONS})
    before = sm.load_task(f"mmlu/{US}", data=folder)
    file = folder / "test" / f"{US}_test.csv"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert sm.load_task(f"mmlu/{US}", data=folder) == before
