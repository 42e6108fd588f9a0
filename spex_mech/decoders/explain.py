"""`explain`: evaluate in rounds, and stop as soon as the surrogate is good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64

from spex_mech.core.errors import InputError
from spex_mech.core.games import AnyGame, Game
from spex_mech.core.seeds import check_seed
from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.rounds import Round, decode_rounds, rounds_message
from spex_mech.designs import MaskDesign, biased, leverage, stratified, uniform
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.games import as_game
from spex_mech.evaluation.keep_rates import (
    KeepRates,
    choice_of,
    find_keep_rates,
    questions_to_choose,
)
from spex_mech.evaluation.questions import ALL, AUTO, MOST_SPREAD, QuestionChoice
from spex_mech.evaluation.rounds import in_rounds, round_sizes

_AIMS = ("values", "shapley")
_SHAPLEY, _BANZHAF = ("Shapley", "SII", "STII", "FSII"), ("Banzhaf", "BII", "FBII")
_MANY = 63  # players from which no budget reaches all masks


@short_repr
@dataclass(frozen=True, eq=False)
class Explanation:
    """A decoded game, and what it cost.

    Attributes:
        spectrum: the last round's spectrum.
        run: all masks that were drawn, with their values.
        rounds: the R² after each round.
        reached: whether R² reached the target; False where none was set.
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
    questions: int | str = AUTO,
    method: str = "auto",
    n: int | None = None,
    store: str | Path | None = None,
    seed: int = 0,
    gradients: npt.ArrayLike | None = None,
    progress: bool | None = None,
) -> Explanation:
    """Evaluate and decode in rounds up to a target R² or the budget; keywords of `evaluate` and `decode`.

    The first round has twice as many masks as players, at least 64, and three times as many where each is
    asked some questions only. Each further round spends half as much as was spent before it. Masks do not
    depend on the target, so a longer run begins with the masks of a shorter one.

    Where masks are asked some questions each, a large budget asks the masks of later rounds more of them, so
    that all rounds together have no more than 4000 masks.

    Args:
        game: a `ValueFunction`, or any callable from bool masks (m, n) to values (m,).
        budget: most masks to spend; with some questions for each mask, as many answers as so many masks with
            all questions have.
        target_r2: stop when the cross-validated R² reaches this; None spends the whole budget. It is the
            estimate and not the end of an interval, because no masks are held out for one: the first
            estimate to reach a target is more often too high than too low, so expect a little less on new
            masks. `explain_features` and ``spex-mech explain`` hold masks out, see `Round.reaches`.
        aim: what the masks are for. ``values``: independent masks with ``keep_rate``, to predict
            values and find interactions. ``shapley``: sizes weighted as Shapley values weigh them. For
            pruning, leave a part of the budget to `prune`, which evaluates masks around the best sets
            it finds.
        index: the index that the masks are for, in place of ``aim`` and ``keep_rate``: of Shapley's kind
            (``Shapley``, ``SII``, ``STII``, ``FSII``) all sizes alike (`designs.leverage`, at most all
            2^n masks), of Banzhaf's kind (``Banzhaf``, ``BII``, ``FBII``) masks that are all equally
            likely, and the empty and the full mask (`designs.uniform` with ``ends``).
        keep_rate: as in `designs.biased`, or ``auto`` for the range that a pilot finds (see
            `find_keep_rates`; its masks are the first ones, and depend on the budget); for ``values``.
        questions: how many questions each mask is asked: ``auto``, see `choose_questions`; ``all``; or a
            number. With ``auto`` a game that is asked all of its questions only is, and so are masks for an
            ``index``, which takes their values as they are: Shapley values add up to the whole model's.
        method: decoder, see `decode`; one that reports ``r2_cv`` if there is a target.
        n: number of players, for a callable without ``players``.
        store: folder to keep the evaluations in, see `evaluate`.
        seed: seed of masks and decoder.
        gradients: float64 (n,), the mean derivative of the value by each player's gate, see `walsh_gp`; with
            hundreds of players it is worth many masks. For a `TaskGame` it is
            ``sm.gate_gradients(game).mean(axis=0)``, which costs as much as 4 masks.
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
    drawn = draw_rounds(
        game,
        budget,
        n=n,
        aim=aim,
        index=index,
        keep_rate=keep_rate,
        questions=questions,
        seed=seed,
        store=store,
        progress=progress,
    )
    spectrum, run, rounds = decode_rounds(
        game,
        drawn.parts,
        drawn.counts,
        target_r2=target_r2,
        known=None if drawn.rates is None else drawn.rates.run,
        method=method,
        seed=seed,
        gradients=gradients,
        store=store,
        progress=progress,
    )
    assert spectrum is not None
    return drawn.explained(spectrum, run, rounds, target_r2)


@dataclass(frozen=True, eq=False)
class DrawnRounds:
    """The masks of all rounds, before any but a pilot's is evaluated.

    Attributes:
        whole: all masks.
        sizes: how many there are after each round.
        choice: how many questions each mask is asked; None for all.
        rates: what the pilot has found; None without one.
    """

    whole: MaskDesign
    sizes: tuple[int, ...]
    choice: QuestionChoice | None
    rates: KeepRates | None

    @property
    def parts(self) -> list[MaskDesign]:
        """The masks after each round."""
        return [_first(self.whole, size) for size in self.sizes]

    @property
    def counts(self) -> Int64[np.ndarray, " m"] | None:
        """How many questions each mask is asked, (m,); None for all."""
        return None if self.choice is None else self.choice.counts(len(self.whole))

    def message(self, rounds: Sequence[Round], target_r2: float | None) -> str:
        """One line on what was spent and reached."""
        most_rows = None if self.counts is None else int(self.counts.sum())
        return rounds_message(rounds, len(self.whole), target_r2, most_rows)

    def explained(
        self, spectrum: Spectrum, run: Run, rounds: tuple[Round, ...], target_r2: float | None
    ) -> Explanation:
        """The result of some rounds."""
        reached = target_r2 is not None and rounds[-1].reaches(target_r2)
        message = f"{self.message(rounds, target_r2)} {spectrum.info.get('message', '')}"
        return Explanation(spectrum, run, rounds, reached, message, self.rates, self.choice)


def draw_rounds(
    game: Game,
    budget: int,
    *,
    n: int,
    aim: str = "values",
    index: str | None = None,
    keep_rate: Any = 0.5,
    questions: int | str = AUTO,
    seed: int = 0,
    **options: Any,
) -> DrawnRounds:
    """Draw the masks of `explain`, whose keywords these are, after a pilot where keep rates need one."""
    rates: KeepRates | None = None
    of_size = index in _SHAPLEY
    most = min(MOST_SPREAD, 1 << n) if of_size and n < _MANY else MOST_SPREAD
    if index is not None and questions == AUTO:
        questions = ALL  # indices take the values of evaluated masks as they are
    every, choice = questions_to_choose(game, questions), None
    if every is not None:
        choice = in_rounds(choice_of(game, questions, None), n, budget, most=most)
    masks = budget if choice is None else choice.masks(budget * choice.questions)
    if of_size:
        whole = leverage(n, masks if n >= _MANY else min(masks, 1 << n), seed=seed)
    elif index in _BANZHAF:
        count = masks if n >= _MANY else min(masks, 1 << n)
        whole = uniform(n, count, ends=True, seed=seed)
    elif aim == "shapley":
        whole = stratified(n, masks, seed=seed)
    elif isinstance(keep_rate, str):
        if keep_rate != "auto":
            raise InputError(f"keep_rate is {keep_rate!r}, expected 'auto', a rate or (low, high)")
        rates = find_keep_rates(
            game, budget, n=n, seed=seed, questions=questions, rounds=True, **options
        )
        whole, choice = rates.design, rates.choice
    else:
        whole = biased(n, masks, keep_rate=keep_rate, seed=seed)
    return DrawnRounds(whole, round_sizes(n, budget, choice, len(whole)), choice, rates)


def _first(whole: MaskDesign, size: int) -> MaskDesign:
    """The first masks of a design, in the order in which it drew them."""
    inclusion = whole.inclusion
    if inclusion is not None:  # the empty and the full mask stand first, the others in random order
        share = (size - 2) / max(len(whole) - 2, 1)
        inclusion = np.concatenate([[1.0], share * inclusion[1:-1], [1.0]])
    return MaskDesign(
        whole.masks[:size], whole.seed, whole.kind, whole.keep_rates, inclusion=inclusion
    )


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
