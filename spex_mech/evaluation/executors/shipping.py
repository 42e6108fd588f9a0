"""Building a game again in another process.

Processes of one run hand each other games and masks by pickle, through pipes or Ray's object store. No
file is ever unpickled, and nothing is that another user could have written.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cloudpickle

from spex_mech.core.errors import InputError
from spex_mech.evaluation.executors.executor import Game


def pack_game(game: Game, *, device: str | None = None, device_map: Any = None) -> bytes:
    """A game as bytes that a worker of this run makes it from.

    Args:
        game: any picklable game. One with a ``model`` is sent as that model's weights and settings.
        device: where the worker puts the model, as in ``"cuda"``; None for where it is now.
        device_map: have the worker load the model by its name and spread it over the worker's devices,
            see ``device_map`` of Hugging Face's ``from_pretrained``.

    Raises:
        InputError: a ``device_map`` for a game without a model; a game that cannot be pickled.
    """
    model = getattr(game, "model", None)
    if model is not None and hasattr(model, "hf"):
        make: Any = type(game)
        build: Callable[[], Game] = _ModelGame(
            make,
            type(model),
            model.name,
            None if device_map else model.hf,
            model.tokenizer,
            model.dtype,
            getattr(game, "task", None),
            getattr(game, "players", None),
            settings(game),
            device,
            device_map,
        )
    elif device_map:
        raise InputError("device_map is for games of a model, this game has none; leave it out")
    else:
        build = _Ready(game)
    try:
        return cloudpickle.dumps(build)
    except Exception as error:
        raise InputError(
            f"the game cannot be sent to other processes ({error}); make it picklable, or use "
            "executor='local'"
        ) from error


def settings(game: Any) -> dict[str, Any]:
    """The keyword arguments that make this game of its model, task and players."""
    known = getattr(game, "settings", None)
    if isinstance(known, dict):
        return known
    found = {
        "split": game.split,
        "metric": game.metric.name,
        "ablation": game.ablation.name,
        "rescale": game.ablation.rescale,
        "seed": game.ablation.seed,
    }
    parameters = inspect.signature(type(game)).parameters
    engine = getattr(game, "engine", None)
    if "engine" in parameters and isinstance(engine, str):
        found["engine"] = engine
    return {name: value for name, value in found.items() if name in parameters}


@dataclass(frozen=True)
class _Ready:
    game: Game

    def __call__(self) -> Game:
        return self.game


@dataclass(frozen=True)
class _ModelGame:
    """A game's parts without what it has cached: hooked copies of the model, activations."""

    game: Callable[..., Game]
    model: Any
    name: str
    hf: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    dtype: Any
    task: Any = field(repr=False)
    players: Any = field(repr=False)
    settings: dict[str, Any]
    device: str | None
    device_map: Any

    def __call__(self) -> Game:
        return self.game(self._model(), self.task, self.players, **self.settings)

    def _model(self) -> Any:
        if self.hf is None:
            load = sys.modules[self.model.__module__].load_model
            return load(
                self.name,
                tokenizer=self.tokenizer,
                dtype=self.dtype,
                device_map=self.device_map,
            )
        hf = self.hf if self.device is None else self.hf.to(self.device)
        return self.model(hf, self.tokenizer, self.name)
