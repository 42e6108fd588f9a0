"""`TaskGame`: a model, a task and players as a value function over coalitions."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Float64

from spex_mech.ablation.asking import asked_scores, check_finite, check_questions
from spex_mech.ablation.constant_fit import fit_constants
from spex_mech.ablation.constants import Constants, optimal
from spex_mech.ablation.engines import ablation_of, engine_of
from spex_mech.ablation.identity import fingerprint_of, key_of
from spex_mech.ablation.proof import ProvenEngine
from spex_mech.ablation.settings import GameParts, GameSettings
from spex_mech.core.errors import InputError
from spex_mech.core.games import Questions
from spex_mech.core.masks import check_masks, unique
from spex_mech.core.players import PlayerSet
from spex_mech.models.model import Model
from spex_mech.tasks.metrics import Metric, metric_for
from spex_mech.tasks.partners import with_partner_tokens
from spex_mech.tasks.prompts import Prompts, encode
from spex_mech.tasks.task import ChoiceTask, Task

_TOKENS = 2**20
_MOST_MASKS = 64


class TaskGame:
    """What an ablated model is worth on a task (10 parameters: seven are `GameSettings`, given by keyword).

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
        ablation: ``zero``, ``mean``, ``resample``, ``counterfactual`` or ``optimal``: what removed parts
            become. ``counterfactual`` takes them from the task's corrupted partners (see `tasks.partners`),
            ``optimal`` from constants that lose least on the search questions (see `fit_constants`).
        rescale: with ``zero``: multiply each layer's kept heads by H / |kept|.
        seed: seed of the donors of ``resample``, and of the fit of ``optimal``.
        constants: with ``optimal``: constants that were fitted before; by default they are fitted when they
            are first needed, for masks that keep any share of the players.
        engine: ``auto`` (fast where it knows the model, else the reference with a warning that says
            why), ``fast`` or ``reference``. Not part of the key: the scores are the same.

    Raises:
        InputError: an unknown split, metric, ablation or engine, questions without the partners that
            ``counterfactual`` needs, constants for another ablation, players of another model, a task that
            this model cannot be asked, ``fast`` for a model that it does not know, or a model or players
            that TransformerLens does not support.
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
        constants: Constants | None = None,
        engine: str = "auto",
    ) -> None:
        """Ten parameters: each choice is a keyword of its own on the public face; see `GameSettings`."""
        self.model, self.task, self.split, self.seed = model, task, split, seed
        self._players = players
        self.ablation = ablation_of(ablation, rescale, seed)
        self._constants = constants
        if self.ablation.fitted:
            self.ablation = optimal(lambda: self.constants)
        elif constants is not None:
            raise InputError(f"constants= goes with optimal ablation only, got {ablation!r}")
        self.prompts: Prompts = encode(task, split, model.tokenizer, model.context)
        if self.ablation.paired:
            self.prompts = with_partner_tokens(self.prompts, task, split, model.tokenizer)
        self.metric: Metric = metric_for(metric or task.metric, self.prompts)
        self.engine = engine
        self._engine: ProvenEngine = engine_of(engine)(model, self.prompts, players, self.ablation)

    @property
    def players(self) -> PlayerSet:
        """The ordered players."""
        return self._players

    @property
    def constants(self) -> Constants:
        """The constants of optimal ablation; they are fitted if they have not been given or needed yet.

        Raises:
            InputError: another ablation, or as for `fit_constants`.
        """
        if not self.ablation.fitted:
            raise InputError(
                f"{self.ablation.name} ablation has no constants, optimal ablation has"
            )
        if self._constants is None:
            self._constants = fit_constants(self)
        return self._constants

    @property
    def settings(self) -> GameSettings:
        """The settings, with the task's own metric by its name where none was given, and with constants."""
        return self._settings(self.constants if self.ablation.fitted else None)

    @property
    def lacks_constants(self) -> bool:
        """Whether its constants are still to be fitted."""
        return self.ablation.fitted and self._constants is None

    def with_constants(self, constants: Constants) -> TaskGame:
        """The same game with other constants of optimal ablation."""
        options = self._settings(constants).options
        return TaskGame(self.model, self.task, self._players, **options)

    def _settings(self, constants: Constants | None) -> GameSettings:
        return GameSettings(
            self.split,
            self.metric.name,
            self.ablation.name,
            self.ablation.rescale,
            self.seed,
            constants,
            self.engine,
        )

    @cached_property
    def key(self) -> dict[str, str]:
        """Everything that decides the scores, field by field; the metric and split names do not."""
        key = key_of(self.model, self.prompts, self._players, self.ablation, self.task.scorer)
        return {**key, "constants": self.constants.digest} if self.ablation.fitted else key

    @property
    def fingerprint(self) -> str:
        """Hash of `key` and of the metric."""
        return fingerprint_of(self.key, self.metric.name)

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
        if not len(checked):
            return np.empty((0, *self.prompts.shape), dtype=np.float32)
        scores = self.prompts.arrange(self._engine.scores(checked[first]))[inverse]
        every = np.broadcast_to(np.arange(len(self.prompts.ids)), scores.shape[:2])
        check_finite(scores, checked, every, self._players, self.prompts)
        return scores

    def asked_scores(
        self, masks: npt.ArrayLike, questions: npt.ArrayLike
    ) -> Float32[np.ndarray, "m q ..."]:
        """Answer scores of every mask on its own questions; a pair that is asked twice is evaluated once.

        Args:
            masks: bool (m, n), True = present.
            questions: int64 (m, q), different positions among `question_ids` for each mask.

        Returns:
            float32 (m, q, ...): what `scores` has for mask j at ``questions[j]``, up to rounding.

        Raises:
            InputError: as `scores`; questions that are not integers, not q of at least 1 for each mask, that
                do not exist, or that come twice under a mask.
            NonFiniteScoreError: a score that is NaN or infinite; names mask and example.
        """
        checked = check_masks(masks, self._players.n)
        asked = check_questions(questions, len(checked), self.prompts)
        scores = asked_scores(self._engine, self.prompts, checked, asked)
        check_finite(scores, checked, asked, self._players, self.prompts)
        return scores

    def scores_of(self, masks: npt.ArrayLike, prompts: Prompts) -> Float32[np.ndarray, "m ..."]:
        """Scores of mask j on row j of other prompts, each mask on a prompt of its own.

        Args:
            masks: bool (m, n), True = present.
            prompts: m rows; the game's own task and metric play no part.

        Returns:
            float32 (m, answers), or (m,) of prompts without answers.

        Raises:
            InputError: masks that are not bool or not n wide, or another number of them than of rows; or as
                `scores`.
        """
        checked = check_masks(masks, self._players.n)
        if len(checked) != len(prompts):
            raise InputError(
                f"{len(checked)} masks for {len(prompts)} prompts, expected one for each"
            )
        different, place = unique(checked)
        pairs = np.column_stack([place, np.arange(len(prompts))])
        return self._engine.with_prompts(prompts).pair_scores(checked[different], pairs)

    def asking_cost(self) -> tuple[float, float]:
        """What a mask costs however few questions it is asked, and each question under it; in tokens.

        The first is the beginning that all prompts share, where the engine runs it once for a mask. Both
        follow from the prompts alone; nothing is timed.
        """
        return self._engine.asking_cost()

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

    def per_asked(
        self,
        scores: Float32[np.ndarray, "m q ..."],
        questions: npt.ArrayLike,
        *,
        metric: str | None = None,
    ) -> Float64[np.ndarray, "m q"]:
        """The game's metric, or another, of scores (m, q, ...) that `asked_scores` gave for these questions.

        No model is run but for ``kl``, which needs the full model's scores of all questions, once.

        Raises:
            InputError: an unknown metric, or questions as `asked_scores` refuses them.
        """
        asked = check_questions(questions, len(scores), self.prompts).reshape(-1)
        prompts = self.prompts.at(asked)
        measure = metric_for(metric or self.metric.name, prompts)
        full = self._full[:, asked] if measure.needs_full else None
        flat = scores.reshape(1, len(asked), *scores.shape[2:])
        return measure(flat, prompts.right, full).reshape(scores.shape[:2])

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
        model, task = self.model, self.task
        if isinstance(task, ChoiceTask) and not self.ablation.paired:
            task = task.without_partners()
        return GameParts(
            game=type(self),
            model=type(model),
            name=model.name,
            hf=None if device_map else model.hf,
            tokenizer=model.tokenizer,
            dtype=model.dtype,
            task=task,
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
