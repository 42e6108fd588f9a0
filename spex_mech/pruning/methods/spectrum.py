"""Methods that decode random masks: a ranking by LASSO, and a search on the full surrogate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.games import AsksQuestions
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import decode
from spex_mech.designs import MaskDesign, biased
from spex_mech.evaluation.asked import ask_design
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.questions import choose_questions
from spex_mech.evaluation.wrappers import asking
from spex_mech.pruning.allowed import Limits
from spex_mech.pruning.curve import keep_rates, prune_curve
from spex_mech.pruning.methods.method import Method, Problem, Rankings, keep_top
from spex_mech.pruning.prune import Pruned

MIN_DESIGN = 16


def surrogate_search(
    design: MaskDesign | Run | None = None,
    spectrum: Spectrum | None = None,
    *,
    share: float = 0.5,
    method: str = "auto",
    limits: Limits = (),
    rankings: Rankings | None = None,
    paid: int = 0,
) -> Method:
    """Our method: decode a spectrum, and search kept sets of all sizes on it by `prune_curve`.

    The search first ablates the sets that rankings of the players keep, and goes on from the best of them.

    Args:
        design: masks to decode, or the run that has evaluated them, all counted in the budget; by default
            ``share`` of the budget, biased masks whose keep rates are spread over the sizes to keep. Where
            candidates race, these masks are asked some questions each (see `choose_questions`).
        spectrum: what was decoded from ``design``, which has to be given then; by default decoded here.
        share: part of the budget that is spent on the design; with 1 no kept set is ablated.
        method: how to decode, see `decode`.
        limits: limits that every set has to satisfy as well; see `prune`.
        rankings: what proposes these sets, such as `methods.model.by_gradients`; by default first-order
            LASSO of the design's answers (see `lasso_ranking`), which costs an ablation a size at most.
        paid: ablations that the spectrum has cost besides its design, such as gradients; counted as well.

    Raises:
        InputError: a spectrum without its design, or a share that is not in (0, 1].
    """
    if spectrum is not None and design is None:
        raise InputError("the spectrum's design is not given; its masks are part of what is spent")
    if not 0 < share <= 1:
        raise InputError(f"share is {share}, expected a part of the budget, above 0 and at most 1")

    def choose(problem: Problem) -> list[Pruned]:
        problem.game.spend(paid)
        run = _evaluated(problem, design, share)
        surrogate = spectrum
        if surrogate is None:
            surrogate = decode(run.design, run, method=method, seed=problem.seed)
        scores = None
        if problem.game.left:
            scores = rankings(problem) if rankings else _first_order(run, problem.seed)[None]
        curve = prune_curve(
            problem.game,
            surrogate,
            keeps=problem.keeps,
            validate=problem.game.left,
            limits=limits,
            known=run,
            questions=problem.questions,
            rankings=scores,
            seed=problem.seed,
        )
        return [curve.at(keep) for keep in problem.keeps]

    return choose


def lasso_ranking(design: MaskDesign | Run | None = None) -> Method:
    """Keep players by first-order LASSO coefficients, without ablating the kept sets (ProxySPEX's baseline).

    Args:
        design: masks to fit, or the run that has evaluated them, all counted in the budget; by default the
            whole budget, drawn as those of our method are.
    """

    def scores(problem: Problem) -> Float64[np.ndarray, " n"]:
        return _first_order(_evaluated(problem, design, 1.0), problem.seed)

    return keep_top(scores)


def _first_order(run: Run, seed: int) -> Float64[np.ndarray, " n"]:
    """Scores of the players by first-order LASSO of a run, (n,); higher = kept longer."""
    first = decode(run.design, run, method="lasso", seed=seed, order=1)
    # A player that helps has a negative first-order coefficient.
    return np.array([-first[(i,)] for i in range(first.n)])


def _evaluated(problem: Problem, design: MaskDesign | Run | None, share: float) -> Run:
    """The run of a design, counted in the budget; of a share of the budget where none is given."""
    if isinstance(design, Run):
        problem.game.count_run(design)
        return replace(design, key=None)  # that of the game inside the problem's wrappers
    asked = None if problem.racing() is None else asking(problem.game)
    if design is None and asked is not None:
        return _asked_design(problem, asked, round(share * problem.game.rows_left))
    if design is None:
        design = spread_design(problem, round(share * problem.game.budget))
    return Run(design, design.masks, problem.game(design.masks), None, len(design))


def _asked_design(problem: Problem, game: AsksQuestions, rows: int) -> Run:
    """The run of masks that are asked some questions each, for so many rows."""
    counts, every = asked_counts(problem, game, rows)
    return ask_design(game, spread_design(problem, len(counts), every), counts)


def asked_counts(
    problem: Problem, game: AsksQuestions, rows: int
) -> tuple[Int64[np.ndarray, " m"], int]:
    """How many questions each mask is asked for so many rows, and how many masks the budget has."""
    choice = choose_questions(game.asking_cost(), problem.game.questions, None).spread(rows)
    counts = choice.counts(choice.masks(rows))
    every = choice.masks(problem.game.budget * problem.game.questions)
    return counts[np.cumsum(counts) <= rows], every


def spread_design(problem: Problem, count: int, most: int | None = None) -> MaskDesign:
    """The first ``count`` of the budget's biased masks, with keep rates spread over the sizes.

    The rates are those of `keep_rates`. A method that uses more masks uses all those of a method that
    uses fewer.

    Args:
        problem: names the sizes.
        count: how many masks.
        most: how many masks there are for any method; by default those of the budget.

    Raises:
        InputError: fewer than 16 masks.
    """
    if count < MIN_DESIGN:
        raise InputError(
            f"{count} of the budget of {problem.game.budget} ablations are for the design, expected "
            f"{MIN_DESIGN} or more; raise the budget"
        )
    rates = keep_rates(problem.keeps, problem.n)
    every = biased(problem.n, most or problem.game.budget, keep_rate=rates, seed=problem.seed)
    return MaskDesign(every.masks[:count], every.seed, every.kind, every.keep_rates)
