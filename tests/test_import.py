"""Importing the library is light, and offers what it promises."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spex_mech as sm

HEAVY = ["torch", "matplotlib", "xgboost", "ray", "transformers", "sklearn", "pandas"]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_is_light_and_quick():
    code = f"""
import sys, time
start = time.process_time()  # of this process alone, whatever else the machine does
import spex_mech
print(time.process_time() - start)
print([m for m in {HEAVY} if m in sys.modules])
"""
    seconds, heavy = run(code).splitlines()
    assert heavy == "[]"
    assert float(seconds) < 0.5


def test_designs_evaluation_and_pruning_need_no_torch():
    code = f"""
import sys
import numpy as np
import spex_mech as sm
design = sm.designs.uniform(6, 40, seed=0)
run = sm.evaluate(lambda x: x[:, 0] * 1.0 + x[:, 1] * x[:, 2], design)
spectrum = sm.decode(design, run.values, method="lasso", seed=0)
sm.interactions(spectrum, index="FBII", order=2)
sm.prune(lambda x: x.sum(1), spectrum, keep=3, validate=5, seed=0)
print([m for m in {[m for m in HEAVY if m != "sklearn" and m != "pandas"]} if m in sys.modules])
"""
    assert run(code) == "[]"


def test_every_public_name_is_there():
    for name in sm.__all__:
        home = getattr(sm, name)
        assert getattr(home, "__module__", home.__name__).startswith("spex_mech")
    assert set(sm.__all__) <= set(dir(sm))


def test_functions_stay_functions_whatever_is_imported_first():
    code = """
import spex_mech.exporting.export
import spex_mech as sm
packages = ("designs", "features", "training_data")
print(all(callable(getattr(sm, name)) for name in sm.__all__ if name not in packages))
"""
    assert run(code) == "True"


def test_features_of_functions_and_endpoints_need_no_torch():
    code = f"""
import sys
import numpy as np
import spex_mech as sm
game = sm.features.text(lambda texts: [len(t) for t in texts], "a bb ccc", level="word")
print(game(np.ones((1, 3), dtype=bool)))
sm.features.text(sm.features.Endpoint("m", base_url="http://localhost"), "a bb", target="x")
print([m for m in {[m for m in HEAVY if m != "sklearn" and m != "pandas"]} if m in sys.modules])
"""
    assert run(code).splitlines() == ["[8.]", "[]"]


def test_names_that_the_documents_use_are_public():
    for name in ("LocalExecutor", "RayExecutor", "write_report"):
        assert name in sm.__all__ and callable(getattr(sm, name))


@pytest.mark.parametrize("module", [sm, sm.training_data])
def test_a_type_checker_knows_every_name_that_is_loaded_when_used(module):
    (block,) = (
        node
        for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    known = {name.asname for node in block.body for name in node.names}
    assert known == set(module.__all__)


def test_the_module_is_the_command_line():
    line = [sys.executable, "-m", "spex_mech", "players", "embedded", "kv:0"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == "4 players: L0KV0 L0KV1 L0KV2 L0KV3\n"
