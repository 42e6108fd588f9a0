"""Options of `text`, `image`, `image_text` and `explain_features` that few calls need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spex_mech.core.short_repr import short_repr
from spex_mech.features.spans import Span

Level = str | Sequence[Span | Sequence[int]] | None
Replacements = Mapping[str | int, str | Sequence[str]] | Sequence[str | Sequence[str]]


@dataclass(frozen=True)
class TextPair:
    """Two texts for models that read pairs, such as premise and hypothesis, or question and passage.

    They are joined as the tokenizer joins pairs, with its segment ids. A template surrounds the first.

    Attributes:
        first: a text, or a list of documents.
        second: the second text.
        level: what a player of the second text is, see `text`: ``same`` as in the first text; None
            keeps the second text whole.
    """

    first: str | Sequence[str]
    second: str
    level: Level = "same"


@dataclass(frozen=True)
class Chat:
    """A template that is put through the chat template as a user's message.

    Attributes:
        template: what stands around the text, with ``{text}`` in its place.
        system: the system message.
    """

    template: str = "{text}"
    system: str | None = None


@dataclass(frozen=True)
class Removal:
    """What removed parts of a text become.

    Attributes:
        kind: ``delete``, ``mask`` or ``unknown`` (the tokenizer's token in place of each token), ``filler``
            (one text in place of each part) or ``replace``; None is ``replace`` where there are
            replacements and else ``delete``.
        filler: what ``filler`` puts in place of each part.
        replacements: what ``replace`` puts in a part's place: by the part's text (tried as it stands, then
            in small letters) or number, or one entry per part; each a text or several.
        seed: of several replacements, one is drawn by this seed and the mask, always the same.
    """

    kind: str | None = None
    filler: str = "…"
    replacements: Replacements | None = None
    seed: int = 0


@dataclass(frozen=True)
class Generated:
    """The target of `text` where none is named: the answer that the model itself gives to the whole text.

    Attributes:
        max_new_tokens: longest answer.
    """

    max_new_tokens: int = 16


@short_repr
@dataclass(frozen=True)
class Regions:
    """How an image is cut into parts, and what stands in the place of missing ones.

    Attributes:
        level: ``patches`` or ``superpixels``.
        grid: rows and columns of patches, or one number for both.
        segments: about how many superpixels.
        fill: ``mean`` (the image's mean colour), ``blur``, ``zero`` (pixel values 0, the mean colour of
            the processor), or another image.
        blur: standard deviation of the blur as a share of the image's longer side.
    """

    level: str = "patches"
    grid: int | tuple[int, int] = 7
    segments: int = 50
    fill: Any = "mean"
    blur: float = 0.06

    @property
    def columns(self) -> int:
        """Number of columns of patches."""
        return self.grid if isinstance(self.grid, int) else self.grid[1]


@dataclass(frozen=True)
class ExplainOptions:
    """How `explain_features` draws masks, checks the fit and reads interactions.

    Attributes:
        keep_rate: share of the parts that a mask keeps, a range that each mask draws its own from, or
            ``auto`` for the range that a pilot finds, see `find_keep_rates`.
        check: masks that are evaluated on top and held out, to measure the fit; 0 for none.
        index: index of the interactions, see `interactions`.
        order: largest number of parts of an interaction.
        command: the command line that asked for it, for the report.
    """

    keep_rate: float | tuple[float, float] | str = 0.5
    check: int = 40
    index: str = "FBII"
    order: int = 2
    command: str = ""
