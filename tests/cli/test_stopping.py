"""Commands that are stopped, by Ctrl-C or a full disk."""

from __future__ import annotations

import shutil
import sys

import pytest

from spex_mech.core.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["run"], True),
        (["explain", "game"], True),
        (["explain", "text", "--text", "a", "--out", "x"], True),
        (["explain", "text", "--text", "a"], False),
        (["plan"], False),
        (["report"], False),
    ],
)
def test_only_a_command_that_stores_says_that_something_is_kept(
    arguments, kept, monkeypatch, terminal
):
    def stopped(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["spex_mech.cli.main"], "app", stopped)
    code, _, err = terminal(*arguments)
    assert code == 130
    assert ("are kept, run again" in err) == kept


def test_stopping_says_what_is_kept(monkeypatch, terminal):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("spex_mech.run.spec_file.read_spec", stop)
    code, _, err = terminal("evaluate")
    assert code == 130 and "finished ablations are kept" in err


def full(*args, **kwargs):
    """What a system call says on a full disk."""
    raise OSError(28, "No space left on device")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("command", ["report", "export"])
def test_a_full_disk_while_pages_and_checkpoints_are_written_is_one_sentence(
    ask, command, copy, monkeypatch
):
    shutil.rmtree(copy / "pruned")
    before = sorted(p.name for p in copy.iterdir())

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        patch.setattr("transformers.LlamaForCausalLM.save_pretrained", full)
        with pytest.raises(InputError, match=r"cannot write .*No space left on device.*make room"):
            ask(command, copy)
    assert sorted(p.name for p in copy.iterdir()) == before
    ask(command, copy)  # room was made


def test_a_full_disk_ends_with_a_message(monkeypatch, terminal, copy):
    monkeypatch.setattr("os.fsync", full)
    code, _, err = terminal("decode", str(copy / "masks"), "--method", "lasso")
    assert code == 2
    assert "No space left on device; make room" in err
    assert not list((copy / "masks").glob("spectrum*"))
