"""Writing `report.html`: everything inline, all text from models and data escaped."""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from spex_mech.core.units import bytes_text
from spex_mech.features.view import view_of
from spex_mech.report.contents import Gathered, gather
from spex_mech.report.figures import figures_of
from spex_mech.run.folder import RunFolder, open_folder, write_text
from spex_mech.run.spec import RunSpec

_TOP = 15


def write_report(folder: RunFolder | str | Path, *, metrics: Sequence[str] | None = None) -> Path:
    """Write ``report.html`` and ``figures/*.png`` into a run's folder, from what is stored there.

    Needs no model and no torch. A run that is not finished has a report of what it has.

    Args:
        folder: the run's folder.
        metrics: metrics of the test tables; default those that were scored.

    Returns:
        The page's path.

    Raises:
        MissingFileError: no run is there, or nothing has been evaluated.
        InputError: a file that cannot be read or written, or an unknown metric.
    """
    home = folder if isinstance(folder, RunFolder) else open_folder(folder)
    found = gather(home, metrics)
    figures = figures_of(found)
    target = home.path / "figures"
    target.mkdir(exist_ok=True)
    for name, figure in figures.items():
        part = target / f"{name}.png.part"
        figure.savefig(part, dpi=150, format="png")
        part.replace(target / f"{name}.png")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spex_mech.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(interval=_interval, signed=_signed, bytes=bytes_text)
    page = environment.get_template("page.html.j2").render(
        figures={name: _svg(figure, name) for name, figure in figures.items()}, **_facts(found)
    )
    path = home.path / "report.html"
    write_text(path, page)
    return path


def _facts(found: Gathered) -> dict[str, Any]:
    spec = found.folder.spec
    joint = [] if found.interactions is None else found.interactions.joint(_TOP)
    std = None if found.interactions is None else found.interactions.std
    given = found.input
    return {
        "version": version("spex-mech"),
        "run": found,
        "spec": spec,
        "view": _view(found),
        "metric": given.value
        if given
        else found.facts.get("metric") or spec.game.metric or "value",
        "top": [(found.players.label(s), v, None if std is None else std[s]) for s, v in joint],
        "removed": [
            (k, [name for name, kept in zip(found.players.names, k.mask, strict=True) if kept])
            for k in found.kept
        ],
        "sections": _sections(found),
        "command": given.command if given else _command(spec),
        "all_masks": spec.design.kind == "uniform" and spec.design.budget == 2**found.players.n,
        "total": sum(found.seconds.values()),
    }


def _view(found: Gathered) -> Markup | None:
    """The input with what its parts do; the view escapes the text in it."""
    if found.input is None or found.spectrum is None or found.interactions is None:
        return None
    subject, value, names = found.input.subject, found.input.value, found.players.names
    shown = view_of(subject, names, value, found.spectrum, found.interactions, top=_TOP)
    return Markup(replace(shown, note="").html())  # the page has the note already


def _sections(found: Gathered) -> list[tuple[str, list[tuple[str, Any]]]]:
    """What was asked, as titled rows."""
    content = found.folder.spec.model_dump()
    if found.input is not None:
        asked = [(k, v) for k, v in found.input.asked.items() if v]
        rows = {name: content[name] for name in ("design", "decode", "interactions")}
        return [(found.input.kind, asked), *((k, [*v.items()]) for k, v in rows.items())]
    flat = [(k, v) for k, v in content.items() if not isinstance(v, dict)]
    return [("run", flat), *((k, [*v.items()]) for k, v in content.items() if isinstance(v, dict))]


def _command(spec: RunSpec) -> str:
    """The command that asks for the same run: the keys that differ from the defaults."""
    mine, usual = spec.model_dump(), RunSpec().model_dump()
    words = ["spex-mech", "run"]
    for key, value in mine.items():
        parts = value.items() if isinstance(value, dict) else [(None, value)]
        for sub, v in parts:
            default = usual[key] if sub is None else usual[key][sub]
            if v != default:
                name = key if sub is None else f"{key}.{sub}"
                words += ["--set", f"{name}={_setting(v)}"]
    return shlex.join(words)


def _setting(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _interval(estimate: Any) -> str:
    return _minus("{mean:.3f} [{low:.3f}, {high:.3f}]".format(**_fields(estimate)))


def _signed(estimate: Any) -> str:
    return _minus("{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(**_fields(estimate)))


def _fields(estimate: Any) -> dict[str, float]:
    return estimate if isinstance(estimate, dict) else vars(estimate)


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _svg(figure: Figure, name: str) -> Markup:
    """The figure as inline SVG; Matplotlib escapes the text in it. Ids are made the figure's own."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for mark in (' id="', 'href="#', "url(#"):
        text = text.replace(mark, f"{mark}{name}-")
    return Markup(text)
