"""`choose_size`: a size of a pruning curve, chosen on validation questions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate, bootstrap_mean
from spex_mech.core.games import QuestionGame
from spex_mech.evaluation.questions import ALL
from spex_mech.evaluation.wrappers import per_question
from spex_mech.pruning.asked_values import asked_values
from spex_mech.pruning.curve import PruningCurve
from spex_mech.pruning.prune import Pruned
from spex_mech.pruning.size_race import SizeRule, race_sizes, standard_error


@dataclass(frozen=True, eq=False)
class SizeChoice:
    """A size, and the losses that it was chosen by.

    Attributes:
        pruned: the kept set of that size.
        keep: the size.
        metric: the metric of the losses.
        full: the full model's mean on the validation questions.
        losses: from size to the mean of full minus pruned on these questions; positive = pruning costs. With
            ``questions="auto"`` on those that were asked, and of the sizes that were asked any.
        standard_errors: from size to the standard error of that loss.
        passed: the sizes from the largest to the chosen one, all of which passed.
        rows: what it took: pairs of a mask and a question.
    """

    pruned: Pruned
    keep: int
    metric: str
    full: Estimate
    losses: dict[int, Estimate]
    standard_errors: dict[int, float]
    passed: tuple[int, ...]
    rows: int


def choose_size(
    curve: PruningCurve,
    game: QuestionGame,
    *,
    searched: QuestionGame | None = None,
    metric: str | None = None,
    tolerance: float = 0.0,
    errors: float = 1.0,
    questions: str = ALL,
    store: str | Path | None = None,
    seed: int = 0,
) -> SizeChoice:
    """The smallest size whose loss is within the noise of the questions; a keyword for each choice.

    A size passes if its loss against the full model, paired over the same questions, is at most
    ``tolerance + errors * SE``, SE being the standard error of that loss. Sizes are tried from the largest
    down until one fails, so that a smaller size that passes by chance is not chosen. With ``errors=1`` this
    is the one-standard-error rule (Breiman et al. 1984), which takes the simpler of models that the data
    cannot tell apart; ``errors=-1.64`` demands that the loss is shown to be below ``tolerance``
    (non-inferiority, one-sided 5 %). The curve's sets were found on search questions, and no test question
    is used: score the chosen size on those once.

    Args:
        curve: sets of several sizes.
        game: the game on the validation questions.
        searched: the game that the curve was searched on. If it is given, sharing questions is refused.
        metric: the metric to compare in, such as ``accuracy``; default the game's.
        tolerance: acceptable loss, in units of the metric.
        errors: number of standard errors that a loss may exceed ``tolerance`` by.
        questions: ``all``, or ``auto``: each size answers a few questions first, and is asked more until it
            is shown to pass or to fail (see `size_race`); sizes behind the first that fails are not asked.
            The size that is chosen has answered all questions and passed on these.
        store: folder to keep the evaluations in; see `evaluate`.
        seed: seed of the reported bootstrap intervals.

    Raises:
        InputError: no size passes (the losses are given), other players, fewer than two questions, or
            questions that the search has seen.
    """
    if game.players.n != curve.masks.shape[1]:
        raise InputError(
            f"the curve has {curve.masks.shape[1]} players, the game {game.players.n}; use the game of "
            "the same players"
        )
    if not (tolerance >= 0 and np.isfinite(errors)):
        raise InputError(
            f"tolerance is {tolerance} and errors {errors}; expected 0 or more, and a number"
        )
    if searched is not None:
        check_disjoint(searched, game)
    full = np.ones((1, game.players.n), dtype=bool)
    if not isinstance(game, QuestionGame):
        raise InputError("the game keeps no scores of its questions; score on a TaskGame")
    name = metric or game.metric_name
    if name is None:
        raise InputError("the stored run does not say which metric it is in; give metric=")
    rule = SizeRule(tolerance, errors)
    asked = asked_values(game, questions, metric=metric, store=store)
    if asked is not None:
        value, gaps, passed, rows = race_sizes(asked, curve.masks, rule, seed=seed)
    else:
        masks = np.concatenate([full, curve.masks])
        table = per_question(game, masks, metric=metric, store=store, label="scoring")
        value, gaps, rows = table[0], list(table[0] - table[1:]), table.size
        failed = [k for k, gap in enumerate(gaps) if not rule.passes(gap)]
        passed = list(range(min(failed, default=len(gaps))))
    sizes = curve.sizes
    losses = {size: bootstrap_mean(gap, seed=seed) for size, gap in zip(sizes, gaps, strict=False)}
    noise = {size: standard_error(gap) for size, gap in zip(sizes, gaps, strict=False)}
    if not passed:
        listed = "; ".join(f"{size} loses {loss}" for size, loss in losses.items())
        raise InputError(
            f"no size of the curve passes in {name} with tolerance={tolerance:g} and errors={errors:g}: "
            f"{listed}; raise the tolerance, or search larger sizes"
        )
    chosen = sizes[passed[-1]]
    return SizeChoice(
        pruned=curve.at(chosen),
        keep=chosen,
        metric=name,
        full=bootstrap_mean(value, seed=seed),
        losses=losses,
        standard_errors=noise,
        passed=tuple(sizes[k] for k in passed),
        rows=rows,
    )


def check_disjoint(searched: QuestionGame, *scored: QuestionGame) -> None:
    """Refuse to score on questions that a search has seen.

    Questions count as the same if their ids are, because a stored run knows no more of them.

    Raises:
        InputError: a question that two games share.
    """
    seen = {*searched.question_ids}
    for game in scored:
        both = [name for name in game.question_ids if name in seen]
        if both:
            raise InputError(
                f"{len(both)} of {len(game.question_ids)} questions to be scored were searched on, such as "
                f"{both[0]!r}; use game.with_split('validation') or ('test')"
            )
