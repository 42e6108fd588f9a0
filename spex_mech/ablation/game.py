"""`TaskGame`: a model, a task and players as a value function over coalitions."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32, Float64

from spex_mech import ablation as ablations
from spex_mech.ablation.settings import GameParts, GameSettings
from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.games import Questions
from spex_mech.core.masks import check_masks, unique
from spex_mech.core.players import PlayerSet
from spex_mech.models.model import Model
from spex_mech.tasks.metrics import Metric, metric_for
from spex_mech.tasks.prompts import Prompts, encode
from spex_mech.tasks.task import Task

_TOKENS = 2**20
_MOST_MASKS = 64


class Engine(Protocol):
    """Scores ablated models on prompts: masks (m, n) -> float32 (m, rows, ...)."""

    def scores(self, masks: Bool[np.ndarray, "m n"]) -> Float32[np.ndarray, "m e ..."]:
        """Scores of every mask and row."""
        ...


class TaskGame:
    """What an ablated model is worth on a task (9 parameters: six are `GameSettings`, given by keyword).

    ``game(masks)`` -> float64 (m,).

    Values are means over the examples of a metric, higher = better for every metric. The model's
    weights are never changed and no hook stays on it. The reference engine (TransformerLens hooks)
    defines the scores; the fast one gives the same many times faster, and proves it on a few masks and
    prompts before it scores anything else. Both are held to Hugging Face's own code on two prompts first.

    Args:
        model: the model to ablate.
        task: what it is asked.
        players: parts of the model that masks switch off; parts of no player always stay.
        split: the examples to score: ``search``, ``validation``, ``test`` or ``all``.
        metric: ``accuracy``, ``margin`` (right minus best wrong score), ``logprob`` (of the right
            answer among the answers; of the sequence for sequences), ``brier`` or ``kl`` (minus the
            divergence from the full model's distribution over the answers, in nats); more in
            `metric_for`; default the task's own.
        ablation: ``zero``, ``mean`` or ``resample``: what removed parts become.
        rescale: with ``zero``: multiply each layer's kept heads by H / |kept|.
        seed: seed of the donors of ``resample``.
        engine: ``auto`` (fast where it knows the model, else the reference with a warning that says
            why), ``fast`` or ``reference``. Not part of the key: the scores are the same.

    Attributes:
        settings: the settings, with the task's own metric by its name where none was given.

    Raises:
        InputError: an unknown split, metric, ablation or engine, players of another model, a task
            that this model cannot be asked, ``fast`` for a model that it does not know, or a model or
            players that TransformerLens does not support.
    """

    def __init__(
        self,
        model: Model,
        task: Task,
        players: PlayerSet,
        *,
        split: str = "search",
        metric: str | None = None,
        ablation: str = "zero",
        rescale: bool = False,
        seed: int = 0,
        engine: str = "auto",
    ) -> None:
        """Nine parameters: each choice is a keyword of its own on the public face; see `GameSettings`."""
        self.model, self.task, self.split = model, task, split
        self._players = players
        self.ablation = _ablation(ablation, rescale, seed)
        self.prompts: Prompts = encode(task, split, model.tokenizer, model.context)
        self.metric: Metric = metric_for(metric or task.metric, self.prompts)
        self.engine = engine
        self.settings = GameSettings(split, self.metric.name, ablation, rescale, seed, engine)
        self._engine = _engine(engine)(model, self.prompts, players, self.ablation)

    @property
    def players(self) -> PlayerSet:
        """The ordered players."""
        return self._players

    @cached_property
    def key(self) -> dict[str, str]:
        """Everything that decides the scores, field by field; the metric and split names do not."""
        texts = json.dumps([self.prompts.tokens, self.prompts.right.tolist()])
        read = (self.prompts.answers, self.prompts.targets, self.prompts.options)
        answers = "".join(json.dumps(part.tolist()) for part in read if part is not None)
        return {
            "weights": self.model.fingerprint,
            "dtype": str(self.model.dtype),
            "ablation": self.ablation.name,
            "ablation seed": str(self.ablation.seed),
            "rescale": str(self.ablation.rescale),
            "players": " ".join(self._players.names),
            "examples": _digest(json.dumps(self.prompts.ids)),
            "prompts": _digest(texts + answers),
            "scorer": self.task.scorer,
        }

    @property
    def fingerprint(self) -> str:
        """Hash of `key` and of the metric."""
        return _digest(json.dumps([self.key, self.metric.name], sort_keys=True))

    def __call__(self, masks: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
        """Values of masks, (m,): the metric's mean over the examples.

        Args:
            masks: bool (m, n), True = present.

        Raises:
            InputError: masks that are not bool or not n wide.
            NonFiniteScoreError: a score that is NaN or infinite; names mask and example.
        """
        return self.values_from_scores(self.scores(masks))

    def scores(self, masks: npt.ArrayLike) -> Float32[np.ndarray, "m e ..."]:
        """Answer scores of every mask and example; equal masks are evaluated once.

        Args:
            masks: bool (m, n), True = present; no masks (0, n) have no scores (0, examples, ...).

        Returns:
            float32 (m, examples, answers): logits, or summed log-probabilities of answers of several
            tokens (−1e30 for an answer that an example does not have); or (m, examples) mean
            log-probabilities of sequences.

        Raises:
            InputError: masks that are not bool or not n wide; engines that disagree, with each other or
                with the model as it was loaded; or too little memory for a single mask and prompt.
            NonFiniteScoreError: a score that is NaN or infinite; names mask and example.
        """
        checked = check_masks(masks, self._players.n)
        first, inverse = unique(checked)
        todo = checked[first]
        if not len(checked):
            return np.empty((0, *self.prompts.shape), dtype=np.float32)
        scores = self.prompts.arrange(self._engine.scores(todo))
        bad = ~np.isfinite(scores.reshape(*scores.shape[:2], -1)).all(axis=2)
        if bad.any():
            row, example = np.argwhere(bad)[0]
            gone = [n for n, kept in zip(self.players.names, todo[row], strict=True) if not kept]
            raise NonFiniteScoreError(
                f"mask {first[row]} (without {' '.join(gone) or 'nothing'}) scores "
                f"{scores[row, example]} on example {self.prompts.ids[example]!r}; load the model in "
                "float32 or bfloat16, or leave the example out"
            )
        return scores[inverse]

    def values_from_scores(
        self, scores: Float32[np.ndarray, "m e ..."]
    ) -> Float64[np.ndarray, " m"]:
        """The metric's mean over the examples, (m,)."""
        return self.per_example(scores).mean(axis=1)

    def per_example(
        self, scores: Float32[np.ndarray, "m e ..."], *, metric: str | None = None
    ) -> Float64[np.ndarray, "m e"]:
        """The game's metric, or another, of every mask and example; no model is run but for ``kl``."""
        measure = self.metric if metric is None else metric_for(metric, self.prompts)
        full = self._full if measure.needs_full else None
        return measure(scores, self.prompts.right, full)

    def with_split(self, split: str) -> TaskGame:
        """The same game on another split's examples."""
        settings = replace(self.settings, split=split)
        return TaskGame(self.model, self.task, self._players, **settings.options)

    @property
    def question_ids(self) -> tuple[str, ...]:
        """The ids of the examples."""
        return self.prompts.ids

    @property
    def metric_name(self) -> str:
        """Name of the metric."""
        return self.metric.name

    def per_question(
        self, masks: npt.ArrayLike, *, metric: str | None = None
    ) -> Float64[np.ndarray, "m e"]:
        """The game's metric, or another, of every mask and example; `scores` says what is raised."""
        return self.per_example(self.scores(masks), metric=metric)

    @cached_property
    def batch(self) -> int:
        """Masks that are evaluated together: 64, fewer where they would read over a million tokens.

        It depends on nothing but the prompts, so that two machines choose the same.
        """
        tokens = max(1, sum(len(row) for row in self.prompts.tokens))
        return int(np.clip(2 ** int(np.log2(max(1, _TOKENS // tokens))), 1, _MOST_MASKS))

    def describe(self) -> dict[str, Any]:
        """Names of model, task, metric, ablation and split, for the readers of a store."""
        return {
            "model": self.model.name,
            "task": self.task.name,
            "metric": self.metric.name,
            "ablation": self.ablation.name,
            "split": self.split,
        }

    def questions(self) -> Questions:
        """The examples, as a store keeps them."""
        prompts = self.prompts
        texts = {x.id: (x.prompt, x.options) for x in getattr(self.task, "examples", ())}
        return Questions(
            ids=prompts.ids,
            right=prompts.right,
            answers=prompts.answers,
            options=prompts.options,
            lengths=prompts.lengths,
            texts=[texts.get(name) for name in prompts.ids],
        )

    def rebuild(self, *, device: str | None = None, device_map: Any = None) -> GameParts:
        """What another process makes this game of: the model's weights, or its name, and the settings.

        Args:
            device: where the model is put, as in ``"cuda"``; None for where it is now.
            device_map: load the model by its name and spread it over the other process's devices, see
                ``device_map`` of Hugging Face's ``from_pretrained``.
        """
        model = self.model
        return GameParts(
            game=type(self),
            model=type(model),
            name=model.name,
            hf=None if device_map else model.hf,
            tokenizer=model.tokenizer,
            dtype=model.dtype,
            task=self.task,
            players=self._players,
            settings=self.settings,
            device=device,
            device_map=device_map,
        )

    @cached_property
    def _full(self) -> Float32[np.ndarray, "1 e k"]:
        return self.scores(np.ones((1, self._players.n), dtype=bool))

    def __repr__(self) -> str:
        return (
            f"TaskGame({self.model.name!r}, {self.task.name!r}, {self._players.n} players, "
            f"{len(self.prompts.ids)} {self.split} examples, {self.metric.name}, {self.ablation.name})"
        )


def _ablation(name: str, rescale: bool, seed: int) -> ablations.Ablation:
    if name not in ablations.ABLATIONS:
        raise InputError(
            f"unknown ablation {name!r}; expected one of {', '.join(ablations.ABLATIONS)}"
        )
    if rescale and name != "zero":
        raise InputError(
            f"rescale=True goes with zero ablation only, got {name!r}; set rescale=False"
        )
    return replace(ablations.ABLATIONS[name](seed), rescale=rescale)


def _engine(name: str) -> Callable[..., Engine]:
    known = {
        "auto": _best_engine,
        "fast": partial(ablations.ProvenEngine, ablations.FastEngine),
        "reference": partial(ablations.ProvenEngine, ablations.ReferenceEngine),
    }
    if name not in known:
        raise InputError(f"unknown engine {name!r}; expected one of {', '.join(known)}")
    return known[name]


def _best_engine(model: Model, prompts: Prompts, *game: Any) -> Engine:
    why = ablations.obstacle(model, prompts)
    if why is not None:
        warnings.warn(
            f"{model.name!r} is scored by the slow reference engine because {why}; pass "
            "engine='reference' to say that this is meant",
            stacklevel=3,
        )
    return _engine("reference" if why else "fast")(model, prompts, *game)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
