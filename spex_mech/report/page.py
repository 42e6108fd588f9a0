"""Writing ``report.html``: figures and styles stand inside the page; texts of models and data are escaped."""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from spex_mech.core import palette
from spex_mech.core.units import bytes_text
from spex_mech.features.view import view_of
from spex_mech.report.answer import answer
from spex_mech.report.contents import Contents, read_contents
from spex_mech.report.depth import depth_of
from spex_mech.report.downloads import TABLE, files_of, interactions_csv
from spex_mech.report.figures import circuit_figures, figures_of
from spex_mech.report.relations import attended, relations
from spex_mech.report.words import glossary, method_words, noun
from spex_mech.run.folder import RunFolder, write_file
from spex_mech.run.opening import open_folder, prepare_folder
from spex_mech.run.spec import RunSpec

_TOP = 15
CIRCUIT = "circuit.html"
_DPI = 150  # of the PNG files


def write_report(folder: RunFolder | str | Path, *, metrics: Sequence[str] | None = None) -> Path:
    """Write ``report.html``, ``figures/*.png`` and ``*.svg``, and ``interactions.csv`` into a run's folder.

    Where a circuit was tested, it is on a page of its own, too: ``circuit.html``.

    All of it is made from what is stored there.

    Needs no model and no torch. The report of an unfinished run shows the steps that were taken.

    Args:
        folder: the run's folder.
        metrics: metrics of the test tables; by default those that were scored.

    Returns:
        The page's path.

    Raises:
        MissingFileError: the folder holds no run, or nothing has been evaluated.
        InputError: a file that cannot be read or written, or an unknown metric.
    """
    run_folder = folder if isinstance(folder, RunFolder) else open_folder(folder)
    prepare_folder(run_folder.path)
    contents = read_contents(run_folder, metrics)
    figures = figures_of(contents)
    drawn = _draw(run_folder, figures)
    if (table := interactions_csv(contents)) is None:
        run_folder.remove(TABLE)
    else:
        write_file(run_folder.path / TABLE, table)
    if contents.circuit is None:
        run_folder.remove(CIRCUIT)
    else:
        _write(run_folder, CIRCUIT, contents, drawn)
    return _write(run_folder, "report.html", contents, drawn)


def write_circuit_page(folder: RunFolder | str | Path) -> Path:
    """Write ``circuit.html``: a tested circuit's graph, what its heads attend to, and its curves.

    It holds what the report has about the circuit, on a page of its own. Needs no model and no torch.

    Args:
        folder: the run's folder.

    Returns:
        The page's path.

    Raises:
        MissingFileError: the folder holds no run, or no circuit has been tested.
        InputError: a file that cannot be read or written.
    """
    run_folder = folder if isinstance(folder, RunFolder) else open_folder(folder)
    prepare_folder(run_folder.path)
    run_folder.load("circuit.json")
    contents = read_contents(run_folder)
    return _write(run_folder, CIRCUIT, contents, _draw(run_folder, circuit_figures(contents)))


def _draw(folder: RunFolder, figures: Mapping[str, Figure]) -> dict[str, str]:
    """Write figures as PNG and SVG; name to SVG."""
    drawn = {}
    for name, figure in figures.items():
        write_file(folder.path / "figures" / f"{name}.png", _png(figure))
        drawn[name] = _svg_text(figure)
        write_file(folder.path / "figures" / f"{name}.svg", drawn[name])
    return drawn


