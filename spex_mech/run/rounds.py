"""The rounds of a run: evaluate and decode until held-out masks say that the spectrum is good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate
from spex_mech.core.games import AnyGame, Game
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.explain import DrawnRounds, Explanation, draw_rounds
from spex_mech.decoders.rounds import Round, decode_rounds
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.games import as_game
from spex_mech.evaluation.questions import ALL
from spex_mech.run.decode import gradients_of, held_out_fit
from spex_mech.run.designs import AIMS, check_design, check_rounds, is_asked_all
from spex_mech.run.folder import RunFolder
from spex_mech.run.opening import save_spec
from spex_mech.run.pilot import save_choice, save_pilot
from spex_mech.run.spec import DesignSpec, RunSpec

ROUNDS = "rounds.json"


@dataclass(frozen=True, eq=False)
class RoundsRecord:
    """The rounds of a run, as its folder keeps them.

    Attributes:
        rounds: masks, answers and R² after each.
        target_r2: the R² to reach; None where the whole budget was to be spent.
        message: one line on what was spent and reached; None while rounds go on.
    """

    rounds: tuple[Round, ...]
    target_r2: float | None
    message: str | None


@dataclass(frozen=True, eq=False)
class RoundsTaken:
    """What the rounds of a run have found.

    Attributes:
        drawn: the masks of all rounds.
        spectrum: that of the masks that were spent; None where the last round was taken by an earlier call.
        run: these masks, evaluated.
        checked: the masks held out; None without any.
        rounds: the rounds.
        target_r2: the R² to reach; None for none.
    """

    drawn: DrawnRounds
    spectrum: Spectrum | None
    run: Run
    checked: Run | None
    rounds: tuple[Round, ...]
    target_r2: float | None

    def explained(self, spectrum: Spectrum) -> Explanation:
        """The same as `explain` returns it."""
        return self.drawn.explained(spectrum, self.run, self.rounds, self.target_r2)


def take_rounds(
    folder: RunFolder, game: AnyGame, settings: RunSpec, target_r2: float | None, **options: Any
) -> RoundsTaken:
    """Evaluate and decode in rounds into a run's folder, and write ``rounds.json`` after each.

    Masks held out are evaluated first, and every round is measured on them. Rounds that an earlier call has
    recorded are not decoded again: what stops a run changes nothing of its results. At the end,
    ``design.first`` of the folder's spec is the number of masks that were spent. Gradients that the folder
    has are given to the decoder.

    Args:
        folder: the folder.
        game: what is evaluated.
        settings: the run's spec.
        target_r2: the R² to reach, see `Round.reaches`; None takes all rounds.
        options: as for `evaluate`.

    Raises:
        InputError: a design without rounds, or a decoder that does not report the R² that a target needs.
    """
    design, decoder = settings.design, settings.decode
    check_rounds(design)
    game = as_game(game)
    assert game.players is not None
    n, rate = game.players.n, design.keep_rate
    drawn = draw_rounds(
        game,
        design.most,
        n=n,
        aim=AIMS[design.kind],
        keep_rate=tuple(rate) if isinstance(rate, list) else rate,
        questions=ALL if is_asked_all(design) else design.questions,
        seed=design.seed,
        store=folder.masks,
        **options,
    )
    if drawn.choice is not None:
        save_choice(folder, drawn.choice)
    if drawn.rates is not None:
        save_pilot(folder, drawn.rates)
    checked = _evaluate_check(folder, game, design, drawn, options)
    decisive = _decisive(settings)
    before = _recorded(folder, decisive, drawn.sizes)
    taken = list(before)

    def save(message: str | None) -> None:
        record = RoundsRecord(tuple(taken), target_r2, message)
        folder.save(ROUNDS, {"settings": decisive, **rounds_to_json(record)})

    def took(found: Round) -> None:
        taken.append(found)
        save(None)

    def measure(spectrum: Spectrum, run: Run) -> Estimate | None:
        assert checked is not None
        fit = held_out_fit(spectrum, checked, run, seed=design.seed)
        return None if fit is None else fit.r2

    spectrum, run, rounds = decode_rounds(
        game,
        drawn.parts,
        drawn.counts,
        target_r2=target_r2,
        measure=None if checked is None else measure,
        known=None if drawn.rates is None else drawn.rates.run,
        recorded=before,
        took=took,
        method=decoder.method,
        seed=decoder.seed,
        gradients=gradients_of(folder, game.players),
        store=folder.masks,
        **options,
    )
    taken = list(rounds)
    save(drawn.message(rounds, target_r2))
    used = design.model_copy(update={"first": len(run.design)})
    save_spec(RunFolder(folder.path, settings.model_copy(update={"design": used})))
    return RoundsTaken(drawn, spectrum, run, checked, rounds, target_r2)


def _evaluate_check(
    folder: RunFolder, game: Game, design: DesignSpec, drawn: DrawnRounds, options: dict[str, Any]
) -> Run | None:
    """Evaluate the masks that a design holds out; None where it holds none out."""
    assert game.players is not None
    rates, choice = drawn.rates, drawn.choice
    keep_rate = None if rates is None else (rates.low, rates.high)
    check = check_design(design, game.players.n, keep_rate, choice)
    if check is None:
        return None
    each = ALL if choice is None else choice.check_counts(design.check)[1]
    return evaluate(game, check, questions=each, store=folder.check, label="check", **options)


def rounds_to_json(record: RoundsRecord) -> dict[str, Any]:
    """The rounds in their order."""
    return {
        "target_r2": record.target_r2,
        "message": record.message,
        "rounds": [
            {
                "masks": found.masks,
                "answers": found.rows,
                "r2": found.r2,
                "held out": None if found.held_out is None else vars(found.held_out),
            }
            for found in record.rounds
        ],
    }


def rounds_from_json(content: Any) -> RoundsRecord:
    """Undo `rounds_to_json`."""
    target, message = content["target_r2"], content["message"]
    return RoundsRecord(
        tuple(
            Round(
                int(row["masks"]),
                float(row["r2"]),
                int(row["answers"]),
                None if row["held out"] is None else Estimate(**row["held out"]),
            )
            for row in content["rounds"]
        ),
        None if target is None else float(target),
        None if message is None else str(message),
    )


def _decisive(settings: RunSpec) -> dict[str, Any]:
    """What decides the results of rounds, beside the game."""
    design = settings.design.model_dump(exclude={"first", "target_r2"})
    return {"design": design, "decode": settings.decode.model_dump()}


def _recorded(
    folder: RunFolder, settings: dict[str, Any], sizes: Sequence[int]
) -> tuple[Round, ...]:
    """The rounds that the folder has; none where they were taken with other settings."""
    if not folder.has(ROUNDS):
        return ()
    content = folder.load(ROUNDS)
    if not isinstance(content, dict) or content.get("settings") != settings:
        return ()
    record = folder.read(ROUNDS, rounds_from_json)
    if [found.masks for found in record.rounds] != list(sizes[: len(record.rounds)]):
        raise InputError(
            f"{folder.path / ROUNDS} has rounds of other masks than the spec's; remove it and go on"
        )
    return record.rounds
