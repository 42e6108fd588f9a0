"""The cost of a run before it starts: masks, tokens, bytes, and the time that a short probe predicts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from spex_mech.ablation.constant_fit import PAIRS, STEPS, fit_cost, seconds_per_answer
from spex_mech.ablation.game import TaskGame
from spex_mech.core.masks import unique
from spex_mech.core.players import select_players
from spex_mech.designs.asked import asked_questions
from spex_mech.evaluation.games import as_game
from spex_mech.evaluation.keep_rates import choice_of, questions_to_choose
from spex_mech.evaluation.questions import ALL, QuestionChoice, masks_at_once
from spex_mech.evaluation.rounds import in_rounds, round_sizes
from spex_mech.models.model import Model
from spex_mech.pruning.compare import LASSO
from spex_mech.pruning.prune import size_of
from spex_mech.run.designs import is_asked_all
from spex_mech.run.gradients import gradients_cost
from spex_mech.run.setup import Setup, circuit_game, other_game
from spex_mech.tasks.noise import Noise, accuracy_noise, expected_noise
from spex_mech.tasks.task import ChoiceTask

_PROBE_SECONDS = 2.0


@dataclass(frozen=True)
class Phase:
    """The cost of one phase.

    Attributes:
        name: what is evaluated.
        masks: most ablated models (equal masks are evaluated once).
        rows: answers: pairs of a mask and a question.
        tokens: prompt tokens that they read.
        seconds: estimated wall-clock time of one worker.
        size: bytes of their masks, values and scores in the store.
        batch: number of masks that one worker evaluates together.
    """

    name: str
    masks: int
    rows: int
    tokens: int
    seconds: float
    size: int
    batch: int

    def seconds_with(self, workers: int) -> float:
        """Estimated wall-clock time with a number of workers as fast as the one that was measured.

        Workers share batches, which are never split, so that a phase of few masks gains little. The
        time to start workers is not counted. Every worker prepares for itself.
        """
        if not self.masks:
            return self.seconds
        batches = -(-self.masks // self.batch)
        per_worker = -(-batches // workers)
        return self.seconds * min(1.0, per_worker * self.batch / max(1, self.masks))


def plan(setup: Setup) -> list[Phase]:
    """Estimate the phases of a prepared run.

    A few masks of the design are timed on the search questions (about two seconds after a warm-up);
    their rate of tokens per second is used for all phases. Before its first answer, every game prepares its
    engine and holds it to the model; the time of that is the first phase. Under optimal ablation constants
    are fitted before all else: their rows count a backward pass as two, and a step of the fit is timed.
    """
    fits = _fits(setup)
    setup = _without_constants(setup)
    spec, choice = setup.spec, planned_choice(setup)
    rate, preparation = _tokens_per_second(setup, choice)
    sizes, methods = setup.sizes, 1 + len(spec.prune.baselines)
    search, test = setup.game, setup.game.with_split("test")
    checks = len(sizes) * spec.prune.ablations
    counts = [
        ("pruning", search, checks),
        # The LASSO ranking reads the design; every other baseline may spend as many ablations as ours.
        (
            "baselines",
            search,
            setup.budget * sum(name != LASSO for name in spec.prune.baselines),
        ),
        ("test", test, 1 + methods * len(sizes)),
    ]
    if spec.prune.export == "auto":
        counts.append(("validation", setup.game.with_split("validation"), 1 + len(sizes)))
    counts += [(task.name, other_game(setup, task), 2) for task in setup.others]
    if spec.circuit.subsets:
        size = max(sizes) if spec.prune.export == "auto" else _exported(setup)
        most = 4 + 2 * spec.circuit.subsets + 3 * size  # if every player needs a second test
        most += methods * len(sizes)
        counts.append(("circuit", circuit_game(setup), most + 3 * len(spec.circuit.ablations)))
    games = len({id(game) for _, game, masks in [("", search, 1), *counts] if masks})
    phases = [Phase("preparation", 0, 0, 0, games * preparation, 0, 1), *fits]
    if cost := gradients_cost(spec.decode, setup.players.n):
        rows, tokens = cost * len(search.question_ids), cost * tokens_per_mask(search)
        phases.append(Phase("gradients", cost, rows, tokens, tokens / rate, 0, cost))
    whole = [("design", search, len(setup.design)), ("held-out check", search, spec.design.check)]
    if choice is None:
        counts = [*whole, *counts]
    else:
        masks = choice.masks(len(setup.design) * choice.questions)
        held, each = choice.check_counts(spec.design.check)
        phases.append(_asked("design", search, masks, int(choice.counts(masks).sum()), rate))
        phases.append(_asked("held-out check", search, held, held * each, rate))
    for name, game, masks in counts:
        tokens = masks * tokens_per_mask(game)
        size = masks * bytes_per_mask(game)
        rows = masks * len(game.question_ids)
        phases.append(Phase(name, masks, rows, tokens, tokens / rate, size, game.batch))
    return phases


def planned_choice(setup: Setup) -> QuestionChoice | None:
    """How many questions masks will be asked, as far as that is known before a pilot; None for all."""
    spec, game = setup.spec.design, as_game(setup.game)
    questions = ALL if is_asked_all(spec) else spec.questions
    if questions_to_choose(game, questions) is None:
        return None
    choice = choice_of(game, questions, None)
    if spec.in_rounds:
        return in_rounds(choice, setup.players.n, spec.most)
    return choice.spread(len(setup.design) * len(setup.game.question_ids))


def first_round(setup: Setup, phases: Sequence[Phase]) -> Phase | None:
    """The first round of a design in rounds, of which ``design`` among the phases has all; else None."""
    if not setup.spec.design.in_rounds:
        return None
    choice = planned_choice(setup)
    masks = round_sizes(setup.players.n, setup.spec.design.most, choice)[0]
    whole = next(phase for phase in phases if phase.name == "design")
    rows = masks * len(setup.game.question_ids)
    if choice is not None:
        rows = int(choice.counts(masks).sum())
    share = rows / whole.rows
    return replace(
        whole,
        masks=masks,
        rows=rows,
        tokens=int(share * whole.tokens),
        seconds=share * whole.seconds,
        size=int(share * whole.size),
    )


def _fits(setup: Setup) -> list[Phase]:
    """The fits of constants for optimal ablation: one for all parts, two for the kept set of the circuit."""
    circuit = setup.spec.circuit
    once = int(setup.game.lacks_constants)
    sets = 2 if circuit.subsets and "optimal" in circuit.ablations else 0
    if not once + sets:
        return []
    game = setup.game
    count = len(game.question_ids)
    rows = once * fit_cost(count) + sets * fit_cost(count, for_set=True)
    seconds = rows * seconds_per_answer(game)
    tokens = rows * tokens_per_mask(game) // count
    return [Phase("constants", (once + sets) * STEPS * PAIRS, rows, tokens, seconds, 0, rows)]


def _without_constants(setup: Setup) -> Setup:
    """The setup with mean ablation where constants are still to be fitted: it takes as long."""
    if not setup.game.lacks_constants:
        return setup
    game = TaskGame(
        setup.model, setup.task, setup.players, metric=setup.game.metric.name, ablation="mean"
    )
    return replace(setup, game=game)


def _asked(name: str, game: TaskGame, masks: int, rows: int, rate: float) -> Phase:
    """A phase of masks that are asked some questions each."""
    mask_cost, question_cost = game.asking_cost()
    tokens = int(masks * mask_cost + rows * question_cost)
    of_row = 4 * prod(game.prompts.shape[1:]) + 8  # its scores, and which question it is
    size = masks * (-(-game.players.n // 8) + 8) + rows * of_row
    batch = masks_at_once(game.batch, len(game.question_ids), max(1, rows // max(masks, 1)))
    return Phase(name, masks, rows, tokens, tokens / rate, size, batch)


def expected(setup: Setup) -> dict[str, Noise]:
    """The differences that search and test questions can show at an accuracy of 0.5, the worst case.

    Needs no answers of the model, unlike `task_noise`.
    """
    counts = {split: len(setup.task.select(split)) for split in ("search", "test")}
    return {split: expected_noise(count) for split, count in counts.items() if count > 1}


def tokens_per_mask(game: TaskGame) -> int:
    """Prompt tokens that one mask's evaluation reads."""
    return sum(len(tokens) for tokens in game.prompts.tokens)


