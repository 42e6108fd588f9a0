"""The answer of a run in words: which parts, which pairs, how sure, how small, and what it cost."""

from __future__ import annotations

from collections.abc import Callable

from spex_mech.core.interactions import Interactions, interactions
from spex_mech.core.units import seconds_text
from spex_mech.report.contents import Contents
from spex_mech.report.words import noun

_MOST = 4  # parts or pairs that a sentence names
_LONG = 48  # characters of a name
_STRONGEST = 20  # interactions whose certainty is counted


def answer(contents: Contents, metric: str) -> list[tuple[str, str]]:
    """Question and answer, for the questions that the run's steps so far can answer.

    Args:
        contents: what the run's folder holds.
        metric: what was measured.
    """
    called = noun(contents.players)
    sections: list[tuple[str, Callable[[Contents, str, str], str]]] = [
        (f"Which {called} matter?", _parts),
        ("Which work together?", _pairs),
        ("How sure is that?", _certainty),
        ("Can the model be smaller?", _smaller),
        ("What did it cost?", _cost),
    ]
    answers = [(question, say(contents, metric, called)) for question, say in sections]
    return [(question, text) for question, text in answers if text]


def _parts(contents: Contents, metric: str, called: str) -> str:
    if contents.spectrum is None:
        return ""
    effects = interactions(contents.spectrum, "Banzhaf", 1)
    ranked = sorted(effects.values.items(), key=lambda item: -item[1])
    helping = [(s, v) for s, v in ranked if v > 0]
    hurting = [(s, v) for s, v in reversed(ranked) if v < 0]
    if not helping and not hurting:
        return f"None: no single one changes the {metric} on average."
    text = ""
    if helping:
        text = (
            f"{_listed(helping, contents)} add most to the {metric}, averaged over which others are "
            "present."
        )
        text = text.replace(" add most", " adds most") if len(helping) == 1 else text
    if hurting:
        text += (
            f" By this estimate {len(hurting)} of {contents.players.n} {called} lower it, most of all "
            f"{_listed(hurting[:1], contents)}."
        )
    first = [*helping, *hurting][0][0][0]
    return f"{text.strip()} {_place(contents, first)}".strip()


def _place(contents: Contents, i: int) -> str:
    """How the name of a part says where it is."""
    player = contents.players.players[i]
    if player.kind not in ("head", "kv") or player.layer is None:
        return ""
    kind = "head" if player.kind == "head" else "key/value group"
    return f"({player.name} is {kind} {player.index} of layer {player.layer}; both are counted from 0.)"


def _pairs(contents: Contents, metric: str, called: str) -> str:
    found = contents.interactions
    if found is None:
        return ""
    joint = found.joint(_STRONGEST)
    if not joint:
        return "No two of them, as far as could be seen: each does its part whatever the others do."
    clear = _clear(joint, found)
    if not clear:
        return (
            f"No pair can be told from chance: the strongest are {_listed(joint, contents, found)}, and none "
            "is larger than twice its standard deviation. More masks would show more."
        )
    more = [item for item in clear if item[1] > 0]
    less = [item for item in clear if item[1] < 0]
    text = ""
    if more:
        text = f"Worth more together than apart: {_listed(more, contents, found)}."
    if less:
        text += f" Partly replacing each other: {_listed(less, contents, found)}."
    return text.strip()


def _certainty(contents: Contents, metric: str, called: str) -> str:
    text, held, found = "", contents.held_out, contents.interactions
    if held is not None:
        text = (
            f"The spectrum predicts {_share(held.r2.mean)} of the differences in {metric} between "
            f"{held.r2.n} masks that it was not made from (R² {held.r2.mean:.3f}, 95 % interval "
            f"{held.r2.low:.3f} to {held.r2.high:.3f})."
        )
    elif contents.spectrum is not None:
        text = "Not measured: no masks were held out to compare the spectrum's predictions with."
    if found is not None and found.std is not None and (joint := found.joint(_STRONGEST)):
        text += (
            f" Of the {len(joint)} strongest interactions, {len(_clear(joint, found))} differ from 0 by more "
            "than twice their standard deviation."
        )
    return text.strip()


def _clear(
    joint: list[tuple[tuple[int, ...], float]], found: Interactions
) -> list[tuple[tuple[int, ...], float]]:
    """Those that are larger than twice their standard deviation; all where it is not known."""
    std = found.std
    return joint if std is None else [(s, v) for s, v in joint if abs(v) > 2 * std[s]]


def _smaller(contents: Contents, metric: str, called: str) -> str:
    scores = contents.scores
    if scores is None:
        return ""
    name, full = next(iter(scores.full.items()))
    sizes = [
        f"with {point.kept.keep} of {contents.players.n} kept it is {point.metrics[name].mean:.3f} "
        f"(change {_minus(str(point.change[name]))})"
        for point in scores.points
        if not point.gains
    ]
    text = f"On {full.n} test questions {name} is {full.mean:.3f} for the whole model; {'; '.join(sizes)}."
    if contents.exported is not None:
        text += f" A pruned model lies in {contents.exported.name}/."
    return text


def _cost(contents: Contents, metric: str, called: str) -> str:
    masks = sum(store.stored for store in contents.stores)
    what = "versions of the input" if contents.input else "versions of the model"
    text = f"{masks:,} {what} with parts missing were scored"
    if contents.seconds:
        text += f", in {seconds_text(sum(contents.seconds.values()))} with decoding and all tests"
    return text + "."


def _listed(
    items: list[tuple[tuple[int, ...], float]],
    contents: Contents,
    found: Interactions | None = None,
) -> str:
    """``A (+0.86), B (+0.81) and C (+0.69)``, with standard deviations where they are known."""
    std = None if found is None else found.std
    parts = [
        f"{_label(s, contents)} ({_minus(f'{v:+.2f}')}{'' if std is None else f' ± {std[s]:.2f}'})"
        for s, v in items[:_MOST]
    ]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _label(members: tuple[int, ...], contents: Contents) -> str:
    names = [contents.players.names[i] for i in members]
    short = [name if len(name) <= _LONG else name[: _LONG - 1] + "…" for name in names]
    return " × ".join(f"“{name}”" if contents.input else name for name in short)


def _share(r2: float) -> str:
    return f"{max(0.0, r2):.0%}".replace("%", " %")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
