"""The prune step of a run: kept sets by our search and the baselines, and the size that validation picks."""

from __future__ import annotations

from collections.abc import Sequence

from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.evaluation.questions import ALL, AUTO
from spex_mech.evaluation.wrappers import Recorded, Remembered
from spex_mech.pruning.compare import LASSO, METHODS, PROPOSALS, RANDOM, choose_all
from spex_mech.pruning.curve import PruningCurve
from spex_mech.pruning.methods import Method, best_of_random, lasso_ranking, surrogate_search
from spex_mech.pruning.prune import OURS, Pruned, size_of
from spex_mech.pruning.size import SizeChoice, choose_size
from spex_mech.run.decode import Decoded
from spex_mech.run.folder import RunFolder
from spex_mech.run.gradients import gradients_cost
from spex_mech.run.records import kept_sets_from_json
from spex_mech.run.setup import Setup


def choose_kept_sets(
    setup: Setup,
    folder: RunFolder,
    decoded: Decoded,
    *,
    progress: bool | None = None,
) -> list[Pruned]:
    """Kept sets of every size by ours and by every baseline, largest first, on the search questions.

    Every method may spend as many ablations as the design, the gradients and the checks of ours, all sizes
    together; the masks that several ask for are evaluated once, into the folder's store. A question under a
    mask is what is spent and compared.

    Args:
        setup: the game and what is wanted.
        folder: the run's folder.
        decoded: the design as it was evaluated, and its spectrum. Where its masks were asked some questions
            each, candidates race.
        progress: show a progress bar; by default when the output is a terminal.
    """
    spec, races = setup.spec.prune, decoded.run.answers is not None
    design = decoded.run if races else decoded.design
    rankings = PROPOSALS[spec.proposals]
    paid = gradients_cost(setup.spec.decode, setup.players.n) if decoded.gradients else 0
    methods: dict[str, Method] = {
        OURS: surrogate_search(
            design, decoded.spectrum, limits=setup.limits, rankings=rankings, paid=paid
        )
    }
    on_design: dict[str, Method] = {LASSO: lasso_ranking(design), RANDOM: best_of_random}
    methods |= {name: on_design.get(name, METHODS[name]) for name in spec.baselines}
    kept = choose_all(
        Remembered(Recorded(setup.game, folder.masks, progress, "pruning")),
        setup.sizes,
        budget=_budget(setup, decoded),
        seed=spec.seed,
        methods=methods,
        questions=AUTO if races else ALL,
    )
    return sorted(kept, key=lambda k: -k.keep)  # stable: ours first at every size


def _budget(setup: Setup, decoded: Decoded) -> int:
    """What each method may spend: of a design in rounds, what the rounds have spent counts."""
    design = setup.spec.design
    if design.first is None and not design.in_rounds:
        return setup.budget
    answers, every = decoded.run.answers, len(setup.game.question_ids)
    return setup.budget_with(len(decoded.design) if answers is None else -(-len(answers) // every))


def choose_exported(
    setup: Setup, folder: RunFolder, kept: Sequence[Pruned], *, races: bool = False
) -> SizeChoice:
    """The smallest of our sets that costs no more than the noise of the validation questions can hide.

    Raises:
        InputError: no size is good enough.
    """
    spec = setup.spec.prune
    ours = tuple(k for k in kept if k.method == OURS)
    return choose_size(
        PruningCurve(ours, ours[0].ablations),
        setup.game.with_split("validation"),
        searched=setup.game,
        tolerance=spec.tolerance,
        errors=spec.errors,
        questions=AUTO if races else ALL,
        store=folder.path / "validation",
        seed=spec.seed,
    )


def kept_of(folder: RunFolder, players: PlayerSet, keep: int | None = None) -> Pruned:
    """Our kept set of one size; where none is named the one to be exported, or the smallest.

    Raises:
        MissingFileError: nothing was pruned.
        InputError: a size that was not pruned to.
    """
    every = folder.read("kept.json", lambda rows: kept_sets_from_json(rows, players))
    ours = {kept.keep: kept for kept in every if kept.method == OURS}
    wanted = keep if keep is not None else exported_size(folder, players.n)
    if wanted is None and ours:
        wanted = min(ours)
    if keep is None and isinstance(folder.spec.prune.export, float) and wanted not in ours:
        wanted = max(
            (size for size in ours if size <= (wanted or 0)), default=wanted
        )  # see `Setup.sizes`
    if wanted not in ours:
        raise InputError(
            f"keep is {wanted}, expected one of the sizes that {folder.path} was pruned to, "
            f"{sorted(ours)}; spex-mech prune adds others"
        )
    return ours[wanted]


def exported_size(folder: RunFolder, n: int) -> int | None:
    """The size that a run exports; None for none."""
    size = folder.spec.prune.export
    if size == "auto":
        return folder.read("size.json", lambda content: int(content["keep"]))
    if size is None or isinstance(size, str):
        return None
    return size_of(size, n)


def size_to_json(choice: SizeChoice) -> dict:
    """How the size was chosen."""
    return {
        "keep": choice.keep,
        "metric": choice.metric,
        "full": vars(choice.full),
        "sizes": [
            {
                "keep": size,
                "full minus this": vars(loss),
                "standard error": choice.standard_errors[size],
                "passed": size in choice.passed,
            }
            for size, loss in choice.losses.items()
        ],
    }
