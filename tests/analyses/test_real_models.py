"""The specs of analyses/real_models fit their model, task and time, without the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from spex_mech.core.players import ModelShape
from spex_mech.models.outline import ModelOutline
from spex_mech.pruning.compare import LASSO
from spex_mech.run import outline
from spex_mech.run.spec_file import read_spec

FOLDER = Path(__file__).parents[2] / "analyses" / "real_models"
SMOLLM2 = ModelShape(30, 9, 3)
MINUTES = {"ioi": 15, "sizes": 30}
SECONDS = 0.04  # of one question of 16 tokens under one mask


@pytest.mark.parametrize("spec", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_spec_fits_its_model_and_its_time(spec, monkeypatch):
    monkeypatch.setattr(outline, "read_outline", lambda name: ModelOutline(name, SMOLLM2))
    plan = outline.outline(read_spec(spec))
    outline.check_sizes(plan)
    prune, circuit = plan.spec.prune, plan.spec.circuit
    search, test = (len(plan.task.select(split)) for split in ("search", "test"))
    checked = plan.check is not None and len(plan.check)
    others = plan.budget * sum(name != LASSO for name in prune.baselines)
    tested = 1 + (1 + len(prune.baselines)) * len(plan.sizes)
    parts = 4 + 2 * circuit.subsets + 1.5 * min(plan.sizes)  # a second test for a quarter of them
    questions = search * (plan.budget + checked + others) + test * tested
    tested_parts = circuit.questions * parts if circuit.subsets else 0
    assert SECONDS * (questions + tested_parts) < 60 * MINUTES[spec.stem]
