"""`view`: an input with what its parts do, alone and together, for terminals, notebooks and pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError, OutputExistsError
from spex_mech.core.interactions import Interactions, interactions
from spex_mech.core.spectrum import Spectrum
from spex_mech.features.game import FeatureGame
from spex_mech.features.html import fragment, page
from spex_mech.features.shown import Shown
from spex_mech.features.spans import Passage
from spex_mech.features.terminal import draw


class View(Shown):
    """What to show: print it, let a notebook show it, or `save` it as a page."""

    def terminal(self, width: int = 88, *, color: bool = False) -> str:
        """The text with brackets under its interactions.

        Args:
            width: characters of a line.
            color: paint parts by their effect, with ANSI escapes: blue helps, red hurts.

        Raises:
            InputError: an image, which a terminal cannot show, or a width below 20.
        """
        if width < 20:
            raise InputError(f"width is {width}, expected at least 20 characters")
        if not isinstance(self.subject, Passage):
            raise InputError("a terminal cannot show images; use view.save('page.html')")
        return draw(self, width, color=color)

    def html(self) -> str:
        """A fragment of HTML that needs nothing else; all text from input and model is escaped."""
        return fragment(self)

    def save(self, path: str | Path) -> Path:
        """Write a page that needs nothing else.

        Raises:
            OutputExistsError: the file exists.
        """
        target = Path(path)
        try:
            with target.open("x", encoding="utf-8") as file:
                file.write(page(self))
        except FileExistsError as error:
            raise OutputExistsError(f"{target} exists; choose another name or remove it") from error
        return target

    def _repr_html_(self) -> str:
        return self.html()

    def __str__(self) -> str:
        if isinstance(self.subject, Passage):
            return self.terminal()
        lines = [f"{value:+.4f}  {self.label(members)}" for members, value in self.joint]
        return "\n".join([f"strongest interactions ({self.index}):", *lines])


def view(
    game: FeatureGame,
    spectrum: Spectrum,
    *,
    index: str = "FBII",
    order: int = 2,
    effect: str = "Banzhaf",
    top: int = 8,
) -> View:
    """Show an input with the effects of its parts and its strongest interactions.

    Args:
        game: the game.
        spectrum: what was decoded from it.
        index: index of the interactions, see `interactions`.
        order: largest number of parts of an interaction.
        effect: index of single parts, ``Banzhaf`` or ``Shapley``.
        top: how many interactions to show.

    Raises:
        InputError: a spectrum of other players, or an index, order or number that makes no sense.
    """
    if spectrum.n != game.players.n:
        raise InputError(
            f"the spectrum has {spectrum.n} players, the game {game.players.n}; give its own spectrum"
        )
    joint = interactions(spectrum, index, min(order, spectrum.n))
    names = game.players.names
    return view_of(game.subject, names, game.reading.label, spectrum, joint, effect, top)


def view_of(
    subject: Any,
    names: Sequence[str],
    value: str,
    spectrum: Spectrum,
    joint: Interactions,
    effect: str = "Banzhaf",
    top: int = 8,
) -> View:
    """A view of what is known already, such as what a run's folder holds.

    Args:
        subject: see `Shown`.
        names: see `Shown`.
        value: see `Shown`.
        spectrum: for the effects of single parts.
        joint: the interactions.
        effect: see `view`.
        top: see `view`.

    Raises:
        InputError: an index or a number that makes no sense.
    """
    if effect not in ("Banzhaf", "Shapley") or top < 0:
        raise InputError(
            f"effect is {effect!r} and top {top}, expected Banzhaf or Shapley, and 0 or more"
        )
    single = interactions(spectrum, effect, 1).values
    return View(
        subject,
        tuple(names),
        value,
        effect,
        tuple(float(single.get((i,), 0.0)) for i in range(spectrum.n)),
        joint.index,
        tuple((members, float(value)) for members, value in joint.joint(top)),
        str(spectrum.info.get("message", "")),
    )
