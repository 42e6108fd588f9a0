"""Figures: what heads attend to, every position or the last one."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spex_mech.core.attention import AttentionPattern
from spex_mech.core.errors import InputError
from spex_mech.core.palette import INK
from spex_mech.report.plots.style import shown

_COLUMNS = 4
_MAP = "Blues"
_MOST_LETTERS = 14
_WIDEST = 6.0  # inches of a panel
_WIDE = 30  # tokens from which on questions stand below each other


def attention_map(pattern: AttentionPattern) -> Figure:
    """A panel for each head: a row for each token, and in it the tokens that it attends to.

    Darker is more attention; rows sum to 1. Tokens are written as text, so that nothing in them is read as
    markup.

    Raises:
        InputError: a pattern of the last position alone; `attention_rows` draws it.
    """
    if pattern.weights.shape[1] != len(pattern.tokens):
        raise InputError("the pattern holds the last position only; draw it with attention_rows")
    texts = _texts(pattern.tokens)
    across = min(_COLUMNS, len(pattern.heads))
    down = -(-len(pattern.heads) // across)
    side = min(max(2.3, 0.16 * len(texts) + 0.6), _WIDEST)
    figure = Figure(figsize=(across * side + 0.5, down * side + 0.3), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False)
    for place, axes in enumerate(panels.flat):
        if place >= len(pattern.heads):
            axes.axis("off")
            continue
        axes.imshow(pattern.weights[place], cmap=_MAP, vmin=0, vmax=1)
        axes.set_title(shown(pattern.heads[place]), size=9, loc="left", color=INK)
        _label(axes, texts)
        left = place % across == 0
        axes.set_yticks(range(len(texts)) if left else [], texts if left else [], size=7)
    return figure


def attention_rows(patterns: Sequence[AttentionPattern]) -> Figure:
    """A panel for each question: a row for each head, and in it what the last position attends to.

    Args:
        patterns: of the same heads in some questions.

    Raises:
        InputError: no patterns, or patterns of different heads.
    """
    if not patterns or any(p.heads != patterns[0].heads for p in patterns):
        raise InputError("give one or more patterns, all of the same heads")
    heads = patterns[0].heads
    across = 1 if max(len(p.tokens) for p in patterns) > _WIDE else min(len(patterns), 2)
    down = -(-len(patterns) // across)
    width = across * (1.0 + 0.2 * max(len(p.tokens) for p in patterns))
    figure = Figure(
        figsize=(max(4.0, min(width, 14.0)), down * (1.3 + 0.15 * len(heads))), layout="constrained"
    )
    panels = figure.subplots(down, across, squeeze=False)
    for place, axes in enumerate(panels.flat):
        if place >= len(patterns):
            axes.axis("off")
            continue
        pattern = patterns[place]
        axes.imshow(pattern.weights[:, -1], cmap=_MAP, vmin=0, vmax=1, aspect="auto")
        _label(axes, _texts(pattern.tokens))
        axes.set_yticks(range(len(heads)), [shown(head) for head in heads], size=7)
        axes.set_title(f"question {place + 1}", size=9, loc="left", color=INK)
    return figure


def _label(axes: Axes, texts: Sequence[str]) -> None:
    axes.set_xticks(range(len(texts)), texts, size=7, rotation=90)
    axes.tick_params(length=0)
    axes.spines[:].set_color("#cccccc")


def _texts(tokens: Sequence[str]) -> list[str]:
    """Tokens as labels; a token of white space alone is shown by a mark."""
    return [shown(token.strip() or "␣", _MOST_LETTERS) for token in tokens]
