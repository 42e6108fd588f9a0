"""Draw the figures of the page on concepts: ``python docs/make/drawings.py`` writes its SVGs in docs/images.

Each drawing has a white card behind it, so that it is legible on light and on dark pages.
"""

from __future__ import annotations

from pathlib import Path

from spex_mech.core.palette import FAINT, HELPS, HURTS, INK

IMAGES = Path(__file__).parents[1] / "images"


def text(
    x: float, y: float, words: str, *, size: int = 15, color: str = INK, at: str = "middle"
) -> str:
    """Words whose baseline is at y."""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}" text-anchor="{at}">{words}</text>'
    )


def box(x: float, y: float, w: float, h: float, *, fill: str = "none", edge: str = INK) -> str:
    """A rounded rectangle."""
    return (
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="5" fill="{fill}" stroke="{edge}" '
        'stroke-width="1.5"/>'
    )


def arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    """A straight arrow."""
    return (
        f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="{INK}" stroke-width="1.5" '
        'marker-end="url(#tip)"/>'
    )


def card(width: int, height: int, title: str, parts: list[str]) -> str:
    """A drawing on a white card."""
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        f'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker></defs>'
    )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'font-family="system-ui, sans-serif"><title>{title}</title>{tip}\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="white"/>\n{body}\n</svg>\n'
    )


def masks() -> str:
    """Three masks of six players, and the values that a game gives them."""
    rows = [("111111", "4.6"), ("110111", "4.5"), ("101101", "0.8")]
    parts = [
        text(146, 34, "mask: which players are on"),
        text(400, 34, "game"),
        text(554, 34, "value"),
    ]
    for r, (row, value) in enumerate(rows):
        y = 52 + 56 * r
        for i, on in enumerate(row):
            x = 20 + 43 * i
            parts.append(
                box(
                    x,
                    y,
                    36,
                    36,
                    fill=HELPS if on == "1" else "white",
                    edge=HELPS if on == "1" else FAINT,
                )
            )
            parts.append(
                text(x + 18, y + 23, f"H{i}", size=13, color="white" if on == "1" else "#8a8d91")
            )
            if on == "0":
                parts.append(f'<path d="M{x + 4} {y + 32} L{x + 32} {y + 4}" stroke="{FAINT}"/>')
        parts += [arrow(284, y + 18, 318, y + 18), box(324, y, 152, 36)]
        parts.append(text(400, y + 23, "the model answers", size=13))
        parts += [arrow(482, y + 18, 520, y + 18), text(554, y + 24, value, size=18)]
    return card(610, 228, "Masks of six heads become values", parts)


def pair() -> str:
    """Teamwork and redundancy of two players, as four values each."""
    parts = []
    cases = [
        ("teamwork: interaction +3", (0, 0, 0, 3), HELPS),
        ("no interaction: 0", (0, 2, 1, 3), "#8a8d91"),
        ("redundancy: interaction −3", (0, 3, 3, 3), HURTS),
    ]
    for c, (title, values, color) in enumerate(cases):
        left = 24 + 236 * c
        parts.append(text(left + 98, 30, title, color=color))
        for i, (name, value) in enumerate(zip(("none", "A", "B", "A and B"), values, strict=True)):
            x, height = left + 50 * i, 30 * value
            parts.append(box(x, 156 - height, 38, max(height, 1), fill=color, edge=color))
            parts += [
                text(x + 19, 150 - height, str(value), size=14),
                text(x + 19, 176, name, size=12),
            ]
        none, a, b, both = values
        together = f"{both - a - b + none:+d}".replace("-", "−").replace("+0", "0")
        parts.append(text(left + 98, 202, f"{both} − {a} − {b} + {none} = {together}", size=14))
    return card(728, 220, "Three pairs of players with and without an interaction", parts)


def flow() -> str:
    """What becomes of what, from players to a checkpoint."""
    steps = [
        ("design", "which masks", "to try"),
        ("evaluate", "a value for", "each mask"),
        ("decode", "a sum of", "few terms"),
        ("read off", "effects and", "interactions"),
        ("prune", "the set", "to keep"),
        ("export", "a checkpoint", "others load"),
    ]
    parts = []
    for i, (name, first, second) in enumerate(steps):
        x = 12 + 128 * i
        parts += [box(x, 20, 108, 92, edge=HELPS), text(x + 54, 46, name, color=HELPS, size=16)]
        parts += [text(x + 54, 74, first, size=13), text(x + 54, 94, second, size=13)]
        if i:
            parts.append(arrow(x - 18, 66, x - 2, 66))
    return card(772, 132, "The job in six steps", parts)


def colab() -> str:
    """The badge that opens a page of the gallery as a notebook."""
    words = text(12, 18, "▶  open in Colab", size=13, color="white", at="start")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="136" height="26" role="img" '
        'font-family="system-ui, sans-serif"><title>Open in Colab</title>'
        f'<rect width="136" height="26" rx="4" fill="{HELPS}"/>{words}</svg>\n'
    )


def main() -> None:
    """Write all drawings."""
    IMAGES.mkdir(exist_ok=True)
    for drawing in (masks, pair, flow, colab):
        (IMAGES / f"{drawing.__name__}.svg").write_text(drawing(), encoding="utf-8")


if __name__ == "__main__":
    main()