def bytes_per_mask(game: TaskGame) -> int:
    """Bytes per mask in a store: one bit per player, a float64 value, float32 scores."""
    return -(-game.players.n // 8) + 8 + 4 * prod(game.prompts.shape)


def _exported(setup: Setup) -> int:
    size = setup.spec.prune.export
    if size is None or isinstance(size, str):
        return min(setup.sizes)
    return size_of(size, setup.players.n) or min(setup.sizes)


def _tokens_per_second(setup: Setup, choice: QuestionChoice | None) -> tuple[float, float]:
    """Rate of the first probe that takes two seconds or the whole design, and seconds of preparation.

    Probes double in size. What the first mask takes longer than its rate explains is preparation.
    """
    masks = setup.design.masks[unique(setup.design.masks)[0]]
    game, every = setup.game, len(setup.game.question_ids)
    per_mask, each = float(tokens_per_mask(game)), every
    if choice is not None:
        mask_cost, question_cost = game.asking_cost()
        each = choice.each
        per_mask = mask_cost + each * question_cost
    asked = asked_questions(np.full(len(masks), each), every, seed=0).reshape(-1, each)

    def probe(count: int) -> float:
        began = time.monotonic()
        if choice is None:
            game.scores(masks[:count])
        else:
            game.asked_scores(masks[:count], asked[:count])
        return time.monotonic() - began

    first, count = probe(1), 1
    while True:
        seconds = probe(count)
        if seconds >= _PROBE_SECONDS or count >= len(masks):
            done = min(count, len(masks))
            return done * per_mask / seconds, max(0.0, first - seconds / done)
        count *= 2


def task_noise(model: Model, task: ChoiceTask, *, discordant: float = 0.1) -> dict[str, Noise]:
    """The noise of a task's splits, measured on the whole model.

    Args:
        model: the model.
        task: the task; one that scores texts has no accuracy.
        discordant: see `accuracy_noise`.

    Returns:
        Split name to its noise, for the splits with at least two questions, and for ``all``.

    Raises:
        InputError: a task that does not fit the model, or one without accuracy.
    """
    players = select_players(model, "layers")
    game = TaskGame(model, task, players, split="all", metric="accuracy")
    right = game.per_example(game.scores(np.ones((1, players.n), dtype=bool)))[0]
    splits = np.array([x.split for x in task.select("all")])
    parts = {name: right[splits == name] for name in ("search", "validation", "test")}
    return {
        name: accuracy_noise(part, discordant=discordant)
        for name, part in {**parts, "all": right}.items()
        if len(part) > 1
    }
