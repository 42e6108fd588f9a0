"""What the values of a spec may be: their types with their bounds, checked before anything starts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from spex_mech.core.seeds import MOST_SEED

AUTO, ALL = "auto", "all"
_MOST = 10**9


def _text(value: str) -> str:
    """Text that can be written to a file and given to the system."""
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError("Input should be text without null characters and halves of characters")
    return value


def _rate(value: float | list[float] | str) -> float | list[float] | str:
    """Rates from 0 to 1; whether they suit a design is checked by the design."""
    rates = value if isinstance(value, list) else [] if value == AUTO else [value]
    if not all(not isinstance(rate, str) and 0.0 <= rate <= 1.0 for rate in rates):
        raise ValueError(f"Input should be a rate from 0 to 1, [low, high], or '{AUTO}'")
    return value


def _asked(value: int | str) -> int | str:
    """How many questions a mask is asked; whether there are as many is checked by the game."""
    if not (value in (AUTO, ALL) if isinstance(value, str) else 1 <= value <= _MOST):
        raise ValueError(f"Input should be a number of questions, '{ALL}', or '{AUTO}'")
    return value


def _size(value: int | float) -> int | float:
    if not (0 < value < 1 if isinstance(value, float) else 1 <= value <= _MOST):
        raise ValueError("Input should be a number of players, or a share of them between 0 and 1")
    return value


def _parameters(value: int | float) -> int | float:
    if not (0 < value < 1 if isinstance(value, float) else 0 <= value <= _MOST**2):
        raise ValueError(
            "Input should be a number of parameters, or a share of them between 0 and 1"
        )
    return value


Text = Annotated[str, AfterValidator(_text)]
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Count = Annotated[int, Field(ge=0, le=_MOST)]
Positive = Annotated[int, Field(ge=1, le=_MOST)]
Finite = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Size = Annotated[int | float, AfterValidator(_size)]
Parameters = Annotated[int | float, AfterValidator(_parameters)]
Rate = Annotated[float | list[float] | Text, AfterValidator(_rate)]
Budget = Positive | Literal["auto"]
Target = Annotated[float, Field(gt=0, le=1)]
Asked = Annotated[int | Text, AfterValidator(_asked)]
