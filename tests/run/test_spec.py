"""Run specs: files, settings, and mistakes."""

from __future__ import annotations

import pytest

from spex_mech.run.spec import RunSpec
from spex_mech.run.spec_file import read_spec


def test_files_and_settings_agree(tmp_path):
    (tmp_path / "a.toml").write_text(
        'task = "embedded/kinds"\n[design]\nbudget = 70\nkeep_rate = 0.7\n'
    )
    (tmp_path / "a.yaml").write_text(
        "task: embedded/kinds\ndesign:\n  budget: 70\n  keep_rate: 0.7\n"
    )
    settings = ["task=embedded/kinds", "design.budget=70", "design.keep_rate=0.7"]
    specs = [
        read_spec(tmp_path / "a.toml"),
        read_spec(tmp_path / "a.yaml"),
        read_spec(None, settings),
    ]
    assert specs[0] == specs[1] == specs[2]
    assert specs[0].design.budget == 70 and specs[0].players == RunSpec().players


def test_settings_win_over_the_file(tmp_path):
    (tmp_path / "a.toml").write_text("[prune]\nkeep = [3, 4]\nexport = 3\n")
    spec = read_spec(tmp_path / "a.toml", ["prune.keep=[5, 6]", "prune.export=none"])
    assert spec.prune.keep == [5, 6] and spec.prune.export is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("desing.budget=3", "unknown key 'desing'; did you mean 'design'"),
        ("design.bugdet=3", r"unknown key 'design\.bugdet'; did you mean 'design\.budget'"),
        ("design.budget=many", r"'design\.budget' is 'many': input should be a valid integer"),
        ("prune.keep=['a']", r"'prune\.keep\.0.*' is 'a'"),
        ("design=3", "'design' is 3"),
        ("task.name=x", r"'task' is \{'name': 'x'\}"),
        ("design", "cannot read setting 'design'; write key=value"),
    ],
)
def test_mistakes_in_settings(setting, message):
    with pytest.raises(ValueError, match=message):
        read_spec(None, [setting])


def test_mistakes_in_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'none\.toml' does not exist"):
        read_spec("none.toml")
    for name, text, message in [
        ("a.toml", "x =", r"cannot read spec .*a\.toml"),
        ("a.yaml", "- 1\n", "holds a list, expected keys and values"),
        ("a.json", "{}", r"ends in '\.json'; expected"),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            read_spec(tmp_path / name)


def test_a_file_in_another_encoding(tmp_path):
    (tmp_path / "a.toml").write_bytes('task = "é"'.encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.toml is not UTF-8 text: byte 8 \(0xe9, in line 1\)"):
        read_spec(tmp_path / "a.toml")


@pytest.mark.parametrize("name", ["a.toml", "a.yaml"])
def test_a_mark_at_the_start_of_a_file_is_no_part_of_it(tmp_path, name):
    text = 'task = "é"\n' if name == "a.toml" else "task: é\n"
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert read_spec(tmp_path / name).task == "é"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "task = " + "[" * 9999, "it is nested too deeply"),
        ("a.yaml", "task: " + "[" * 9999 + "]" * 9999, "it is nested too deeply"),
        ("a.toml", "[design]\nbudget = " + "9" * 5000, "it is not TOML"),
        ("a.yaml", "task: 2020-13-45", r"it is not YAML \(month must be"),
        ("a.toml", "#" * (1 << 21), "has 2097152 bytes, expected at most 1048576"),
    ],
)
def test_files_that_parsers_choke_on(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_spec(tmp_path / name)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_a_few_lines_of_yaml_cannot_stand_for_billions_of_values(tmp_path):
    lines = ["a: &l0 [x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 10):
        lines.append(f"b{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]")
    (tmp_path / "a.yaml").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"it has 81 aliases .*, expected at most 20"):
        read_spec(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("\n".join([lines[0], *lines[1:3], "task: *l2"]))
    with pytest.raises(ValueError, match=r"'(task|a)'") as caught:
        read_spec(tmp_path / "a.yaml")
    assert len(str(caught.value)) < 400


def test_a_setting_is_one_value():
    assert read_spec(None, ["model=a\nb"]).model == "a\nb"
    with pytest.raises(ValueError, match=r"'design\.budget' is \"3\\ntask"):
        read_spec(None, ["design.budget=3\ntask = 'x'"])


def test_settings_through_a_value_that_is_no_section(tmp_path):
    with pytest.raises(ValueError, match="goes through 'task', which is not a section"):
        read_spec(None, ["task=x", "task.name=y"])
