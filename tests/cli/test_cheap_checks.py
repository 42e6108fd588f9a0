"""What can be refused without a model's weights is refused before they are read."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from spex_mech import cli


@pytest.fixture(autouse=True)
def no_weights(monkeypatch):
    """Loading a model fails the test, wherever it is asked for."""
    import spex_mech.features.readers.model
    import spex_mech.models.loading
    import spex_mech.run.setup

    def load_model(*_, **__):
        pytest.fail("the model's weights were read before a mistake was refused")

    for module in (
        spex_mech.run.setup,
        spex_mech.models.loading,
        spex_mech.features.readers.model,
    ):
        monkeypatch.setattr(module, "load_model", load_model)


def refusal(monkeypatch, capsys, *arguments):
    """What a refused command prints."""
    monkeypatch.setattr(sys, "argv", ["spex-mech", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.count("\n") == 1
    return error


MISTAKES = {
    "task=embedded/peple": "unknown task",
    "model=runs/there/is/none": "does not exist",
    "game.metric=correctness": "unknown metric 'correctness'",
    "game.ablation=half": "unknown ablation 'half'",
    "players=heads:0-99": "out of range",
    "players=noses": "unknown player selection 'noses'",
    "design.budget=-4": "design.budget",
    "design.kind=spiral": "design.kind",
    "design.keep_rate=[0.9, 0.3]": "keep_rate",
    "decode.method=magic": "magic",
    "interactions.index=Banzai": "Banzai",
}
PRUNING = {
    "prune.keep=[99]": "expected sizes from 1 to 32",
    "prune.export=11": "expected one of",
    "prune.baselines=['luck']": "prune.baselines has 'luck'",
    "prune.proposals=luck": "prune.proposals is 'luck', expected 'lasso' or 'gradients'",
    "prune.proposals=gradients prune.ablations=6": "cost as much as 12 ablations",
    "prune.mode=crushed": "prune.mode",
    "circuit.questions=1": "circuit.questions",
}


@pytest.mark.parametrize("setting, message", MISTAKES.items(), ids=MISTAKES)
@pytest.mark.parametrize("command", ["plan", "run", "evaluate", "explain"])
def test_mistakes_in_a_spec(command, setting, message, monkeypatch, capsys, tmp_path):
    out = () if command == "plan" else ("--out", str(tmp_path / "out"))
    assert message in refusal(monkeypatch, capsys, command, "--set", setting, *out)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("setting, message", PRUNING.items(), ids=PRUNING)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_mistakes_in_what_is_pruned(command, setting, message, monkeypatch, capsys, tmp_path):
    out = () if command == "plan" else ("--out", str(tmp_path / "out"))
    settings = [part for one in setting.split(" ") for part in ("--set", one)]
    assert message in refusal(monkeypatch, capsys, command, *settings, *out)


OTHER = {
    "prune": (["prune", "nowhere"], "nowhere"),
    "circuit": (["circuit", "nowhere"], "nowhere"),
    "export": (["export", "nowhere"], "nowhere"),
    "decode": (["decode", "nowhere"], "nowhere"),
    "players": (["players", "embedded", "noses"], "unknown player selection"),
    "players of a model that is not there": (["players", "./nowhere"], "does not exist"),
    "tasks": (["tasks", "embedded/peple", "--noise"], "unknown task"),
    "level": (["explain", "text", "--text", "A b.", "--level", "letter"], "level is 'letter'"),
    "removal": (["explain", "text", "--text", "A b.", "--removal", "burn"], "removal is 'burn'"),
    "replace": (
        ["explain", "text", "--text", "A b.", "--removal", "replace"],
        "needs replacements",
    ),
    "method": (["explain", "text", "--text", "A b.", "--method", "magic"], "magic"),
    "text": (["explain", "text", "--text", " "], "has no word"),
    "target": (["explain", "text", "--text", "A b.", "--target-r2", "2"], "target_r2 is 2.0"),
}


@pytest.mark.parametrize("arguments, message", OTHER.values(), ids=OTHER)
def test_mistakes_on_other_commands(arguments, message, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(monkeypatch, capsys, *arguments)


def test_players_are_listed_without_reading_weights(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spex-mech", "players", "embedded", "mlps"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0 and "4 players" in capsys.readouterr().out


SPECIALISE = {
    ("--task", "embedded/peple"): "unknown task 'embedded/peple'",
    ("--other", "embedded/boxs"): "unknown task 'embedded/boxs'",
    ("--other", "embedded/people"): "others has the run's own task 'embedded/people'",
    ("--form", "zip"): "form is 'zip', expected one of 'auto', 'family', 'laguna', 'gguf', 'own'",
    ("--keep", "99"): "expected sizes from 1 to 32",
    ("--keep", "most"): "--keep is 'most'; expected auto, a number of players, or a share",
    ("--set", "players=noses"): "unknown player selection 'noses'",
    ("--set", "game.ablation=mean"): "cannot be exported, only zero ablation can",
}


@pytest.mark.parametrize("option, message", SPECIALISE.items(), ids=map(" ".join, SPECIALISE))
def test_mistakes_of_specialise(option, message, monkeypatch, capsys, tmp_path):
    out = tmp_path / "out"
    said = refusal(
        monkeypatch,
        capsys,
        *("specialise", "embedded", "--task", "embedded/people", *option, "--out", str(out)),
    )
    assert message in said and not out.exists()


def test_specialise_looks_at_its_folder_and_the_disk_first(monkeypatch, capsys, tmp_path):
    command = (
        "specialise",
        "embedded",
        "--task",
        "embedded/people",
        "--out",
        str(tmp_path / "out"),
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert "out exists; choose a new folder" in refusal(monkeypatch, capsys, *command)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]
    (tmp_path / "out" / "notes.txt").unlink()
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10**6))
    said = refusal(monkeypatch, capsys, *command)
    assert "takes 0.00 GB and the disk of" in said and "make room, or choose another folder" in said
