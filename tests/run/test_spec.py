"""Run specs: files, settings, and mistakes."""

from __future__ import annotations

import pytest

from spex_mech.run.spec import RunSpec, read_spec


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
    with pytest.raises(ValueError, match=r"cannot read spec .*a\.toml"):
        read_spec(tmp_path / "a.toml")


def test_settings_through_a_value_that_is_no_section(tmp_path):
    with pytest.raises(ValueError, match="goes through 'task', which is not a section"):
        read_spec(None, ["task=x", "task.name=y"])
