"""What a run does, as far as it is known and checked before the model's weights are read."""

from __future__ import annotations

from dataclasses import dataclass

from spex_mech.ablation import ABLATIONS
from spex_mech.core.errors import InputError
from spex_mech.core.interactions import interactions
from spex_mech.core.layer_rules import EXPORT_FORMS, layer_rule
from spex_mech.core.players import PlayerSet, select_players
from spex_mech.core.quoting import quoted
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import decoder
from spex_mech.designs import MaskDesign
from spex_mech.models.outline import read_outline
from spex_mech.pruning.compare import GRADIENTS, METHODS, PROPOSALS
from spex_mech.pruning.methods import model as model_rankings
from spex_mech.pruning.prune import OURS, size_of
from spex_mech.run.designs import check_design, check_rounds, is_asked_all, search_design
from spex_mech.run.gradients import gradients_cost
from spex_mech.run.other_tasks import other_tasks
from spex_mech.run.spec import DesignSpec, PruneSpec, RunSpec
from spex_mech.run.spec_values import AUTO
from spex_mech.tasks.cards import load_task
from spex_mech.tasks.metrics import CHOICE_METRICS
from spex_mech.tasks.task import ChoiceTask

REFUSE, LEAVE_OUT = "refuse", "leave_out"
"""What becomes of questions without a corrupted partner, see `GameSpec`."""

_LIMITS = ("per_layer", "kv_groups", "parameters", "servable")


@dataclass(frozen=True, eq=False)
class Outline:
    """A spec, and the task, players and masks that it names; the model's weights are not read.

    Where a pilot finds the keep rates, ``design`` and ``check`` have as many masks as will be evaluated, but
    are drawn at usual keep rates; `evaluate_step` draws them anew.
    """

    spec: RunSpec
    task: ChoiceTask
    players: PlayerSet
    design: MaskDesign
    check: MaskDesign | None
    others: tuple[ChoiceTask, ...]

    @property
    def sizes(self) -> list[int]:
        """Numbers of players to keep, largest first."""
        return sorted({size_of(k, self.players.n) or 0 for k in self.spec.prune.keep}, reverse=True)

    @property
    def budget(self) -> int:
        """Most ablations that a method may spend on all sizes, the design included."""
        return self.budget_with(len(self.design))

    def budget_with(self, design: int) -> int:
        """Ablations that a method may spend on all sizes, with so many for the design besides gradients."""
        gradients = gradients_cost(self.spec.decode, self.players.n)
        return design + gradients + self.spec.prune.ablations * len(self.sizes)


def outline(spec: RunSpec) -> Outline:
    """Check what can be checked in a spec before the model's weights are read, which may take minutes.

    Raises:
        InputError: an unknown model, task, player, metric, ablation, design, decoder or index.
    """
    decoder(spec.decode.method)
    _check_game(spec)
    task = load_task(spec.task, **spec.asking.model_dump())
    if spec.game.examples is not None:
        task = task.first(spec.game.examples)
    _check_questions(spec, task)
    players = select_players(read_outline(spec.model), spec.players)
    if spec.design.in_rounds:
        check_rounds(spec.design)
    constant = Spectrum.from_supports([()], [0.0], players.n)
    interactions(constant, spec.interactions.index, spec.interactions.order)
    design = search_design(_countable(spec.design, task), players.n)
    check = check_design(spec.design, players.n)
    return Outline(spec, task, players, design, check, other_tasks(spec))


def _countable(design: DesignSpec, task: ChoiceTask) -> DesignSpec:
    """A design that can be drawn before it is known how many masks it has, which ``first`` may count."""
    if is_asked_all(design) or design.first is None:
        return design
    most = design.most * len(task.select("search"))
    if design.first > most:
        raise InputError(
            f"design.first is {design.first}, expected a number of masks from 1 to {most}, the answers that "
            "the budget pays for"
        )
    return design.model_copy(update={"first": None})


def _check_questions(spec: RunSpec, task: ChoiceTask) -> None:
    """Refuse to ask each mask more questions than there are."""
    asked, every = spec.design.questions, len(task.select("search"))
    if not isinstance(asked, str) and asked > every:
        raise InputError(
            f"design.questions is {asked}, expected 1 to {every}, the number of search questions, or 'all'; "
            "game.examples sets how many are used"
        )


