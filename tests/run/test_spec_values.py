"""What the values of a spec may be: everything is refused before anything is loaded or evaluated."""

from __future__ import annotations

import pytest

from spex_mech.core.errors import InputError
from spex_mech.core.seeds import MOST_SEED
from spex_mech.run.designs import search_design
from spex_mech.run.spec_file import read_spec, with_settings

SEEDS = ["asking.seed", "design.seed", "decode.seed", "prune.seed", "circuit.seed"]
COUNTS = ["asking.shots", "design.check", "prune.ablations", "prune.per_layer", "circuit.subsets"]
POSITIVE = ["game.examples", "design.budget", "design.first", "interactions.order"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        *((key, "-1", "greater than or equal to 0") for key in [*SEEDS, *COUNTS]),
        *((key, str(MOST_SEED + 1), "less than or equal to 4294967295") for key in SEEDS),
        *((key, "0", "greater than or equal to 1") for key in [*POSITIVE, "circuit.questions"]),
        *((key, "9" * 40, "less than or equal to 1000000000") for key in [*COUNTS, *POSITIVE]),
        *((f"prune.{k}", v, "finite") for k in ("tolerance", "errors") for v in ("nan", "inf")),
        *((f"prune.{k}", "-0.5", "equal to 0") for k in ("tolerance", "errors")),
        *(("design.keep_rate", v, "from 0 to 1") for v in ("nan", "-1", "inf", "[0.3, nan]")),
        *(("prune.keep", f"[{v}]", "number of players") for v in ("nan", "0", "-2", "1.5", "inf")),
        *(("prune.export", v, "number of players") for v in ("nan", "0", "-2", "1.5")),
        *(("prune.parameters", v, "number of parameters") for v in ("nan", "-1", "inf", "1.5")),
        *((k, r'"a\u0000"', "null characters") for k in ("model", "task", "asking.data")),
        ("prune.keep", "[[1]]", "a valid integer or a valid number"),
        ("model", "[" * 9999, "text"),
        ("design", "[]", "keys and values"),
    ],
)
def test_values_out_of_bounds(key, value, message):
    if message == "text":
        assert read_spec(None, [f"{key}={value}"]).model == value
        return
    with pytest.raises(InputError, match=f"'{key}.*: input should be .*{message}") as caught:
        read_spec(None, [f"{key}={value}"])
    assert len(str(caught.value)) < 250


def test_keys_and_specs_of_another_kind():
    for raw in ([], None, "x", 3):
        with pytest.raises(InputError, match=r"a spec is .*, expected keys and values"):
            with_settings(raw, ())  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="key '2' is not text"):
        with_settings({2: 3}, ())  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"unknown key 'x+") as caught:
        with_settings({"x" * 99_999: 3}, ())
    assert len(str(caught.value)) < 300


def test_a_range_of_keep_rates_may_reach_0_and_1():
    spec = read_spec(None, ["design.keep_rate=[0.3, 1.0]", "design.budget=20"])
    assert len(search_design(spec.design, 6)) == 20
    for rate in ("0.0", "1.0"):
        with pytest.raises(InputError, match="expected probabilities between 0 and 1"):
            search_design(read_spec(None, [f"design.keep_rate={rate}"]).design, 6)
