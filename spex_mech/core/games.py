"""The types shared by both sides of the library: masks, values and value functions.

A mask says which players are present: ``True`` = present, everywhere, without exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet

Masks: TypeAlias = Bool[np.ndarray, "m n"]
"""Bool array (m, n): row j is one coalition, column i one player, True = present."""

Values: TypeAlias = Float64[np.ndarray, " m"]
"""Float64 array (m,): the value of each mask."""

Scores: TypeAlias = Float32[np.ndarray, "m e ..."]
"""Float32 array (m, examples) or (m, examples, answers): the raw scores behind the values."""


@runtime_checkable
class ValueFunction(Protocol):
    """A game: maps coalitions to numbers. Deterministic, and each row independent of the others."""

    @property
    def players(self) -> PlayerSet:
        """The ordered players."""
        ...

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever an answer could change."""
        ...

    def __call__(self, masks: Masks, /) -> Values:
        """Values (m,) of masks (m, n)."""
        ...


@runtime_checkable
class ScoredValueFunction(ValueFunction, Protocol):
    """A game that keeps a score for every example; its value is a metric's mean over them."""

    def scores(self, masks: Masks, /) -> Scores:
        """Raw scores of every mask and example."""
        ...

    def values_from_scores(self, scores: Scores, /) -> Values:
        """The metric's mean over the examples, (m,)."""
        ...


@dataclass(frozen=True, eq=False)
class Questions:
    """What a store keeps of the examples behind scores, one entry per example.

    Attributes:
        ids: their names.
        right: column of the right answer.
        answers: token ids of the answers; None where a score is not that of a token.
        options: rows of the scored texts that are an example's answers; None where there are none.
        lengths: characters of each answer.
        texts: the prompt and the texts of the answers; None where the game does not know them.
    """

    ids: tuple[str, ...]
    right: Int64[np.ndarray, " e"]
    answers: Int64[np.ndarray, "e k"] | None
    options: Int64[np.ndarray, "e k"] | None
    lengths: Float64[np.ndarray, "e k"] | None
    texts: Sequence[tuple[str, Sequence[str]] | None]


@runtime_checkable
class Game(Protocol):
    """What evaluation asks of a game. `as_game` adapts a `ValueFunction` or a plain function to it."""

    @property
    def players(self) -> PlayerSet | None:
        """The ordered players; None where any number will do."""
        ...

    @property
    def key(self) -> Mapping[str, str]:
        """What decides the answers, field by field; a store is compared with it."""
        ...

    @property
    def batch(self) -> int:
        """How many masks are evaluated together. It depends on nothing that differs between machines."""
        ...

    def __call__(self, masks: Masks, /) -> Values:
        """Values (m,) of masks (m, n)."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a store's readers want to know: the names of model, task, metric, ablation and split."""
        ...

    def questions(self) -> Questions | None:
        """The examples, for a store; None where the game has none."""
        ...

    def rebuild(self, *, device: str | None = None, device_map: Any = None) -> Callable[[], Any]:
        """A picklable function that makes this game in another process.

        Args:
            device: where a model is put, such as ``"cuda"``; None for where it is now.
            device_map: spread a model over the other process's devices, see Hugging Face's
                ``from_pretrained``.

        Raises:
            InputError: a ``device_map`` for a game without a model.
        """
        ...


@runtime_checkable
class ScoredGame(Game, Protocol):
    """A `Game` that keeps a score for every example; its value is a metric's mean over them."""

    def scores(self, masks: Masks, /) -> Scores:
        """Raw scores of every mask and example."""
        ...

    def values_from_scores(self, scores: Scores, /) -> Values:
        """The metric's mean over the examples, (m,)."""
        ...


@runtime_checkable
class AsksQuestions(Protocol):
    """What a game has that can be asked some of its questions under each mask."""

    @property
    def question_ids(self) -> tuple[str, ...]:
        """The questions' names; a question is known by its position among them."""
        ...

    def asked_scores(self, masks: Masks, questions: Int64[np.ndarray, "m q"], /) -> Scores:
        """Raw scores (m, q, ...) of mask j on the questions at the positions ``questions[j]``."""
        ...

    def per_asked(
        self, scores: Scores, questions: Int64[np.ndarray, "m q"], /
    ) -> Float64[np.ndarray, "m q"]:
        """The metric of raw scores (m, q, ...) of these questions."""
        ...

    def asking_cost(self) -> tuple[float, float]:
        """What a mask costs however few questions it is asked, and each question under it; in tokens."""
        ...


@runtime_checkable
class AskedGame(ScoredGame, AsksQuestions, Protocol):
    """A `ScoredGame` that can be asked some of its questions under each mask: rows instead of whole masks."""


@runtime_checkable
class QuestionGame(Protocol):
    """A game that knows its value on each question: a model's game, or a stored run."""

    @property
    def players(self) -> PlayerSet:
        """The ordered players."""
        ...

    @property
    def question_ids(self) -> tuple[str, ...]:
        """The questions' names."""
        ...

    @property
    def metric_name(self) -> str | None:
        """The metric of the values; None where a stored run does not say it."""
        ...

    def per_question(
        self, masks: Masks, *, metric: str | None = None
    ) -> Float64[np.ndarray, "m e"]:
        """The game's metric, or another, of every mask and question."""
        ...


@runtime_checkable
class ExampleGame(ScoredValueFunction, Protocol):
    """A `ScoredValueFunction` that has its metric's value of every example."""

    def per_example(self, scores: Scores, /) -> Float64[np.ndarray, "m e"]:
        """The metric of every mask and example."""
        ...


AnyGame: TypeAlias = Game | ValueFunction | Callable[[Any], Any]
"""What `evaluate` takes: a game, or any callable from bool masks (m, n) to values (m,)."""


class SentWhole:
    """The part of a `Game` that has nothing to say to a store and goes to workers as it is, pickled."""

    def describe(self) -> dict[str, Any]:
        """See `Game.describe`."""
        return {}

    def questions(self) -> Questions | None:
        """See `Game.questions`."""
        return None

    def rebuild(self, *, device: str | None = None, device_map: Any = None) -> Callable[[], Any]:
        """See `Game.rebuild`."""
        del device  # there is no model to put there
        if device_map:
            raise InputError("device_map is for games of a model, this game has none; leave it out")
        return _Same(self)


@dataclass(frozen=True)
class _Same:
    game: Any

    def __call__(self) -> Any:
        return self.game
