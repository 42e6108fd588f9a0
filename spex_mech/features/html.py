"""Shown inputs as HTML that needs nothing else: text or image, arcs and tables, with a script for them."""

from __future__ import annotations

import hashlib
import io
import re
from base64 import b64encode
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spex_mech.core.palette import HELPS, HURTS
from spex_mech.features.shown import Shown
from spex_mech.features.spans import Pair, Passage, Picture

_STRONGEST = 0.6  # opacity of the strongest effect

# The neighbour (down, right) beyond each side of a pixel, and the side's ends (right, down), clockwise.
_SIDES = (
    ((-1, 0), (0, 0), (1, 0)),
    ((0, 1), (1, 0), (1, 1)),
    ((1, 0), (1, 1), (0, 1)),
    ((0, -1), (0, 1), (0, 0)),
)


def fragment(shown: Shown) -> str:
    """See `View.html`."""
    return _render("view.html.j2", shown)


def page(shown: Shown) -> str:
    """A whole page with the fragment in it."""
    return _render("page.html.j2", shown)


def _render(template: str, shown: Shown) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spex_mech.features", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    subject = shown.subject
    picture = subject.picture if isinstance(subject, Pair) else subject
    passage = subject.passage if isinstance(subject, Pair) else subject
    image = _image(picture, shown) if isinstance(picture, Picture) else None
    first = len(image["parts"]) if image else 0
    pieces = _pieces(passage, shown, first) if isinstance(passage, Passage) else None
    strongest = max((abs(v) for _, v in shown.joint), default=1.0) or 1.0
    arcs = [
        {"parts": list(m), "value": v, "width": 1 + 3 * abs(v) / strongest} for m, v in shown.joint
    ]
    key = repr((shown.names, shown.effects, shown.joint, pieces)).encode()
    return environment.get_template(template).render(
        view=shown,
        blue=HELPS,
        red=HURTS,
        pieces=pieces,
        image=image,
        arcs=arcs,
        uid="spex-" + hashlib.sha256(key).hexdigest()[:10],
        ranked=shown.strongest(10),
    )


def _color(effect: float, largest: float) -> str:
    color = HELPS if effect > 0 else HURTS
    channels = ",".join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))
    return f"rgba({channels},{_STRONGEST * abs(effect) / largest:.3f})"


def _pieces(passage: Passage, shown: Shown, first: int) -> list[dict[str, Any]]:
    """The text cut at its spans; ``part`` is None between them."""
    pieces: list[dict[str, Any]] = []
    at = 0
    for i, span in enumerate(passage.spans, start=first):
        if span.start > at:
            pieces.append({"part": None, "text": passage.text[at : span.start]})
        color = _color(shown.effects[i], shown.largest)
        text = passage.text[span.start : span.stop]
        pieces.append({"part": i, "text": text, "color": color})
        at = span.stop
    return [*pieces, {"part": None, "text": passage.text[at:]}]


def _image(picture: Picture, shown: Shown) -> dict[str, Any]:
    height, width = picture.regions.shape
    places = _places(picture.regions)
    parts = [
        {
            "part": i,
            "x": places[i][0],
            "y": places[i][1],
            "label": re.sub(r"([a-z])[a-z]* (\d+)", r"\1\2", shown.names[i]),  # row 2 col 0: r2 c0
            "path": _outline(picture.regions == i),
            "color": _color(shown.effects[i], shown.largest),
        }
        for i in range(picture.count)
    ]
    source = "data:image/png;base64," + b64encode(_png(picture.pixels)).decode()
    return {"source": source, "width": width, "height": height, "parts": parts}


def _places(regions: npt.NDArray[np.int64]) -> list[tuple[float, float]]:
    """The point (x, y) of each region that is farthest from its border: centres can lie outside."""
    out = []
    for i, box in enumerate(ndimage.find_objects(regions + 1)):
        inner: Any = ndimage.distance_transform_edt(np.pad(regions[box] == i, 1))
        y, x = np.argwhere(inner >= inner.max() - 0.5).mean(axis=0)
        if not inner[round(y), round(x)]:
            y, x = np.unravel_index(inner.argmax(), inner.shape)
        out.append((box[1].start + float(x) - 0.5, box[0].start + float(y) - 0.5))
    return out


def _outline(region: npt.NDArray[np.bool_]) -> str:
    """An SVG path around a region: closed loops of pixel edges, clockwise, and around holes the other way."""
    inside = np.pad(region, 1)
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (dy, dx), (x0, y0), (x1, y1) in _SIDES:
        edge = inside[1:-1, 1:-1] & ~np.roll(inside, (-dy, -dx), axis=(0, 1))[1:-1, 1:-1]
        for y, x in np.argwhere(edge).tolist():
            following.setdefault((x + x0, y + y0), []).append((x + x1, y + y1))
    path = []
    while following:
        start = at = next(iter(following))
        path.append(f"M{at[0]} {at[1]}")
        while True:
            ends = following[at]
            to = ends.pop()
            if not ends:
                del following[at]
            step = f"H{to[0]}" if to[1] == at[1] else f"V{to[1]}"
            if path[-1][0] == step[0]:  # straight on
                path.pop()
            path.append(step)
            at = to
            if at == start:
                break
        path.append("Z")
    return "".join(path)


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """An image uint8 (h, w, 3) as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()
