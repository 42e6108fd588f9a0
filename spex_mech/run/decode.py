"""The decode step of a run, and of any store: from stored values to a spectrum, without the model."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.core.errors import DamagedStoreWarning, InputError
from spex_mech.core.faithfulness import answers_r2, r2_interval
from spex_mech.core.interactions import Interactions, interactions
from spex_mech.core.players import PlayerSet
from spex_mech.core.quoting import quoted
from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import TAKE_GRADIENTS, decode
from spex_mech.decoders.per_question import question_effects
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.batches import MaskIndex
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.store.reading import damage_text
from spex_mech.evaluation.stored_answers import every_answer, missing_answers, stored_answers
from spex_mech.evaluation.stored_run import StoredRun, open_run
from spex_mech.run.designs import check_design, search_design
from spex_mech.run.folder import RunFolder
from spex_mech.run.records import (
    HeldOut,
    held_out_to_json,
    interactions_to_json,
    question_effects_to_json,
    spectrum_to_json,
)
from spex_mech.run.spec import DecodeSpec, InteractionsSpec

_MOST_DIGITS = 7  # of a question's position; a longer range would take gigabytes


@short_repr
@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded store.

    Attributes:
        stored: the store, in the metric that was decoded.
        design: the masks that were decoded.
        run: their values, and the answers behind them where masks were asked some questions each.
        spectrum: the surrogate.
        interactions: its interactions, in the index of the settings.
        held_out: the spectrum's fit to held-out masks; None without any, or where their values are all
            equal or differ by noise only.
        gradients: whether the decoder was given gradients.
    """

    stored: StoredRun
    design: MaskDesign
    run: Run
    spectrum: Spectrum
    interactions: Interactions
    held_out: HeldOut | None
    gradients: bool = False

    @property
    def players(self) -> PlayerSet:
        """The players."""
        return self.stored.players


def decode_folder(folder: RunFolder, spectrum: Spectrum | None = None) -> Decoded:
    """Decode a run's design as its spec says; nothing is written, see `save_decoded`.

    Args:
        folder: the run's folder.
        spectrum: the spectrum, where this design has just been decoded; None to decode it here.

    Raises:
        MissingFileError: nothing has been evaluated.
        InputError: an evaluation that is not finished, or settings that the store cannot serve.
    """
    spec = folder.spec
    stored = _open(folder.masks, spec.game.metric)
    keep_rate, choice = folder.keep_rate(), folder.choice()
    design = search_design(spec.design, stored.players.n, keep_rate, choice)
    counts = None if choice is None else choice.counts(len(design))
    run = _evaluated(stored, design, counts, folder)
    check = check_design(spec.design, stored.players.n, keep_rate, choice)
    held_out = None  # read before the decoder runs, which may take long
    if check is not None:
        each = choice.check_counts(spec.design.check)[1] if choice is not None else None
        counts = None if each is None else np.full(len(check), each)
        held_out = _evaluated(_open(folder.check, spec.game.metric), check, counts, folder)
    gradients = gradients_of(folder, stored.players)
    decoded = _decode(stored, run, spec.decode, spec.interactions, spectrum, gradients)
    if held_out is None:
        return decoded
    fit = held_out_fit(decoded.spectrum, held_out, run, seed=spec.design.seed)
    return replace(decoded, held_out=fit)


def gradients_of(folder: RunFolder, players: PlayerSet) -> Float64[np.ndarray, " n"] | None:
    """The gradients that a run's decoder is given; None where the spec or the folder has none.

    Raises:
        InputError: gradients of other players, or a file that cannot be read.
    """
    settings = folder.spec.decode
    wanted = settings.gradients and settings.method in TAKE_GRADIENTS
    return folder.gradients(players) if wanted else None


def held_out_fit(spectrum: Spectrum, held_out: Run, run: Run, *, seed: int) -> HeldOut | None:
    """A spectrum's fit to held-out masks; None where their values are all equal, or nothing but noise.

    Args:
        spectrum: decoded from ``run``.
        held_out: the masks held out, evaluated.
        run: the masks that were decoded.
        seed: seed of the interval's resampling.
    """
    predicted = np.asarray(spectrum(held_out.masks))
    if held_out.answers is None or run.answers is None:
        measured = held_out.values
        if not np.ptp(measured) > 0:  # equal values have no R²
            return None
        return HeldOut(predicted, measured, r2_interval(predicted, measured, seed=seed))
    levels = run.answers.levels
    try:
        r2 = answers_r2(predicted, held_out.answers, levels, seed=seed)
    except InputError:
        return None
    answers = int(held_out.answers.counts.max())
    return HeldOut(predicted, held_out.answers.means(levels), r2, answers)


