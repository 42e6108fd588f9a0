"""Text that people save: byte-order marks, other encodings, deep nesting, and how values are quoted."""

from __future__ import annotations

import sys

import pytest

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted
from spex_mech.core.text_files import parse_json, parse_toml, parse_yaml, read_text


def test_a_mark_and_line_ends_are_no_part_of_a_text(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(file) == "a\nb\nc\n"
    assert read_text(file, exact=True) == "a\r\nb\rc\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_another_encoding_is_refused_with_the_place(tmp_path, mark):
    file = tmp_path / "a.txt"
    file.write_bytes(mark + b"one\nt\xe9n")
    with pytest.raises(InputError) as caught:
        read_text(file)
    assert f"{file} is not UTF-8 text: byte {len(mark) + 5} (0xe9, in line 2)" in str(caught.value)
    assert "save the file as UTF-8" in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*Is a directory; give a file"):
        read_text(tmp_path)
    with pytest.raises(InputError, match=r"cannot read .*null byte"):
        read_text(tmp_path / "a\0b")
    (tmp_path / "a").write_text("abc")
    with pytest.raises(InputError, match="has 3 bytes, expected at most 2"):
        read_text(tmp_path / "a", most=2)


@pytest.mark.parametrize("parse", [parse_json, parse_toml, parse_yaml])
@pytest.mark.parametrize("text", ["[" * 9999 + "]" * 9999, "{", "9" * 5000])
def test_what_is_no_data_is_refused(parse, text):
    with pytest.raises(
        InputError, match=r"^x is (not (JSON|TOML|YAML)|nested too deeply)"
    ) as caught:
        parse(text, "x")
    assert len(str(caught.value)) < 200


def test_half_a_surrogate_pair_is_refused():
    assert parse_json(r'"\ud83d\ude00"', "x") == "😀"
    with pytest.raises(InputError, match="x has half of a surrogate pair"):
        parse_json(r'{"a": ["\ud83d"]}', "x")


def test_quoted_values_are_short_whatever_they_hold():
    assert quoted(3) == "3" and quoted("a\x1b[31m\n") == r"'a\x1b[31m\n'"
    nested: list = []
    for _ in range(60):
        nested = [nested] * 9  # 9^60 values, were they written out
    huge = 1 << (4 * sys.get_int_max_str_digits())
    for value in ("x" * 10_000, nested, huge, [huge], {"a" * 999: nested}, ValueError("y" * 999)):
        assert len(quoted(value)) <= 160
