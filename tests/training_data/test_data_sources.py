"""Digits, reviews, and hub data sets in folders."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.training_data import Vocabulary, digits, load_examples, review_words, reviews


def png(array: np.ndarray) -> dict:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def write(path: Path, columns: dict, names: list[str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
    pq.write_table(table, path)


def pictures(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)


def test_cifar10_in_a_folder(tmp_path: Path):
    images = pictures(4, 32, 32, 3)
    write(
        tmp_path / "plain_text" / "train-00000-of-00001.parquet",
        {"img": [png(x) for x in images], "label": [0, 9, 3, 3]},
    )
    found = load_examples("cifar10", data=tmp_path)
    assert found.inputs.shape == (4, 3, 32, 32)
    np.testing.assert_allclose(found.inputs, images.transpose(0, 3, 1, 2) / 255.0, atol=1e-6)
    assert [found.name(i) for i in range(3)] == ["airplane", "truck", "cat"]


def test_mnist_in_a_folder(tmp_path: Path):
    images = pictures(3, 28, 28)
    write(
        tmp_path / "mnist" / "test-00000-of-00001.parquet",
        {"image": [png(x) for x in images], "label": [7, 2, 1]},
    )
    found = load_examples("mnist", data=tmp_path, split="test")
    np.testing.assert_allclose(found.inputs[:, 0], images / 255.0, atol=1e-6)
    assert found.classes[found.labels[0]] == "7"


def test_any_folder_with_its_own_class_names(tmp_path: Path):
    write(
        tmp_path / "data" / "train-00000-of-00001.parquet",
        {"image": [png(x) for x in pictures(3, 8, 8)], "label": [1, 0, 1]},
        names=["bee", "ant"],
    )
    found = load_examples(tmp_path)
    assert found.classes == ("bee", "ant")
    assert found.inputs.shape == (3, 1, 8, 8)


def test_texts_with_labels_in_words(tmp_path: Path):
    lines = [
        {"sentence": "Good, good film!", "label": "yes"},
        {"sentence": "a bad one", "label": "no"},
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = load_examples(tmp_path, length=6)
    assert found.classes == ("no", "yes")
    assert found.labels.tolist() == [1, 0]
    assert found.texts[1] == "a bad one"
    # good twice comes first, then the others in alphabetical order: ! , a bad film one
    assert found.inputs.tolist() == [[2, 4, 2, 7, 3, 0], [5, 6, 8, 0, 0, 0]]
    words = Vocabulary.of(found.texts, most=1)
    assert load_examples(tmp_path, length=3, vocabulary=words).inputs[0].tolist() == [2, 1, 2]


def test_a_draw_of_rows(tmp_path: Path):
    (tmp_path / "train.csv").write_text(
        "text,label\n" + "".join(f"w{i},{i % 2}\n" for i in range(9))
    )
    found = load_examples(tmp_path, limit=4, seed=1)
    assert len(found) == 4
    assert [int(t[1:]) % 2 for t in found.texts] == found.labels.tolist()
    assert load_examples(tmp_path, limit=4, seed=1).texts == found.texts


def test_what_is_missing_is_said(tmp_path: Path):
    with pytest.raises(MissingFileError, match=r"plain_text/train-00000-of-00001\.parquet"):
        load_examples("cifar10", data=tmp_path)
    with pytest.raises(MissingFileError, match=r"cannot load uoft-cs/cifar10.*data=<folder>"):
        load_examples("cifar10")


def test_labels_and_columns_that_do_not_match(tmp_path: Path):
    write(
        tmp_path / "mnist" / "train-0.parquet",
        {"image": [png(x) for x in pictures(1, 8, 8)], "label": [11]},
    )
    with pytest.raises(InputError, match="label 11, expected a position among the 10 classes"):
        load_examples("mnist", data=tmp_path)
    (tmp_path / "train.csv").write_text("body,label\nx,a\ny,b\n")
    with pytest.raises(InputError, match="columns body, label, none of the usual"):
        load_examples(tmp_path)
    with pytest.raises(InputError, match="label 'b', which is none of the classes a"):
        load_examples(tmp_path, column="body", classes=("a",))
    with pytest.raises(InputError, match="has no 'kind'"):
        load_examples(tmp_path, column="body", label="kind")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "c", "label": None}, "has no label; give it one, or leave the row out"),
        ({"text": "c", "label": ""}, "has no label"),
        ({"text": None, "label": "x"}, "has text None, expected text"),
        ({"text": 3, "label": "x"}, "has text 3, expected text"),
    ],
)
def test_empty_cells_are_no_texts_and_no_labels(tmp_path: Path, row, message):
    rows = [{"text": "a\u2028b", "label": "x"}, {"text": "", "label": "y"}]
    lines = [json.dumps(x, ensure_ascii=False) for x in rows]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n\n", encoding="utf-8-sig")
    assert load_examples(tmp_path).texts == ("a\u2028b", "")
    (tmp_path / "train.jsonl").write_text("\n".join([*lines, json.dumps(row)]))
    with pytest.raises(InputError, match=rf"train\.jsonl, row 3 {message}"):
        load_examples(tmp_path)


def test_broken_and_unequal_images(tmp_path: Path):
    write(
        tmp_path / "train-0.parquet",
        {"image": [png(pictures(1, 8, 8)[0]), png(pictures(1, 9, 8)[0])], "label": [0, 1]},
    )
    with pytest.raises(InputError, match=r"row 2 has an image of \(9, 8\) pixels"):
        load_examples(tmp_path)
    write(tmp_path / "test-0.parquet", {"image": [{"bytes": b"no", "path": ""}], "label": [0]})
    with pytest.raises(InputError, match=r"row 1 holds no image in 'image'"):
        load_examples(tmp_path, split="test")


def test_digits_are_disjoint_and_seeded():
    train, test = digits(100, 50, seed=3)
    assert train.inputs.shape == (100, 1, 8, 8)
    assert train.inputs.max() == 1.0
    again, _ = digits(100, 50, seed=3)
    assert again.fingerprint == train.fingerprint != digits(100, seed=4)[0].fingerprint
    rows = {x.tobytes() for x in train.inputs} & {x.tobytes() for x in test.inputs}
    assert not rows
    with pytest.raises(InputError, match="1797 in all"):
        digits(1000, 1000, seed=0)


def test_reviews_mean_what_their_last_clause_says():
    train, test = reviews(400, 100, seed=0)
    good = {"good", "lovely", "superb", "charming", "brilliant", "pleasant", "delightful", "fine"}
    for text, label in zip(train.texts, train.labels, strict=True):
        last = text.split(" but ")[-1].split()
        assert ((last[-1] in good) != ("not" in last)) == bool(label)
    assert not set(train.texts) & set(test.texts)
    assert train.inputs.min() == 0 and not (train.inputs == 1).any()
    assert train.inputs.max() < len(review_words())
    assert 0.4 < train.labels.mean() < 0.6
    assert max(len(t.split()) for t in train.texts) <= train.inputs.shape[1]


def test_a_vocabulary_has_no_word_twice():
    with pytest.raises(InputError, match="twice"):
        Vocabulary(("a", "a"))
