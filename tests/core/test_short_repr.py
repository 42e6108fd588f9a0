"""`short_repr`: one line, whatever the fields hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from spex_mech.core.short_repr import short_repr


@short_repr
@dataclass(frozen=True)
class Held:
    value: Any
    hidden: int = field(default=0, repr=False)


def named() -> None: ...


class Broken:
    def __repr__(self) -> str:
        return "two\n  lines"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (np.zeros((3, 4), dtype=np.float32), "<float32 (3, 4)>"),
        (np.float64(0.5), "0.5"),
        ([1, 2, 3, 4], "[1, 2, 3, 4]"),
        ([1, 2, 3, 4, 5], "<5 items>"),
        ((np.zeros(2), "a\nb"), r"(<float64 (2,)>, 'a\nb')"),
        ({"a": np.zeros(9), "b": None}, "{'a': <float64 (9,)>, 'b': None}"),
        (dict.fromkeys(range(9)), "<9 items>"),
        (frozenset("abcdef"), "<6 items>"),
        (named, "<named>"),
        (Broken(), "two lines"),
        (Held([0] * 9), "Held(value=<9 items>)"),
    ],
)
def test_a_field(value, shown):
    assert repr(Held(value)) == f"Held(value={shown})"


def test_a_long_line_is_cut():
    line = repr(Held(Held(Held(["x" * 70, "y" * 70, "z" * 70]))))
    assert (
        len(line) == 200
        and line.startswith("Held(value=Held(value=Held(value=['xx")
        and line.endswith("...)")
    )


def test_the_class_stays_what_it_was():
    assert Held(3) == Held(3) and hash(Held(3)) == hash(Held(3)) and isinstance(named, Callable)
