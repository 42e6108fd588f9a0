"""Folders that version 0.1.0 wrote go on with the code of today; tests/fixtures/README.md says what they are.

Nothing but the public API and the commands is used, so that these tests outlive any change inside; the one
exception puts back the settings of that version's LASSO. What was stored is compared exactly; what is
computed anew may differ in its last digits on another machine.
"""

from __future__ import annotations

import json
import shutil
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.decoders import lasso

td = sm.training_data
FIXTURES = Path(__file__).parents[1] / "fixtures"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text())
FILES = ("spectrum", "interactions", "check", "kept", "results", "circuit")


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Copies a fixture to a temporary folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(FIXTURES / "questions.jsonl", tmp_path)
    return lambda name: Path(shutil.copytree(FIXTURES / name, tmp_path / name))


@pytest.fixture(autouse=True)
def lasso_of_version_0_1_0(monkeypatch):
    """That version stopped the LASSO of a stack early; its numbers come back with its settings."""
    monkeypatch.setattr(lasso, "_PENALTIES", np.logspace(0.0, -3.0, 40))
    monkeypatch.setattr(lasso, "_FINE", 1e-3)
    monkeypatch.setattr(lasso, "_IN_REACH", np.inf)


@pytest.fixture
def ask(monkeypatch, capsys):
    """Runs a command as from a shell: its exit code, what it prints, and what it says of mistakes."""
    (command,) = entry_points(group="console_scripts", name="spex-mech")

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spex-mech", *map(str, arguments)])
        try:
            command.load()()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


def rows(masks: list[str]) -> np.ndarray:
    """Masks that are written as 0 and 1."""
    return np.array([[c == "1" for c in mask] for mask in masks])


def bits(masks: np.ndarray) -> list[str]:
    return ["".join(map(str, mask.astype(int))) for mask in masks]


def shards(folder: Path) -> dict[str, bytes]:
    """Everything evaluated in a folder's stores."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("shards/*")}
    assert found
    return found


def check_stored(store: Path, expected: dict) -> None:
    """A store gives exactly what it gave."""
    run = sm.open_run(store)
    assert run.damaged == ()
    assert bits(run.masks) == expected["masks"]
    assert run.values.tolist() == expected["values"]
    if "scores" in expected:
        assert run.scores().ravel().tolist() == expected["scores"]


def check_resumed(store: Path, expected: dict, resume, design, asked: list, **close) -> None:
    """A stopped evaluation asks what is missing and nothing else, and keeps what is there."""
    stored = expected["stored"]
    check_stored(store, stored)
    before = shards(store)
    wanted = bits(design.masks)
    missing = [mask for mask in wanted if mask not in stored["masks"]]
    assert 0 < len(missing) < len(wanted)
    run = resume()
    assert sorted(bits(np.concatenate(asked))) == sorted(missing)
    assert run.evaluated == len(missing)
    after = shards(store)
    assert before.items() < after.items()
    known = dict(zip(stored["masks"], stored["values"], strict=True))
    fresh = np.array([mask not in known for mask in wanted])
    np.testing.assert_allclose(
        run.values[~fresh], [known[m] for m in wanted if m in known], rtol=1e-12
    )
    np.testing.assert_allclose(run.values[fresh], np.array(expected["values"])[fresh], **close)
    if "scores" in stored:
        shape = (len(known), *run.scores.shape[1:])
        scores = dict(
            zip(stored["masks"], np.reshape(stored["scores"], shape).tolist(), strict=True)
        )
        for mask, row in zip(wanted, run.scores, strict=True):
            assert mask not in known or row.tolist() == scores[mask]
    again = len(asked)
    assert resume().evaluated == 0 and len(asked) == again


def check_terms(spectrum, expected: list, *, rtol: float, atol: float) -> None:
    """A spectrum has the terms that were its largest."""
    found = dict(zip(map(tuple, spectrum.supports), spectrum.coefficients, strict=True))
    check_values(found, expected, rtol=rtol, atol=atol)


def check_values(found: dict, expected: list, *, rtol: float, atol: float) -> None:
    assert len(expected) > 5
    here = [found.get(tuple(members), 0.0) for members, _ in expected]
    np.testing.assert_allclose(here, [v for _, v in expected], rtol=rtol, atol=atol)


def check_same(found, expected, where: str = "") -> None:
    """Two JSON contents are the same, numbers to a few digits."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            check_same(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            check_same(a, b, f"{where}[{i}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6), where
    else:
        assert found == expected, where


