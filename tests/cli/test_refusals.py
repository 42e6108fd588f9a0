"""Settings that a step cannot take are refused with a message, before anything is written."""

from __future__ import annotations

import pytest

from spex_mech.core.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["decode", "{run}", "--method", "magic", "--out", "new"],
            "method is 'magic', expected one of auto",
        ),
        (["decode", "{run}", "--metric", "speed", "--out", "new"], "unknown metric 'speed'"),
        (["decode", "{run}", "--set", "players=kv"], "was evaluated with another players"),
        (["decode", "{run}", "--set", "decode.sed=3"], r"did you mean 'decode.seed'"),
        (["decode", "{run}", "--questions", "0-3"], "--questions goes with a store"),
        (["decode", "{run}/masks", "--questions", "three"], "cannot read questions 'three'"),
        (["decode", "{run}/masks", "--questions", "0-99999999999"], "from 0, below 10 million"),
        (["decode", "{run}/masks", "--questions", "²"], "from 0, below 10 million"),
        (["decode", "{run}/masks", "--questions", "99"], r"examples \[99\] of 8"),
        (
            ["decode", "{run}/masks", "--method", "lasso", "--index", "XII"],
            "index is 'XII', expected one of",
        ),
        (["decode", "nothing"], "'nothing' holds no run"),
        (["prune", "{run}/masks"], "is a store, not a run's folder; give .* such as"),
        (["prune", "{run}", "--keep", "17"], "expected sizes from 1 to 16"),
        (["prune", "{run}", "--set", "design.budget=9"], "another design.budget; prune can change"),
        (
            ["prune", "{run}", "--baseline", "magic"],
            "prune.baselines has 'magic', expected any of 'lasso",
        ),
        (["prune", "{run}", "--per-layer", "0"], "no set"),
        (["prune", "{run}", "--per-layer", "3", "--baseline", "random"], "do not keep"),
        (["prune", "{run}", "--set", "prune.keep=[]"], "expected sizes from 1 to 16"),
        (["prune", "nothing"], "'nothing' holds no run"),
        (["export", "{run}"], "exists; choose a new folder"),
        (
            ["export", "{run}", "--keep", "9", "--out", "new"],
            r"keep is 9, expected one of .*\[8, 12\]",
        ),
        (["export", "{run}", "--mode", "tiny", "--out", "new"], "prune.mode is 'tiny'"),
        (["prune", "{run}", "--servable", "own", "--baseline", "none"], "no form 'own' limits"),
        (
            ["prune", "{run}", "--servable", "family", "--per-layer", "3", "--baseline", "none"],
            "no set of 12 of 16 players fits the form 'family' within the limits",
        ),
        (["export", "{run}", "--form", "onnx", "--out", "new"], "prune.form is 'onnx'"),
        (["export", "{run}", "--form", "gguf", "--out", "new"], "goes with prune.mode='compact'"),
        (["export", "{run}", "--even", "--out", "new"], "prune.even goes with"),
        (["export", "{run}", "--measure", "--out", "new"], "prune.measure goes with"),
        (["circuit", "{run}", "--keep", "3"], "keep is 3, expected one of"),
        (["circuit", "{run}", "--questions", "few"], "'circuit.questions' is 'few'"),
        (["circuit", "{run}", "--questions", "1"], "circuit.questions 1; expected"),
        (["decode", "{run}/masks", "--out", "{run}"], "holds a run or a spectrum"),
        (["evaluate", "--set", "design.check=1", "--out", "new"], "design.check is 1, expected 0"),
        (["run", "--set", "circuit.subsets=-1", "--out", "new"], "'circuit.subsets' is -1"),
        (["run", "--set", "design.keep_rate=often", "--out", "new"], "'design.keep_rate'"),
        (
            ["run", "--set", "prune.keep=[1.5]", "--set", "prune.export=none", "--out", "new"],
            "or a share of them",
        ),
        (["circuit", "{run}", "--set", "prune.keep=[3]"], "circuit can change circuit"),
        (["report", "nothing"], "'nothing' holds no run"),
        (["report", "{run}", "--metric", "speed"], "unknown metric 'speed'"),
        (["evaluate", "none.toml", "--out", "new"], "spec 'none.toml' does not exist"),
        (["evaluate", "--set", "players=heads:9", "--out", "new"], "this model has layers 0-3"),
        (["evaluate", "--executor", "magic", "--out", "new"], "unknown executor 'magic'"),
        (["evaluate", "--set", "design.first=999", "--out", "new"], "design.first is 999"),
        (["explain", "--target-r2", "2", "--out", "new"], "target_r2 is 2.0, expected"),
        (
            ["explain", "--set", "design.kind=paired", "--out", "new"],
            "expected biased or stratified",
        ),
        (["explain", "--set", "decode.seed=3", "--out", "new"], "one seed for both; give --seed"),
        (["run", "--set", "prune.mode=tiny", "--out", "new"], "prune.mode is 'tiny'"),
    ],
)
def test_mistakes_end_with_a_message_and_leave_nothing(
    ask, job, monkeypatch, tmp_path, arguments, message
):
    folder, _ = job
    monkeypatch.chdir(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    with pytest.raises(InputError, match=message):
        ask(*(a.format(run=folder) for a in arguments))
    assert list(tmp_path.iterdir()) == []
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