def decode_store(
    store: str | Path,
    *,
    metric: str | None = None,
    questions: str | None = None,
    settings: DecodeSpec | None = None,
    index: InteractionsSpec | None = None,
    allow_damaged: bool = False,
) -> Decoded:
    """Decode all masks of any store, and all answers of masks that were asked some questions each.

    Args:
        store: a run store, such as the ``masks`` of a run's folder.
        metric: the metric; None for the values as they were stored.
        questions: positions such as ``0-29,40``; None for all.
        settings: method and seed of the decoder; None for the defaults.
        index: index and order of the interactions; None for the defaults.
        allow_damaged: decode the masks that are left where shards are damaged or missing.

    Raises:
        MissingFileError: the folder holds no store.
        InputError: settings that the store cannot serve; damage that is not allowed.
    """
    with warnings.catch_warnings():
        if not allow_damaged:  # the error below says the same
            warnings.simplefilter("ignore", DamagedStoreWarning)
        stored = open_run(store, metric=metric)
    if stored.damaged and not allow_damaged:
        left = sum(len(rows) for rows in stored.all_blocks())
        raise InputError(
            f"{damage_text(store, stored.damaged, left)}; --allow-damaged (allow_damaged=True) decodes the "
            "masks that are left"
        )
    if questions is not None:
        stored = stored.with_metric(examples=_positions(questions))
    return _decode(
        stored,
        every_answer(stored) if stored.asked_shards else _whole(stored, stored.design),
        settings or DecodeSpec(),
        index or InteractionsSpec(),
    )


def save_decoded(decoded: Decoded, folder: RunFolder) -> None:
    """Write ``spectrum.json`` and ``interactions.json``.

    Where masks were held out, ``check.json`` too, and ``question-effects.json`` where they were asked some
    questions each.
    """
    stored, spec = decoded.stored, folder.spec
    settings = {
        "store": stored.folder.name,
        "metric": stored.metric or stored.facts["game"].get("metric"),
        "questions": None if stored.examples is None else stored.examples.tolist(),
        "masks": len(decoded.design),
        **spec.decode.model_dump(exclude={"gradients"}),
    }
    if decoded.gradients:
        settings["gradients"] = True
    if decoded.run.answers is not None:
        settings["answers"] = len(decoded.run.answers)
    folder.save("spectrum.json", spectrum_to_json(decoded.spectrum, decoded.players, settings))
    folder.save("interactions.json", interactions_to_json(decoded.interactions, decoded.players))
    folder.remove("check.json", "question-effects.json")
    if (found := question_effects(decoded.spectrum)) is not None:
        content = question_effects_to_json(found, decoded.players, stored.question_ids)
        folder.save("question-effects.json", content)
    if decoded.held_out is not None:
        folder.save("check.json", held_out_to_json(decoded.held_out))


def _decode(
    stored: StoredRun,
    run: Run,
    settings: DecodeSpec,
    index: InteractionsSpec,
    spectrum: Spectrum | None = None,
    gradients: Float64[np.ndarray, " n"] | None = None,
) -> Decoded:
    given = gradients is not None
    if spectrum is None:
        extra = {"gradients": gradients} if given else {}
        spectrum = decode(run.design, run, method=settings.method, seed=settings.seed, **extra)
    values_of_index = interactions(spectrum, index.index, index.order)
    return Decoded(stored, run.design, run, spectrum, values_of_index, None, given)


def _open(store: Path, metric: str | None) -> StoredRun:
    """A store in a metric; the stored values themselves where they are in that metric."""
    stored = open_run(store)
    same = metric is None or metric == stored.facts["game"].get("metric")
    return stored if same else stored.with_metric(metric)


def _evaluated(
    stored: StoredRun,
    design: MaskDesign,
    counts: Int64[np.ndarray, " m"] | None,
    folder: RunFolder,
) -> Run:
    """A design as it was evaluated; everything must be stored."""
    if counts is None:
        missing = int((MaskIndex(stored.masks).find(design.masks) < 0).sum())
        if not missing:
            return _whole(stored, design)
    else:
        missing = missing_answers(stored, design, counts)
        if not missing:
            return stored_answers(stored, design, counts)
    command = (
        "explain with the same input" if folder.has("input.json") else "evaluate with the same spec"
    )
    raise InputError(
        f"the evaluation of {folder.path} is not finished, or a shard is damaged: {missing} of "
        f"{len(design)} masks are not stored in {stored.folder}. spex-mech {command} and --out "
        f"{folder.path} goes on; spex-mech decode {stored.folder} --out FOLDER decodes the masks that "
        "are stored"
    )


def _whole(stored: StoredRun, design: MaskDesign) -> Run:
    """The run of stored masks that were asked all questions."""
    values = stored.values[MaskIndex(stored.masks).find(design.masks)]
    return Run(design, design.masks, values, None, 0, None, stored.key)


def _is_position(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _positions(text: str) -> np.ndarray:
    """Positions written as in ``0-29,40``."""
    positions: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.strip().partition("-")
        if not _is_position(first) or (dash and not _is_position(last)):
            raise InputError(
                f"cannot read questions {quoted(text)}; write positions from 0, below 10 million, as in "
                "'0-29,40'"
            )
        positions += range(int(first), int(last or first) + 1)
    if not positions:
        raise InputError(
            f"questions {quoted(text)} are none; write positions from 0, as in '0-29,40'"
        )
    return np.array(positions)
