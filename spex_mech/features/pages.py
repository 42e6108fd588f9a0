"""Views as HTML that needs nothing else: text or image, arcs, and a table, with a script that joins them."""

from __future__ import annotations

import hashlib
import struct
import zlib
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import numpy.typing as npt

from spex_mech.features.subjects import Pair, Passage, Picture

if TYPE_CHECKING:
    from spex_mech.features.views import View

_STRONGEST = 0.6  # opacity of the strongest effect


def fragment(view: View) -> str:
    """See `View.html`."""
    return _render("view.html.j2", view)


def page(view: View) -> str:
    """A whole page with the fragment in it."""
    return _render("page.html.j2", view)


def _render(template: str, view: View) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spex_mech.features", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    subject = view.subject
    picture = subject.picture if isinstance(subject, Pair) else subject
    passage = subject.passage if isinstance(subject, Pair) else subject
    image = _image(picture, view) if isinstance(picture, Picture) else None
    first = len(image["parts"]) if image else 0
    pieces = _pieces(passage, view, first) if isinstance(passage, Passage) else None
    strongest = max((abs(v) for _, v in view.joint), default=1.0) or 1.0
    arcs = [
        {"parts": list(m), "value": v, "width": 1 + 3 * abs(v) / strongest} for m, v in view.joint
    ]
    key = repr((view.names, view.effects, view.joint, pieces)).encode()
    return environment.get_template(template).render(
        view=view,
        pieces=pieces,
        image=image,
        arcs=arcs,
        uid="spex-" + hashlib.sha256(key).hexdigest()[:10],
        ranked=sorted(range(len(view.effects)), key=lambda i: -abs(view.effects[i]))[:10],
    )


def _color(effect: float, largest: float) -> str:
    red, green, blue = (42, 111, 151) if effect > 0 else (200, 85, 61)
    return f"rgba({red},{green},{blue},{_STRONGEST * abs(effect) / largest:.3f})"


def _largest(view: View) -> float:
    return max(map(abs, view.effects), default=0.0) or 1.0


def _pieces(passage: Passage, view: View, first: int) -> list[dict[str, Any]]:
    """The text cut at its spans; ``part`` is None between them."""
    pieces: list[dict[str, Any]] = []
    at = 0
    for i, span in enumerate(passage.spans, start=first):
        if span.start > at:
            pieces.append({"part": None, "text": passage.text[at : span.start]})
        color = _color(view.effects[i], _largest(view))
        own = passage.text[span.start : span.stop]
        pieces.append({"part": i, "text": own, "color": color})
        at = span.stop
    return [*pieces, {"part": None, "text": passage.text[at:]}]


def _image(picture: Picture, view: View) -> dict[str, Any]:
    height, width = picture.regions.shape
    count = int(picture.regions.max()) + 1
    parts = [
        {
            "part": i,
            "path": _outline(picture.regions == i),
            "color": _color(view.effects[i], _largest(view)),
        }
        for i in range(count)
    ]
    source = "data:image/png;base64," + b64encode(png(picture.pixels)).decode()
    return {"source": source, "width": width, "height": height, "parts": parts}


def _outline(region: npt.NDArray[np.bool_]) -> str:
    """An SVG path that covers a region: a rectangle for each run of pixels that repeats down the rows."""
    path, open_runs = [], {}
    for y in range(len(region) + 1):
        row = region[y] if y < len(region) else np.zeros(region.shape[1], dtype=bool)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
        runs = set(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
        for run in [run for run in open_runs if run not in runs]:
            top = open_runs.pop(run)
            path.append(f"M{run[0]} {top}H{run[1]}V{y}H{run[0]}Z")
        for run in runs:
            open_runs.setdefault(run, y)
    return "".join(path)


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """An image uint8 (h, w, 3) as a PNG file."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(rows.tobytes(), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