def counted(kind: type, asked: list) -> type:
    """A kind of game that notes which masks are scored."""

    class Counted(kind):
        def scores(self, masks):
            asked.append(np.array(masks))
            return super().scores(masks)

    return Counted


def test_a_stopped_task_game_goes_on(copy):
    store, asked = copy("interrupted"), []
    model = sm.load_model("embedded")
    players = sm.select_players(model, "heads:1-2")
    task = sm.load_task("embedded/people").first(4)
    game = counted(sm.TaskGame, asked)(model, task, players, metric="margin")
    design = sm.designs.biased(players.n, 24, keep_rate=(0.3, 0.9), seed=3)
    check_resumed(
        store,
        EXPECTED["interrupted"],
        lambda: sm.evaluate(game, design, store=store),
        design,
        asked,
        rtol=1e-5,
        atol=1e-5,
    )


def test_a_stopped_function_goes_on(copy):
    store, asked = copy("function"), []

    def planted(masks):
        asked.append(masks)
        x = masks.astype(float)
        return 1.5 * x[:, 0] * x[:, 3] - 0.25 * x[:, 2] * x[:, 5] + 0.5 * x[:, 7]

    planted.fingerprint = "two planted pairs, version 1"
    design = sm.designs.biased(10, 40, keep_rate=0.6, seed=1)
    check_resumed(
        store,
        EXPECTED["function"],
        lambda: sm.evaluate(planted, design, store=store),
        design,
        asked,
        rtol=1e-12,
    )
    planted.fingerprint = "two planted pairs, version 2"
    with pytest.raises(sm.InputError, match="evaluated with another fingerprint"):
        sm.evaluate(planted, design, store=store)


def network() -> torch.nn.Module:
    """The text classifier whose trainings are stored; its first weights are fractions."""
    module = td.text_classifier(12, 3, width=4, filters=6)
    with torch.no_grad():
        for parameter in module.parameters():
            steps = torch.arange(parameter.numel()).reshape(parameter.shape)
            parameter.copy_(((steps * 37 + 11) % 64 - 32) / 64)
    return module


def test_stopped_trainings_go_on(copy):
    store, asked = copy("training"), []
    tokens = (np.arange(15 * 5).reshape(15, 5) ** 2 * 3 + np.arange(15)[:, None]) % 11 + 1
    examples = td.Examples(tokens, np.arange(15) % 3, ("a", "b", "c"))
    trainer = td.TorchTrainer(network, td.Recipe(epochs=3, batch=4))
    game = counted(td.TrainingGame, asked)(
        trainer, examples.take(range(12)), examples.take([12, 13, 14])
    )
    design = sm.designs.uniform(12, 20, seed=5)
    check_resumed(
        store,
        EXPECTED["training"],
        lambda: sm.evaluate(game, design, store=store),
        design,
        asked,
        rtol=1e-4,
        atol=1e-5,
    )


def test_an_explained_text_goes_on(copy, ask):
    folder, expected, asked = copy("text"), EXPECTED["text"], []

    def worth(texts):
        asked.extend(texts)
        found = [text.split() for text in texts]
        return [
            1.5 * ("not" in w and "bad" in w) - 0.5 * ("long" in w) + 0.125 * len(w) for w in found
        ]

    worth.fingerprint = "worth, version 1"
    game = sm.features.text(
        worth,
        "the film was not bad but far too long",
        level="word",
        template="They said: {text}!",
        removal=sm.features.Removal(
            replacements=["a", "play", "is", "never", "good", "and", "much", "very", "short"]
        ),
    )
    check_stored(folder / "masks", expected["stored"])
    check_stored(folder / "check", expected["check"])
    before = shards(folder)
    eight = sm.features.ExplainOptions(check=8)
    found = sm.explain_features(game, folder, budget=64, method="walsh_gp", seed=2, options=eight)
    assert asked == [] and shards(folder) == before
    check_terms(found.found.spectrum, expected["terms"], rtol=1e-4, atol=1e-6)
    every = sm.designs.exhaustive(9)
    run = sm.evaluate(game, every, store=folder / "masks")
    missing = 512 - len(expected["stored"]["masks"])
    assert run.evaluated == missing == len(asked)
    assert run.values.tolist() == expected["values"]
    code, printed, said = ask("report", folder)
    assert code == 0, said
    page = Path(printed.split("report: ")[1].strip()).read_text(encoding="utf-8")
    assert "They said" in page and "film" in page