def _write(folder: RunFolder, name: str, contents: Contents, drawn: Mapping[str, str]) -> Path:
    """Fill the template of a page and write it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spex_mech.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(interval=_interval, signed=_signed, bytes=bytes_text)
    template = "circuit.html.j2" if name == CIRCUIT else "page.html.j2"
    page = environment.get_template(template).render(
        figures={figure: _svg(text, figure) for figure, text in drawn.items()},
        **_variables(contents),
    )
    path = folder.path / name
    write_file(path, page)
    return path


def _variables(contents: Contents) -> dict[str, Any]:
    """The variables of the template."""
    spec, players, explained = contents.folder.spec, contents.players, contents.input
    joint = [] if contents.interactions is None else contents.interactions.joint(_TOP)
    std = None if contents.interactions is None else contents.interactions.std
    metric = contents.facts.get("metric") or spec.game.metric or "value"
    measured = explained.value if explained else metric
    return {
        "palette": palette,
        "version": version("spex-mech"),
        "run": contents,
        "spec": spec,
        "view": _view(contents),
        "depth": depth_of(contents),
        "metric": measured,
        "called": noun(players),
        "answers": answer(contents, measured),
        "words": glossary(contents, measured),
        "methods": method_words(contents),
        "files": files_of(contents),
        "relations": relations(contents),
        "attended": attended(contents),
        "top": [(players.label(s), v, None if std is None else std[s]) for s, v in joint],
        "kept_names": [
            (
                kept,
                [name for name, present in zip(players.names, kept.mask, strict=True) if present],
            )
            for kept in contents.kept
        ],
        "sections": _sections(contents),
        "command": explained.command if explained else _command(spec),
        "all_masks": spec.design.kind == "uniform" and spec.design.budget == 2**players.n,
        "total": sum(contents.seconds.values()),
    }


def _view(contents: Contents) -> Markup | None:
    """The explained input with its parts' effects; the view escapes the text in it."""
    explained, interactions = contents.input, contents.interactions
    if explained is None or contents.spectrum is None or interactions is None:
        return None
    view = view_of(
        explained.subject,
        contents.players.names,
        explained.value,
        contents.spectrum,
        interactions,
        top=_TOP,
    )
    return Markup(replace(view, note="").html())  # the page has the note already


def _sections(contents: Contents) -> list[tuple[str, list[tuple[str, Any]]]]:
    """The settings as titled rows."""
    spec = contents.folder.spec.model_dump()
    explained = contents.input
    if explained is not None:
        settings = [(k, v) for k, v in explained.settings.items() if v]
        del spec["decode"]["gradients"]  # which are a model's
        names = ("design", "decode", "interactions")
        return [(explained.kind, settings), *((name, [*spec[name].items()]) for name in names)]
    flat = [(k, v) for k, v in spec.items() if not isinstance(v, dict)]
    return [("run", flat), *((k, [*v.items()]) for k, v in spec.items() if isinstance(v, dict))]


def _command(spec: RunSpec) -> str:
    """The command of the same run: it sets the keys that differ from the defaults."""
    settings, defaults = spec.model_dump(), RunSpec().model_dump()
    words = ["spex-mech", "run"]
    for key, value in settings.items():
        parts = value.items() if isinstance(value, dict) else [(None, value)]
        for sub, v in parts:
            default = defaults[key] if sub is None else defaults[key][sub]
            spent = sub == "first" and spec.design.in_rounds  # what the rounds themselves have set
            if v != default and not spent:
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


def _png(figure: Figure) -> bytes:
    """The figure as PNG. Its layout is kept from here on: finding it takes as long as drawing.

    The canvas is asked directly, because `Figure.savefig` draws everything twice.
    """
    buffer = io.BytesIO()
    figure.set_dpi(_DPI)
    FigureCanvasAgg(figure).print_png(buffer)
    figure.set_layout_engine("none")
    return buffer.getvalue()


def _svg_text(figure: Figure) -> str:
    """The figure as SVG; Matplotlib escapes the text in it."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()


def _svg(text: str, name: str) -> Markup:
    """The SVG of a figure to stand inside the page. Ids are made the figure's own."""
    text = text[text.index("<svg") :]
    for mark in (' id="', 'href="#', "url(#"):
        text = text.replace(mark, f"{mark}{name}-")
    return Markup(text.replace("<svg", '<svg role="img"', 1))
