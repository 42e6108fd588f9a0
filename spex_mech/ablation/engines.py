"""The engines of a game: what they promise, and which one a name stands for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float32, Int64

from spex_mech import ablation as ablations
from spex_mech.core.errors import InputError
from spex_mech.models.model import Model
from spex_mech.tasks.prompts import Prompts


class Engine(Protocol):
    """Scores ablated models on prompts."""

    def scores(self, masks: Bool[np.ndarray, "m n"]) -> Float32[np.ndarray, "m e ..."]:
        """Scores of every mask and row of the prompts."""
        ...

    def pair_scores(
        self, masks: Bool[np.ndarray, "m n"], pairs: Int64[np.ndarray, "p 2"]
    ) -> Float32[np.ndarray, "p ..."]:
        """What `scores` has at ``[mask, row]`` of each pair (mask, row), up to rounding."""
        ...

    def asking_cost(self) -> tuple[float, float]:
        """What a mask costs however few questions it is asked, and the mean of a question; in tokens.

        Both follow from the prompts alone, so that every machine says the same.
        """
        ...


def engine_of(name: str) -> Callable[..., ablations.ProvenEngine]:
    """The engine of a name, to be made of a model, prompts, players and an ablation.

    Raises:
        InputError: an unknown name.
    """
    known = {
        "auto": _best_engine,
        "fast": partial(ablations.ProvenEngine, ablations.FastEngine),
        "reference": partial(ablations.ProvenEngine, ablations.ReferenceEngine),
    }
    if name not in known:
        raise InputError(f"unknown engine {name!r}; expected one of {', '.join(known)}")
    return known[name]


def ablation_of(name: str, rescale: bool, seed: int) -> ablations.Ablation:
    """The ablation of a name.

    Raises:
        InputError: an unknown name, or rescaling with another than ``zero``.
    """
    if name not in ablations.ABLATIONS:
        raise InputError(
            f"unknown ablation {name!r}; expected one of {', '.join(ablations.ABLATIONS)}"
        )
    if rescale and name != "zero":
        raise InputError(
            f"rescale=True goes with zero ablation only, got {name!r}; set rescale=False"
        )
    return replace(ablations.ABLATIONS[name](seed), rescale=rescale)


def _best_engine(model: Model, prompts: Prompts, *game: Any) -> ablations.ProvenEngine:
    why = ablations.obstacle(model, prompts)
    if why is not None:
        warnings.warn(
            f"{model.name!r} is scored by the slow reference engine because {why}; pass "
            "engine='reference' to say that this is meant",
            stacklevel=3,
        )
    return engine_of("reference" if why else "fast")(model, prompts, *game)
