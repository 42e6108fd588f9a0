"""`TrainedModels`: a model trained on parts of its training data, as one kind of players of a joint game."""

from __future__ import annotations

import copy
import json
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float64
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.files import (
    check_folder,
    make_folder,
    read_regular,
    real_folder,
    remove_leftovers,
    write_whole,
)
from spex_mech.core.joint import PairValue
from spex_mech.core.masks import check_masks, mask_hash, unique
from spex_mech.core.players import PlayerSet
from spex_mech.evaluation.games import as_game
from spex_mech.models.model import Model

TrainInPlace: TypeAlias = Callable[[nn.Module, Bool[np.ndarray, " n"]], Any]
"""``train(network, mask)`` changes the network's weights in place; what it returns is not looked at."""

_HEADER = "trained.json"


class TrainedModels:
    """What a model becomes when it is trained on some groups of examples only: ``trained(mask)`` -> `Model`.

    Together with a function from a model to a game it makes a game of training examples and of whatever
    the function's game has as players, such as words and heads, see `joint`:

    >>> def asked(model):
    ...     heads = sm.TaskGame(model, task, sm.select_players(model, "heads"))
    ...     words = sm.features.text(model, passage, level="word", target=[" A", " B"])
    ...     return sm.joint(words, heads)
    >>> game = sm.joint(td.TrainedModels(start, groups, train, name="towns, seed 0"), asked)

    Args:
        start: the model that is trained: a fresh one, or one to be trained further. It is never changed.
        players: the groups of training examples.
        train: ``train(network, mask)`` trains ``network``, a copy of ``start.hf`` in training mode, on the
            groups that the mask has: bool (n,), True = present. Equal masks must give equal weights, so it
            seeds whatever it draws.
        name: what guards stores and the folder: change it whenever ``train``, its data or its seeds change.
        folder: where the trained weights are kept, one file (safetensors) for each mask, so that a stopped
            run goes on and another question about the same models trains none. None keeps nothing, beside
            the last model of each joint game.

    Attributes:
        start: as above.
        players: as above.
        folder: as above.

    Raises:
        InputError: a folder that holds something else, or models that were trained otherwise; names the
            setting.
    """

    def __init__(
        self,
        start: Model,
        players: PlayerSet,
        train: TrainInPlace,
        *,
        name: str,
        folder: str | Path | None = None,
    ) -> None:
        self.start, self.players, self._train = start, players, train
        self.key: Mapping[str, str] = {
            "training": name,
            "weights before training": start.fingerprint,
            "training groups": " | ".join(players.names),
        }
        self.folder = None if folder is None else self._checked(real_folder(folder))

    def __call__(self, mask: npt.ArrayLike) -> Model:
        """The model trained on the groups of one mask, bool (n,), True = present.

        Raises:
            InputError: a mask that is not bool or not n wide, a training that fails, or a file of the folder
                that cannot be read or written.
            NonFiniteScoreError: a training that diverged; names the groups.
        """
        checked = check_masks(mask, self.players.n)
        if len(checked) != 1:
            raise InputError(f"{len(checked)} masks were given, expected one; call once for each")
        network = copy.deepcopy(self.start.hf)
        file = None if self.folder is None else self.folder / f"{mask_hash(checked)}.safetensors"
        if file is None or not file.exists():
            self._run(network, checked[0])
            if file is not None:
                _write(file, save(_weights(network)))
        else:
            _read_into(network, file)
        return Model(network.eval(), self.start.tokenizer, self.start.name)

    def joined_with(self, other: Any, /) -> PairValue | None:
        """The value of training masks together with those of a game that a function makes of a model.

        The model that is trained on all groups is made at once, to know the game's players.

        Args:
            other: a function from a `Model` to a game; a game itself does not go together, which gives None.

        Raises:
            InputError: a function that gives no game.
        """
        if not callable(other) or hasattr(other, "players"):
            return None
        return _TrainedValue(self, other)

    def _run(self, network: nn.Module, mask: Bool[np.ndarray, " n"]) -> None:
        """Train in place."""
        names = self.players.label(np.flatnonzero(mask).tolist())
        groups = f"{int(mask.sum())} of {len(mask)} groups ({names})"
        try:
            self._train(network.train(), mask.copy())
        except Exception as error:
            raise InputError(
                f"training on {groups} failed: {type(error).__name__}: {error}; make train take any mask, "
                "the empty one too, or use masks that keep more"
            ) from error
        for name, weights in network.named_parameters():
            if not torch.isfinite(weights).all():
                raise NonFiniteScoreError(
                    f"training on {groups} diverged: {name} has weights that are not finite; use a smaller "
                    "learning rate, or clip gradients"
                )

    def _checked(self, folder: Path) -> Path:
        """The folder, made or found to hold models that were trained alike."""
        header = folder / _HEADER
        check_folder(folder)
        try:
            make_folder(folder)
            remove_leftovers(folder)
            fresh = not any(folder.iterdir())
            if fresh:
                write_whole(header, json.dumps(self.key, indent=1).encode())
            known = json.loads(read_regular(header)) if fresh or header.exists() else None
        except (OSError, ValueError) as error:
            raise InputError(
                f"{header} cannot be written or read: {error}; choose another folder"
            ) from error
        if known is None:
            raise InputError(
                f"{folder} holds no trained models and is not empty; choose another folder"
            )
        for field, here in self.key.items():
            there = known.get(field) if isinstance(known, dict) else None
            if there != here:
                raise InputError(
                    f"the models in {folder} have another {field}: {there!r}, expected {here!r}; choose "
                    "another folder, or the settings of those models"
                )
        return folder

    def __repr__(self) -> str:
        name = textwrap.shorten(self.key["training"], 60, placeholder=" ...")
        return f"TrainedModels({self.start.name!r} on {self.players.n} groups, {name!r})"


