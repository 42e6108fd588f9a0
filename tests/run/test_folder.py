"""A run's folder: who may write what, and whole files."""

from __future__ import annotations

import pytest

import spex_mech as sm
from spex_mech.run.folder import write_file
from spex_mech.run.opening import changed, claim, open_folder, save_spec
from spex_mech.run.records import kept_sets_from_json, size_from_json
from spex_mech.run.spec import RunSpec
from spex_mech.run.spec_file import with_settings


def test_a_folder_is_taken_up_by_the_same_spec_only(tmp_path):
    folder = claim(tmp_path / "run", RunSpec())
    assert claim(tmp_path / "run", RunSpec()) == folder == open_folder(tmp_path / "run")
    other = with_settings({}, ["design.seed=3", "task=x"])
    with pytest.raises(sm.InputError, match=r"its run has another task, design\.seed"):
        claim(tmp_path / "run", other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").touch()
    with pytest.raises(sm.InputError, match="holds no run"):
        claim(tmp_path / "mine", RunSpec())
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes"]


def test_an_empty_folder_is_a_new_one_and_what_a_killed_process_left_does_not_count(tmp_path):
    (tmp_path / ".spec.json.0123456789abcdef.part").write_text("{")
    half = tmp_path / ".pruned.0123456789abcdef.part"
    (half / "content").mkdir(parents=True)
    (half / "lock").touch()
    assert claim(tmp_path, RunSpec()).path == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


def test_a_finished_run_is_not_taken_up_to_run_again(tmp_path):
    folder = claim(tmp_path / "run", RunSpec())
    folder.save("results.json", {})
    claim(tmp_path / "run", RunSpec(), last=["results.json", "pruned"])
    (folder.path / "pruned").mkdir()
    with pytest.raises(sm.InputError, match="its run is finished"):
        claim(tmp_path / "run", RunSpec(), last=["results.json", "pruned"])


def test_a_step_changes_its_own_settings_only(tmp_path):
    folder = claim(tmp_path / "run", RunSpec())
    after = changed(folder, ["decode.seed=7"], ("decode",), "decode")
    assert after.spec.decode.seed == 7 and open_folder(folder.path).spec.decode.seed == 0
    save_spec(after)
    assert open_folder(folder.path) == after
    with pytest.raises(
        sm.InputError, match=r"another design\.seed, prune\.seed; decode can change"
    ):
        changed(folder, ["design.seed=1", "prune.seed=1"], ("decode",), "decode")


def test_settings_of_an_earlier_version_have_their_defaults(tmp_path):
    (tmp_path / "spec.json").write_text('{"task": "embedded/kinds", "design": {"budget": 70}}')
    spec = open_folder(tmp_path).spec
    assert spec.task == "embedded/kinds" and spec.design.budget == 70
    assert spec.circuit == RunSpec().circuit


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = claim(tmp_path / "run", RunSpec())
    folder.save("kept.json", [1, 2])

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(sm.InputError, match="No space left on device; make room"):
        folder.save("kept.json", [3, 4])
    with pytest.raises(sm.InputError, match="cannot write"):
        write_file(folder.path / "page", "text")
    assert folder.load("kept.json") == [1, 2]
    assert {p.name for p in folder.path.iterdir()} == {"spec.json", "kept.json"}


def test_seconds_of_a_step_add_up_over_calls(tmp_path, monkeypatch):
    folder = claim(tmp_path / "run", RunSpec())
    times = iter([1.0, 3.0, 10.0, 10.5, 20.0, 27.0])
    monkeypatch.setattr("spex_mech.run.folder.time.monotonic", lambda: next(times))
    for step in ("evaluate", "decode", "evaluate"):
        with folder.timed(step):
            pass
    assert folder.load("seconds.json") == {"evaluate": 9.0, "decode": 0.5}


def test_what_is_missing_or_strange_is_said(tmp_path):
    folder = claim(tmp_path / "run", RunSpec())
    with pytest.raises(FileNotFoundError, match=r"no spectrum\.json yet; spex-mech decode"):
        folder.load("spectrum.json")
    folder.save("kept.json", {"a": 1})
    with pytest.raises(sm.InputError, match="not what this version writes: it has no 'b'"):
        folder.read("kept.json", lambda content: content["b"])
    with pytest.raises(FileNotFoundError, match="holds no run"):
        open_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["null", "[]", "3", "{", '{"a": "b"}', "[" * 100_000])
def test_seconds_that_are_damaged_count_as_none(tmp_path, content):
    folder = claim(tmp_path / "run", RunSpec())
    (folder.path / "seconds.json").write_text(content)
    with folder.timed("evaluate"):
        pass
    assert set(folder.load("seconds.json")) == {"evaluate"}


@pytest.mark.parametrize("content", [3, None, [], {}, {"keep": 8}, {"a": float("nan")}])
@pytest.mark.parametrize("name", ["size.json", "kept.json"])
def test_files_of_pruning_that_hold_something_else_are_named(tmp_path, name, content):
    folder = claim(tmp_path / "run", RunSpec())
    folder.save(name, content)
    players = sm.PlayerSet.from_names("abc")
    parse = {"size.json": size_from_json, "kept.json": lambda c: kept_sets_from_json(c, players)}
    with pytest.raises(sm.InputError, match=rf"{name} is not what this version writes"):
        folder.read(name, parse[name])
