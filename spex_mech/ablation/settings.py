"""The settings of a `TaskGame`, and what another process makes the game of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from spex_mech.ablation.constants import Constants
from spex_mech.core.players import PlayerSet
from spex_mech.models import loading
from spex_mech.tasks.task import Task


@dataclass(frozen=True)
class GameSettings:
    """What makes a `TaskGame` of a model, a task and players; see there.

    Attributes:
        split: the examples to score.
        metric: the metric; None for the task's own.
        ablation: what removed parts become.
        rescale: whether kept heads are rescaled.
        seed: seed of the donors of ``resample``, and of the fit of ``optimal``.
        constants: of ``optimal``; None for another ablation, or to fit them.
        engine: what scores the ablated models.
    """

    split: str = "search"
    metric: str | None = None
    ablation: str = "zero"
    rescale: bool = False
    seed: int = 0
    constants: Constants | None = None
    engine: str = "auto"

    @property
    def options(self) -> dict[str, Any]:
        """The settings as keyword arguments of `TaskGame`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class GameParts:
    """A game without what it has cached (hooked copies of the model, activations): call it to make it.

    Attributes:
        game: the game's class.
        model: the model's class.
        name: the model's name.
        hf: the model as Hugging Face's module; None to load it by its name.
        tokenizer: the model's tokenizer.
        dtype: the dtype to load it in.
        task: the game's task.
        players: the game's players.
        settings: the game's settings.
        device: where to put the model; None for where it is.
        device_map: how to spread a model that is loaded, see Hugging Face's ``from_pretrained``.
    """

    game: Callable[..., Any]
    model: Callable[..., Any]
    name: str
    hf: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    dtype: Any
    task: Task = field(repr=False)
    players: PlayerSet = field(repr=False)
    settings: GameSettings
    device: str | None
    device_map: Any

    def __call__(self) -> Any:
        """The game."""
        return self.game(self._model(), self.task, self.players, **self.settings.options)

    def _model(self) -> Any:
        if self.hf is None:
            return loading.load_model(
                self.name, tokenizer=self.tokenizer, dtype=self.dtype, device_map=self.device_map
            )
        hf = self.hf if self.device is None else self.hf.to(self.device)
        return self.model(hf, self.tokenizer, self.name)