class _TrainedValue:
    """Values of pairs of masks: the one says what a model was trained on, the other is of its game."""

    def __init__(self, trained: TrainedModels, game_of: Callable[[Model], Any]) -> None:
        self._trained, self._game_of = trained, game_of
        self._last: tuple[str, Any] | None = None  # neighbouring rows are of the same model
        self._players: PlayerSet | None = None
        whole = self._game(np.ones(trained.players.n, dtype=bool))
        self._players = whole.players
        self.sides = (trained.players,), getattr(whole, "sides", (whole.players,))
        adapted = as_game(whole)
        self.key: Mapping[str, str] = {**adapted.key, **trained.key}
        self.batch = adapted.batch

    def __call__(
        self, own: Bool[np.ndarray, "m n"], others: Bool[np.ndarray, "m h"], /
    ) -> Float64[np.ndarray, " m"]:
        """See `PairValue`; every training mask's model is made once."""
        first, inverse = unique(own)
        values = np.empty(len(own))
        for number, row in enumerate(first):
            rows = inverse == number
            values[rows] = self._game(own[row])(others[rows])
        return values

    def _game(self, mask: Bool[np.ndarray, " n"]) -> Any:
        """The game of the model that was trained on a mask."""
        name = mask_hash(mask[None])
        if self._last is not None and self._last[0] == name:
            return self._last[1]
        self._last = None  # its model goes before the next one comes
        game = self._game_of(self._trained(mask))
        players = getattr(game, "players", None)
        if not (callable(game) and isinstance(players, PlayerSet)):
            raise InputError(
                f"the function made a {type(game).__name__} of a model, expected a game with players, such "
                "as a TaskGame, a text's game or a joint game of both"
            )
        if self._players is not None and players.names != self._players.names:
            raise InputError(
                f"the games of two models have other players ({players!r} and {self._players!r}); make the "
                "same game of every model"
            )
        self._last = name, game
        return game

    def __getstate__(self) -> dict[str, Any]:
        """Without the last model, which another process makes again."""
        return {**self.__dict__, "_last": None}


def _weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, those that are tied once."""
    found: dict[int, str] = {}
    state = network.state_dict()
    for name, tensor in state.items():
        found.setdefault(tensor.data_ptr(), name)
    return {name: state[name].cpu().contiguous() for name in found.values()}


def _write(file: Path, content: bytes) -> None:
    try:
        write_whole(file, content)
    except OSError as error:
        raise InputError(
            f"cannot write {file}: {error.strerror or error}; the models that are there stay; make room, or "
            "make the folder writable, and run again"
        ) from error


def _read_into(network: nn.Module, file: Path) -> None:
    """Put the weights of a file into a copy of the model that they were trained from."""
    try:
        weights = load(read_regular(file))
        expected = _weights(network)
        if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in expected.items()}:
            raise ValueError("its weights are not those of this model")
        network.load_state_dict(weights, strict=False)  # of tied weights, one is there
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read: {error}; remove it, and it will be trained again"
        ) from error
