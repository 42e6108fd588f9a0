"""How mistakes on a command line end: one short message, nothing that a terminal would obey."""

from __future__ import annotations

import pytest

from spex_mech.core.seeds import MOST_SEED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--devices", "foo"], "'foo' is no GPU; write their numbers, as in '0 1'"),
        (["run", "--devices", "0,-1"], "'-1' is no GPU"),
        (["run", "--executor", "ray", "--cpus", "nan"], "'--cpus'"),
        (["run", "--executor", "ray", "--gpus", "inf"], "inf is not a finite number"),
        (["run", "--workers", "9" * 9], "less than or equal to 4096"),
        (["prune", "x", "--parameters", "nan"], "nan is not a finite number"),
        (["explain", "--target-r2", "inf"], "inf is not a finite number"),
        *(
            ([*command.split(), "--seed", seed], "'--seed'")
            for command in ("decode x", "prune x", "circuit x", "explain", "explain text --text a")
            for seed in ("-1", str(MOST_SEED + 1))
        ),
        (["tasks", "embedded/people", "--shots", "-1"], "'--shots'"),
        (["plan", "--set", "prune.errors=-1.0"], "'prune.errors' is -1.0"),
        (["tasks", "a\x1b[31mb"], r"unknown task 'a\x1b[31mb'"),
        (["tasks", "a\0b"], "without null characters"),
        (["tasks", "a\udcff"], "is not UTF-8 text"),
        (["report", "x" * 5000], "File name too long"),
        (["plan", "--workers", "x" * 5000], "see spex-mech plan --help"),
        (["report", "a\x1b[31mb"], r"a\x1b[31mb"),
    ],
)
def test_one_short_message(terminal, arguments, message):
    code, _, err = terminal(*arguments)
    assert code == 2 and message in err
    assert err.startswith("spex-mech: ") and len(err) < 630 and "\x1b" not in err