def check_sizes(setup: Outline) -> None:
    """Check what pruning, testing and exporting need, so far as no weights are needed.

    Raises:
        InputError: sizes out of range, a task without test questions (or without validation questions,
            where they choose the size), or a model that cannot be exported as the spec says.
    """
    prune, n = setup.spec.prune, setup.players.n
    auto = prune.export == "auto"
    sizes = [*prune.keep, *([] if prune.export is None or auto else [prune.export])]
    wrong = [k for k in sizes if not _fits(k, n)]
    if wrong or not prune.keep:
        raise InputError(
            f"prune.keep and prune.export are {sizes}, expected sizes from 1 to {n}, the number of "
            "players, or shares of it between 0 and 1"
        )
    if not (prune.export is None or auto) and prune.export not in prune.keep:
        raise InputError(f"prune.export is {prune.export}, expected one of {prune.keep}")
    if prune.ablations < 0:
        raise InputError(f"prune.ablations is {prune.ablations}, expected 0 or more")
    unknown = [name for name in prune.baselines if name not in METHODS or name == OURS]
    if unknown:
        known = ", ".join(repr(name) for name in METHODS if name != OURS)
        raise InputError(f"prune.baselines has {unknown[0]!r}, expected any of {known}")
    _check_proposals(prune)
    limited = [k for k in _LIMITS if getattr(prune, k) is not None]
    if limited and prune.baselines:
        raise InputError(
            f"prune.{limited[0]} is a limit that the baselines do not keep; set prune.baselines=[]"
        )
    if prune.servable is not None:
        if prune.servable != AUTO:
            layer_rule(prune.servable)
    _check_mode(setup)
    check_circuit(setup)
    setup.task.select("test")
    if auto:
        setup.task.select("validation")
    if prune.export is not None:
        check_export(setup)


def _check_proposals(prune: PruneSpec) -> None:
    """Refuse unknown proposals, and gradients that the ablations of all sizes together do not pay for."""
    if prune.proposals not in PROPOSALS:
        known = " or ".join(map(repr, PROPOSALS))
        raise InputError(f"prune.proposals is {prune.proposals!r}, expected {known}")
    paid, cost = prune.ablations * len(prune.keep), model_rankings.GRADIENTS_COST
    if prune.proposals == GRADIENTS and paid <= cost:
        raise InputError(
            f"prune.proposals is 'gradients', which cost as much as {cost} ablations, and prune.ablations "
            f"pays for {paid} at all sizes together; raise prune.ablations, or set prune.proposals=lasso"
        )


def check_circuit(setup: Outline) -> None:
    """Check the settings of a circuit's test.

    Raises:
        InputError: a negative number of subsets, fewer than two questions, or an unknown ablation.
    """
    spec = setup.spec.circuit
    if spec.subsets < 0 or (spec.questions is not None and spec.questions < 2):
        raise InputError(
            f"circuit.subsets is {spec.subsets} and circuit.questions {spec.questions}; expected 0 or more, "
            "and 2 or more or none"
        )
    for name in spec.ablations:
        _check_ablation(name)


def check_export(setup: Outline) -> None:
    """Check that a pruned model can be exported as the spec says.

    Raises:
        InputError: an ablation unlike zero, or settings that do not go together.
    """
    ablation, prune = setup.spec.game.ablation, setup.spec.prune
    if ablation != "zero":
        raise InputError(
            f"a model pruned by {ablation} ablation cannot be exported, only zero ablation can; set "
            "prune.export=none"
        )
    _check_mode(setup)
    for key in ("even", "measure"):
        if getattr(prune, key) and prune.mode == "dense":
            raise InputError(
                f"prune.{key} goes with prune.mode='compact'; a dense export has the size and speed of "
                "the model that was pruned"
            )


def _check_mode(setup: Outline) -> None:
    mode = setup.spec.prune.mode
    if mode not in ("dense", "compact"):
        raise InputError(f"prune.mode is {mode!r}, expected 'dense' or 'compact'")
    form = setup.spec.prune.form
    if form not in EXPORT_FORMS:
        known = ", ".join(repr(name) for name in EXPORT_FORMS)
        raise InputError(f"prune.form is {form!r}, expected one of {known}")
    if form != "own" and mode == "dense":
        raise InputError(
            "prune.form goes with prune.mode='compact'; a dense export has the model's own form"
        )


def _check_game(spec: RunSpec) -> None:
    """Refuse names that no game knows; whether they fit the task is seen when the game is made."""
    metrics = [*CHOICE_METRICS, *(f"{name}_norm" for name in CHOICE_METRICS)]
    if spec.game.metric is not None and spec.game.metric not in metrics:
        raise InputError(
            f"unknown metric {quoted(spec.game.metric)}; expected one of {', '.join(metrics)}"
        )
    _check_ablation(spec.game.ablation)
    if spec.game.unpaired not in (REFUSE, LEAVE_OUT):
        raise InputError(
            f"game.unpaired is {quoted(spec.game.unpaired)}, expected {REFUSE!r} or {LEAVE_OUT!r}"
        )
    if spec.game.rescale and spec.game.ablation != "zero":
        raise InputError(
            f"game.rescale goes with zero ablation only, got {quoted(spec.game.ablation)}; set "
            "game.rescale=false"
        )


def _check_ablation(name: str) -> None:
    if name not in ABLATIONS:
        raise InputError(f"unknown ablation {quoted(name)}; expected one of {', '.join(ABLATIONS)}")


def _fits(keep: int | float | str, n: int) -> bool:
    """Whether a size is a number of players or a share of them."""
    return not isinstance(keep, str) and (0 < keep < 1 or (keep in range(1, n + 1)))