def test_a_run_is_read_and_decoded(copy):
    folder, expected = copy("run"), EXPECTED["run"]
    for store in ("masks", "check", "test", "circuit-8"):
        check_stored(folder / store, expected[store])
    run = sm.open_run(folder / "masks")
    assert run.players.names == [f"L{layer}H{head}" for layer in (2, 3) for head in range(8)]
    np.testing.assert_allclose(run.with_metric("accuracy").values, expected["accuracy"], rtol=1e-12)
    spectrum = sm.decode(run.design, run.values, method="walsh_gp", seed=0)
    check_terms(spectrum, expected["walsh_gp"]["terms"], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(spectrum(run.masks), expected["walsh_gp"]["values"], rtol=1e-6)
    found = sm.interactions(spectrum, index="FBII", order=2, terms="readout")
    check_values(found.values, expected["FBII"], rtol=1e-6, atol=1e-8)
    stack = sm.decode(run.design, run.values, seed=0)
    check_terms(stack, expected["auto"]["terms"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stack(run.masks), expected["auto"]["values"], rtol=1e-5, atol=1e-6)


def test_commands_go_on_from_a_run(copy, ask):
    folder = copy("run")
    before = shards(folder)
    code, printed, said = ask("status", folder)
    assert code == 0, said
    assert "64 in 5 shards" in printed
    code, printed, said = ask("report", folder)
    assert code == 0, said
    page = Path(printed.split("report: ")[1].strip()).read_text(encoding="utf-8")
    strongest = json.loads((FIXTURES / "run" / "interactions.json").read_text())["values"]
    pair = next(names for names, _ in strongest if len(names) == 2)
    assert " × ".join(pair) in page and "lasso ranking" in page and "knocked out" in page
    assert list((folder / "figures").glob("*.png"))
    for name in ("spectrum", "interactions", "check"):
        (folder / f"{name}.json").unlink()
    code, printed, said = ask("decode", folder)
    assert code == 0, said
    check_same(*(json.loads((x / "run" / "check.json").read_text()) for x in _both(folder)))
    new, old = (json.loads((x / "run" / "interactions.json").read_text()) for x in _both(folder))
    assert {k: v for k, v in new.items() if k in ("index", "order")} == {
        k: v for k, v in old.items() if k in ("index", "order")
    }
    # Earlier versions summed over the terms that were read out, this one over the whole model.
    found = {tuple(names): v for names, v in new["values"]}
    check_values(found, old["values"][:40], rtol=0, atol=0.02)
    new, old = (json.loads((x / "run" / "spectrum.json").read_text()) for x in _both(folder))
    assert new["settings"] == old["settings"] and new["players"] == old["players"]
    found = {tuple(names): v for names, v in new["terms"]}
    check_values(found, old["terms"][:40], rtol=1e-5, atol=1e-6)
    assert shards(folder) == before


@pytest.mark.usefixtures("undrawn")
def test_a_finished_run_ablates_nothing_more(copy, ask):
    folder = copy("run")
    before = shards(folder)
    settings = EXPECTED["run"]["settings"]
    before_now = {"design.keep_rate": "[0.3, 0.9]", "design.questions": "all"}  # the defaults then
    settings = {**before_now, **settings}
    told = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    code, _, said = ask("run", *told, "--out", folder)
    assert code == 0 or "its run is finished" in said
    after = shards(folder)
    assert {name: after[name] for name in before} == before
    new = after.keys() - before.keys()  # of the curves of kept sets, which there were not then
    assert new and all(name.startswith("circuit-8/") for name in new)
    # As if it had been stopped before its last step. The kept sets are those that were tested, whatever this
    # version would find.
    for name in ("check", "circuit"):
        (folder / f"{name}.json").unlink()
    code, _, said = ask("run", *told, "--out", folder)
    assert code == 0, said
    assert shards(folder) == after
    assert (folder / "report.html").is_file()
    for name in FILES[2:]:
        check_same(*(json.loads((x / "run" / f"{name}.json").read_text()) for x in _both(folder)))


def test_a_compact_checkpoint_is_loaded_without_its_code(copy):
    folder, expected = copy("compact"), EXPECTED["compact"]
    (folder / "modeling_compact.py").write_text("raise RuntimeError('the folder was run')\n")
    model = sm.load_model(str(folder))
    ids = model.tokenizer(expected["text"], return_tensors="pt")["input_ids"]
    assert ids.tolist() == expected["ids"]
    with torch.no_grad():
        logits = model.hf(ids).logits
    wanted = torch.tensor(expected["logits"])
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-5)
    assert wanted.std() > 0.1
    sm.load_model(str(folder), trust_remote_code=True)  # of a kind that is known, all the same


def _both(folder: Path) -> tuple[Path, Path]:
    """Where the run's copy is, and where it was written."""
    return folder.parent, FIXTURES
