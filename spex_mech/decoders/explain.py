"""`explain`: evaluate in rounds, and stop as soon as the surrogate is good enough."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.core.games import AnyGame, Game
from spex_mech.core.seeds import check_seed
from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import decode
from spex_mech.designs import MaskDesign, biased, leverage, stratified
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.games import as_game
from spex_mech.evaluation.keep_rates import (
    KeepRates,
    choice_of,
    find_keep_rates,
    questions_to_choose,
)
from spex_mech.evaluation.questions import ALL, QuestionChoice

_FIRST = 64  # fewest masks of the first round
_AIMS = ("values", "shapley")
_SHAPLEY, _BANZHAF = ("Shapley", "SII", "STII", "FSII"), ("Banzhaf", "BII", "FBII")
_MANY = 63  # players from which no budget reaches all masks
_GROWTH = 1.5  # masks spent after a round, as a multiple of those before it
_FIRST_ASKED = 3  # times as many masks in the first round, where each is asked some questions only


@dataclass(frozen=True)
class Round:
    """What a round of `explain` has found.

    Attributes:
        masks: masks spent so far.
        r2: R² to expect on masks like those, by cross-validation.
    """

    masks: int
    r2: float


@short_repr
@dataclass(frozen=True, eq=False)
class Explanation:
    """A decoded game, and what it cost.

    Attributes:
        spectrum: the last round's spectrum.
        run: all masks that were drawn, with their values.
        rounds: the R² to expect after each round.
        reached: whether the expected R² reached the target; False where none was set.
        message: one line on what was spent and reached.
        keep_rates: what the pilot has found, with ``keep_rate="auto"``.
        choice: how many questions each mask was asked; None for all.
    """

    spectrum: Spectrum
    run: Run
    rounds: tuple[Round, ...]
    reached: bool
    message: str
    keep_rates: KeepRates | None = None
    choice: QuestionChoice | None = None


def explain(
    game: AnyGame,
    *,
    budget: int,
    target_r2: float | None = None,
    aim: str = "values",
    index: str | None = None,
    keep_rate: Any = 0.5,
    questions: int | str = ALL,
    method: str = "auto",
    n: int | None = None,
    store: str | Path | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Explanation:
    """Evaluate and decode in rounds up to a target R² or the budget; keywords of `evaluate` and `decode`.

    The first round has twice as many masks as players, at least 64. Each further round has half as many
    masks as were spent before it. Masks do not depend on the target, so a longer run begins with the masks
    of a shorter one.

    Args:
        game: a `ValueFunction`, or any callable from bool masks (m, n) to values (m,).
        budget: most masks to spend; with some questions for each mask, as many answers as so many masks with
            all questions have.
        target_r2: stop when the cross-validated R² reaches this; None spends the whole budget. The
            first estimate to reach a target is more often too high than too low: expect a little less
            on new masks.
        aim: what the masks are for. ``values``: independent masks with ``keep_rate``, to predict
            values and find interactions. ``shapley``: sizes weighted as Shapley values weigh them. For
            pruning, leave a part of the budget to `prune`, which evaluates masks around the best sets
            it finds.
        index: the index that the masks are for, in place of ``aim`` and ``keep_rate``: of Shapley's kind
            (``Shapley``, ``SII``, ``STII``, ``FSII``) all sizes alike (`designs.leverage`, at most all
            2^n masks), of Banzhaf's kind (``Banzhaf``, ``BII``, ``FBII``) independent masks with keep
            rate 1/2.
        keep_rate: as in `designs.biased`, or ``auto`` for the range that a pilot finds (see
            `find_keep_rates`; its masks are the first ones, and depend on the budget); for ``values``.
        questions: how many questions each mask is asked: ``all``, a number, or ``auto``, see
            `choose_questions`; a game that is asked all of its questions only is, with ``auto``.
        method: decoder, see `decode`; one that reports ``r2_cv`` if there is a target.
        n: number of players, for a callable without ``players``.
        store: folder to keep the evaluations in, see `evaluate`.
        seed: seed of masks and decoder.
        progress: show a progress bar, see `evaluate`.

    Returns:
        The spectrum of all masks, the masks and values, and the R² after every round.

    Raises:
        InputError: a budget, target, aim, index or number of players that makes no sense, or a decoder that
            does not report the R² that a target needs.
    """
    n, game = _players(game, n), as_game(game)  # once, so that rounds know each other's game
    _check(budget, target_r2, aim, index)
    check_seed(seed)
    rates: KeepRates | None = None
    choice, masks = _choice(game, questions, budget), budget
    if choice is not None:
        masks = choice.masks(budget * choice.questions)
    if index in _SHAPLEY:
        whole = leverage(n, masks if n >= _MANY else min(masks, 1 << n), seed=seed)
    elif index in _BANZHAF:
        whole = biased(n, masks, keep_rate=0.5, seed=seed)
    elif aim == "shapley":
        whole = stratified(n, masks, seed=seed)
    elif isinstance(keep_rate, str):
        rates = _piloted(
            keep_rate,
            game,
            budget,
            n=n,
            seed=seed,
            questions=questions,
            store=store,
            progress=progress,
        )
        whole, choice = rates.design, rates.choice
    else:
        whole = biased(n, masks, keep_rate=keep_rate, seed=seed)
    counts = None if choice is None else choice.counts(len(whole))
    run = None if rates is None else rates.run
    rounds: list[Round] = []
    size = min(len(whole), max(_FIRST, 2 * n) * (1 if choice is None else _FIRST_ASKED))
    while True:
        design = _first(whole, size)
        asked = ALL if counts is None else counts[:size]
        run = evaluate(game, design, questions=asked, store=store, known=run, progress=progress)
        spectrum = decode(design, run, method=method, seed=seed)
        r2 = spectrum.info.get("r2_cv")
        if r2 is None and target_r2 is not None:
            raise InputError(
                f"method {method!r} does not estimate its R², so there is no telling when "
                f"target_r2={target_r2} is reached; use method='auto' or leave target_r2 out"
            )
        rounds.append(Round(size, float("nan") if r2 is None else float(r2)))
        reached = target_r2 is not None and rounds[-1].r2 >= target_r2
        if reached or size == len(whole):
            message = _message(rounds[-1], len(whole), target_r2, spectrum)
            return Explanation(spectrum, run, tuple(rounds), reached, message, rates, choice)
        size = min(len(whole), int(_GROWTH * size))


def _choice(game: Game, questions: int | str, budget: int) -> QuestionChoice | None:
    """How many questions each mask is asked, before a pilot; None for all."""
    every = questions_to_choose(game, questions)
    return None if every is None else choice_of(game, questions, None).spread(budget * every)


def _first(whole: MaskDesign, size: int) -> MaskDesign:
    """The first masks of a design, in the order in which it drew them."""
    inclusion = whole.inclusion
    if inclusion is not None:  # the empty and the full mask stand first, the others in random order
        share = (size - 2) / max(len(whole) - 2, 1)
        inclusion = np.concatenate([[1.0], share * inclusion[1:-1], [1.0]])
    return MaskDesign(
        whole.masks[:size], whole.seed, whole.kind, whole.keep_rates, inclusion=inclusion
    )


def _piloted(keep_rate: str, game: AnyGame, budget: int, **options: Any) -> KeepRates:
    if keep_rate != "auto":
        raise InputError(f"keep_rate is {keep_rate!r}, expected 'auto', a rate or (low, high)")
    return find_keep_rates(game, budget, **options)


def _players(game: AnyGame, n: int | None) -> int:
    players = as_game(game).players
    if players is None and n is None:
        raise InputError("the game does not say how many players it has; give explain(..., n=...)")
    if players is not None and n is not None and n != players.n:
        raise InputError(f"n is {n}, but the game has {players.n} players; leave n out")
    return players.n if players is not None else int(n or 0)


def _check(budget: int, target_r2: float | None, aim: str, index: str | None) -> None:
    if aim not in _AIMS:
        raise InputError(f"aim is {aim!r}, expected one of {', '.join(_AIMS)}")
    if index not in (None, *_SHAPLEY, *_BANZHAF):
        raise InputError(
            f"index is {index!r}, expected None or one of {', '.join((*_SHAPLEY, *_BANZHAF))}"
        )
    if budget < 2:
        raise InputError(f"budget is {budget}, expected at least 2 masks")
    if target_r2 is not None and not 0 < target_r2 <= 1:
        raise InputError(f"target_r2 is {target_r2}, expected a number above 0, at most 1, or None")


def _message(last: Round, budget: int, target_r2: float | None, spectrum: Spectrum) -> str:
    spent = f"{last.masks} of {budget} masks"
    if target_r2 is None:
        begin = f"spent {spent}; R² {last.r2:.3f} to expect. "
    elif last.r2 >= target_r2:
        begin = f"reached R² {last.r2:.3f} (target {target_r2}) with {spent}. "
    else:
        begin = f"spent all {spent} and expect R² {last.r2:.3f}, below the target {target_r2}. "
    return begin + str(spectrum.info.get("message", ""))
