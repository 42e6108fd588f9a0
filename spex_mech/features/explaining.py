"""``spex-mech explain --text``: from a text and a model to what its parts do, in one call."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spex_mech.decoders import decode
from spex_mech.designs import exhaustive
from spex_mech.errors import InputError, MissingFileError, OutputExistsError
from spex_mech.evaluation import evaluate
from spex_mech.features.endpoints import Endpoint
from spex_mech.features.game import FeatureGame
from spex_mech.features.spans import split_text
from spex_mech.features.text_game import text
from spex_mech.features.views import View, view
from spex_mech.rounds import Explanation, explain

_MASKS_A_PLAYER = 16
_FEWEST = 256


@dataclass(frozen=True, eq=False)
class TextExplanation:
    """What was found out about a text.

    Attributes:
        game: the text as a game.
        found: masks, values, spectrum and the R² to expect.
        shown: what to look at.
    """

    game: FeatureGame
    found: Explanation
    shown: View

    def summary(self, width: int = 88, *, color: bool = False) -> str:
        """What a terminal shows: the game, the text with its interactions, and how good the fit is."""
        return f"{self.game!r}\n\n{self.shown.terminal(width, color=color)}\n\n{self.found.message}"


def explain_text(
    source: str,
    model: str,
    *,
    level: str = "sentence",
    target: Sequence[str] = (),
    value: str | None = None,
    removal: str | None = None,
    template: str = "{text}",
    chat: bool = False,
    url: str | None = None,
    budget: int | None = None,
    target_r2: float | None = None,
    keep_rate: float = 0.5,
    index: str = "FBII",
    order: int = 2,
    top: int = 8,
    method: str = "auto",
    store: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
) -> TextExplanation:
    r"""Explain a text: what ``spex-mech explain --text … --model …`` does.

    Args:
        source: the text; ``@FILE`` reads it from a file, ``-`` from standard input.
        model: a name or folder of a Hugging Face model, or with ``url`` the model's name there.
        level: see `text`.
        target: an answer or a class, or several answers of which the first is asked about.
        value: see `text`.
        removal: see `text`.
        template: what stands around the text; ``\n`` stands for a line break.
        chat: use the model's chat template.
        url: address of an OpenAI-compatible endpoint.
        budget: masks to spend; by default 16 a part, at least 256, or all of them where these are fewer.
        target_r2: stop as soon as so good a fit is to be expected; see `explain`.
        keep_rate: share of the parts that a mask keeps.
        index: index of the interactions, see `interactions`.
        order: largest number of parts of an interaction.
        top: how many interactions to show.
        method: decoder, see `decode`.
        store: folder that keeps the evaluations; running again goes on.
        out: page to write; must not exist.
        seed: seed of masks, replacements and decoder.

    Raises:
        InputError: see `text` and `explain`.
        MissingFileError: a text file that is not there.
        OutputExistsError: ``out`` exists; said before anything is evaluated.
    """
    if out is not None and Path(out).exists():
        raise OutputExistsError(f"{out} exists; choose another name or remove it")
    whole = read_source(source)
    asked: Any = model if url is None else Endpoint(model, base_url=url)
    game = text(
        asked,
        whole,
        level=level,
        value=value,
        target=_target(target),
        removal=removal,
        template=template.replace("\\n", "\n"),
        chat=chat,
        seed=seed,
    )
    n = game.players.n
    spent = (
        budget if budget is not None else min(2 ** min(n, 40), max(_FEWEST, _MASKS_A_PLAYER * n))
    )
    found = _explained(game, spent, target_r2, keep_rate, method, store, seed)
    shown = view(game, found.spectrum, index=index, order=min(order, n), top=top)
    if out is not None:
        shown.save(out)
    return TextExplanation(game, found, shown)


def read_source(source: str) -> str:
    """A text as the command line gives it: itself, ``@FILE``, or ``-`` for standard input.

    Raises:
        MissingFileError: a file that is not there.
        InputError: a file that is not UTF-8 text, or an empty text.
    """
    whole = source
    if source == "-":
        whole = sys.stdin.read()
    elif source.startswith("@"):
        path = Path(source[1:])
        if not path.is_file():
            raise MissingFileError(f"text file {str(path)!r} does not exist; write --text @FILE")
        try:
            whole = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 text ({error.reason}); convert it") from error
    split_text(whole, "word")
    return whole


def _target(given: Sequence[str]) -> Any:
    if not given:
        return None
    return given[0] if len(given) == 1 else list(given)


def _explained(
    game: FeatureGame,
    budget: int,
    target_r2: float | None,
    keep_rate: float,
    method: str,
    store: str | Path | None,
    seed: int,
) -> Explanation:
    """All masks where the budget allows them, else rounds of random ones."""
    n = game.players.n
    if n > 12 or budget < 2**n:
        return explain(
            game,
            budget=budget,
            target_r2=target_r2,
            keep_rate=keep_rate,
            method=method,
            store=store,
            seed=seed,
        )
    design = exhaustive(n)
    run = evaluate(game, design, store=store)
    spectrum = decode(design, run.values, method="auto", seed=seed)
    message = f"all {2**n} masks: {spectrum.info.get('message', '')}"
    return Explanation(spectrum, run, (), False, message)
