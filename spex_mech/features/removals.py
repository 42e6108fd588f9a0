"""What removed parts of a text become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spex_mech.core.errors import InputError

KINDS = ("delete", "mask", "unknown", "filler", "replace")

Replacements = Mapping[str | int, str | Sequence[str]] | Sequence[str | Sequence[str]]


@dataclass(frozen=True)
class Removal:
    """How parts are removed.

    Attributes:
        kind: ``delete``, ``mask``, ``unknown``, ``filler`` or ``replace``.
        texts: what may stand in each part's place, one or more texts a part; ``("",)`` where it is
            deleted. Of ``mask`` and ``unknown``, which put a token in each token's place, it is empty.
    """

    kind: str
    texts: tuple[tuple[str, ...], ...]

    @property
    def random(self) -> bool:
        """Whether a part has several replacements, so that a seed matters."""
        return any(len(set(choices)) > 1 for choices in self.texts)


def removal_of(
    kind: str | None,
    parts: Sequence[str],
    *,
    filler: str = "…",
    replacements: Replacements | None = None,
) -> Removal:
    """Settle how the parts of a text are removed.

    Args:
        kind: one of ``delete``, ``mask``, ``unknown``, ``filler``, ``replace``; None is ``replace``
            where there are replacements and else ``delete``.
        parts: the parts' own texts.
        filler: what ``filler`` puts in place of each part.
        replacements: of ``replace``: by part's text (tried as it stands, then in small letters) or
            number, or one entry a part; each a text or several.

    Raises:
        InputError: an unknown kind, or parts without a replacement.
    """
    kind = kind or ("delete" if replacements is None else "replace")
    if kind not in KINDS:
        raise InputError(f"removal is {kind!r}, expected one of {', '.join(KINDS)}")
    if (kind == "replace") != (replacements is not None):
        raise InputError(
            f"removal is {kind!r} and replacements are {'' if replacements else 'not '}given; "
            "removal='replace' needs replacements={'word': ['synonym', ...]}, the others have none"
        )
    if kind in ("mask", "unknown"):
        return Removal(kind, ())
    if kind != "replace":
        return Removal(kind, (("" if kind == "delete" else filler,),) * len(parts))
    found = [_choices(replacements, i, part) for i, part in enumerate(parts)]
    missing = [part for part, choices in zip(parts, found, strict=True) if not choices]
    if missing:
        some = ", ".join(repr(part) for part in missing[:5])
        raise InputError(
            f"{len(missing)} of {len(parts)} parts have no replacement ({some}); give every part at "
            "least one, or take only those that have some: "
            "spans=sm.features.find_spans(text, replacements)"
        )
    return Removal("replace", tuple(found))


def _choices(given: Replacements | None, i: int, part: str) -> tuple[str, ...]:
    if isinstance(given, Mapping):
        choices = next((given[k] for k in (i, part, part.lower()) if k in given), ())
    else:
        choices = given[i] if given is not None and i < len(given) else ()
    texts = (choices,) if isinstance(choices, str) else tuple(choices)
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"replacements of {part!r} are {choices!r}, expected texts")
    return texts
