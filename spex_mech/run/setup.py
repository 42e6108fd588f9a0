"""A run's model and game, loaded and checked for each other before anything is evaluated."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

from spex_mech.ablation.game import TaskGame
from spex_mech.core.errors import InputError
from spex_mech.core.limits import Limit, kv_groups, per_layer
from spex_mech.core.spectrum import Spectrum
from spex_mech.exporting.parameters import parameter_limit
from spex_mech.exporting.servable import loosest_form, servable
from spex_mech.models.loading import load_model
from spex_mech.models.model import Model
from spex_mech.pruning.integer_program import best_set
from spex_mech.pruning.layer_sets import LayerSets
from spex_mech.pruning.prune import FEASIBLE_SECONDS, size_of
from spex_mech.run.other_tasks import spread_over
from spex_mech.run.outline import LEAVE_OUT, Outline, check_sizes, outline
from spex_mech.run.spec import RunSpec
from spex_mech.run.spec_values import AUTO
from spex_mech.tasks.partners import paired_only
from spex_mech.tasks.task import ChoiceTask

_OTHERS = 2  # tasks besides the run's own, where the spec leaves them open


@dataclass(frozen=True, eq=False)
class Setup(Outline):
    """An outline with its model and game; nothing is evaluated yet."""

    model: Model
    game: TaskGame

    @cached_property
    def form(self) -> str | None:
        """The form of export whose sets are searched; None for any set."""
        wanted = self.spec.prune.servable
        return loosest_form(self.model)[0] if wanted == AUTO else wanted

    @cached_property
    def limits(self) -> list[Limit] | LayerSets:
        """The spec's limits on the kept players, and the sets that its form of export holds."""
        return limits_of(self)

    @property
    def sizes(self) -> list[int]:
        """Numbers of players to keep, largest first; shares are lowered to sizes that the form can have."""
        n, limits = self.players.n, self.limits
        chosen = set()
        for keep in self.spec.prune.keep:
            size = size_of(keep, n) or 0
            if isinstance(limits, LayerSets) and isinstance(keep, float):
                size = limits.size_near(size)
            chosen.add(size)
        return sorted(chosen, reverse=True)


def _askable(setup: Setup) -> tuple[ChoiceTask, ...]:
    """The other tasks, held to the model; where the spec leaves them open, the first two that fit it.

    Raises:
        InputError: a task that the spec names, and that the model cannot be asked.
    """
    chosen = []
    for task in setup.others:
        try:
            other_game(setup, task)
        except InputError:
            if setup.spec.others != AUTO:
                raise
            continue
        chosen.append(task)
    return tuple(chosen[:_OTHERS] if setup.spec.others == AUTO else chosen)


def other_game(setup: Setup, task: ChoiceTask) -> TaskGame:
    """The game of the run's players on the test questions of another task, in the task's own metric."""
    settings = replace(setup.game.settings, split="test", metric=task.metric)
    return TaskGame(setup.model, task, setup.players, **settings.options)


def prepare(spec: RunSpec, *, pruning: bool = False) -> Setup:
    """Load what a spec names and check that it fits together, before anything is evaluated.

    Args:
        spec: the spec.
        pruning: check what pruning, testing and exporting need as well, see `check_pruning`.

    Raises:
        InputError: as for `outline`, or a model that does not fit the task.
    """
    checked = outline(spec)
    if pruning:
        check_sizes(checked)
    spec = checked.spec
    model = load_model(spec.model)
    if spec.game.unpaired == LEAVE_OUT:
        checked = replace(checked, task=paired_only(checked.task, model.tokenizer))
    game = TaskGame(
        model,
        checked.task,
        checked.players,
        metric=spec.game.metric,
        ablation=spec.game.ablation,
        rescale=spec.game.rescale,
    )
    parts = {field.name: getattr(checked, field.name) for field in fields(checked)}
    setup = Setup(**parts, model=model, game=game)
    setup = replace(setup, others=_askable(setup))
    if pruning:
        _check_limits(setup)
    return setup


def check_pruning(setup: Setup) -> None:
    """Check what pruning, testing and exporting need, before anything is evaluated.

    Raises:
        InputError: as for `check_sizes`, or limits that no set of players keeps.
    """
    check_sizes(setup)
    _check_limits(setup)


def _check_limits(setup: Setup) -> None:
    """Refuse limits that no set of players keeps."""
    constant = Spectrum.from_supports([()], [0.0], setup.players.n)
    limits = setup.limits
    if isinstance(limits, LayerSets):
        for size in setup.sizes:
            limits.check_size(size)
        return
    for size in setup.sizes if limits else ():
        best_set(constant, keep=size, limits=limits, seconds=FEASIBLE_SECONDS)


def limits_of(setup: Setup) -> list[Limit] | LayerSets:
    """The spec's limits on the kept players, or the sets that its form of export holds."""
    spec, players, model = setup.spec.prune, setup.players, setup.model
    limits: list[Limit] = []
    if spec.per_layer is not None:
        limits += per_layer(players, spec.per_layer)
    if spec.kv_groups is not None:
        limits.append(kv_groups(players, model, spec.kv_groups))
    if spec.parameters is not None:
        limits.append(parameter_limit(model, players, spec.parameters))
    if setup.form is not None:
        return servable(setup.form).of(players, model).within(limits)
    return limits


def circuit_task(setup: Setup) -> ChoiceTask:
    """The task with ``circuit.questions`` of its test questions, spread evenly over all of them."""
    return spread_over(setup.task, setup.spec.circuit.questions)


def circuit_game(setup: Setup) -> TaskGame:
    """The game on the questions of `circuit_task`."""
    settings = replace(setup.game.settings, split="test")
    return TaskGame(setup.model, circuit_task(setup), setup.players, **settings.options)
