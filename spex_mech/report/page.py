"""Writing `report.html`: everything inline, all text from models and data escaped."""

from __future__ import annotations

import io
from importlib.metadata import version
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from spex_mech import plots
from spex_mech.evaluation import evaluate
from spex_mech.indices import interactions
from spex_mech.pipeline import Result

_TOP = 15


def write_report(result: Result, folder: Path) -> Path:
    """Write ``report.html`` and ``figures/*.png`` into the run's folder.

    Args:
        result: a finished run.
        folder: where its files are.

    Returns:
        The page's path.
    """
    figures = _figures(result, folder)
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / "figures" / f"{name}.png", dpi=150)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spex_mech.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(
        figures={name: _svg(figure) for name, figure in figures.items()}, **_facts(result)
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _facts(result: Result) -> dict:
    setup = result.setup
    sample = setup.task.select("search")[0]
    return {
        "version": version("spex-mech"),
        "spec": setup.spec,
        "setup": setup,
        "result": result,
        "top": [(setup.players.label(s), v) for s, v in result.interactions.joint(_TOP)],
        "prompt": sample.prompt,
        "right": sample.options[sample.answer],
        "message": result.spectrum.info.get("message", ""),
        "ours": [p for p in result.curve if not p.gains],
    }


def _figures(result: Result, folder: Path) -> dict[str, Figure]:
    setup = result.setup
    figures = {}
    if all(p.layer is not None for p in setup.players):
        effects = interactions(result.spectrum, "Banzhaf", 1)
        figures["heads"] = plots.head_map(effects, result.interactions, setup.players)
    figures["interactions"] = plots.top_interactions(result.interactions, setup.players)
    if result.heldout_r2 is not None and setup.check is not None:
        held = evaluate(setup.game, setup.check, store=folder / "check", progress=False)
        figures["fidelity"] = plots.fidelity(
            np.asarray(result.spectrum(held.masks)), held.values, r2=result.heldout_r2
        )
    for metric, chance in (("accuracy", setup.task.chance), ("margin", None)):
        curves: dict = {}
        for point in result.curve:
            curves.setdefault(point.choice.method, {})[point.choice.keep] = point.metrics[metric]
        figures[f"pruning_{metric}"] = plots.pruning_curve(
            curves, full=result.full[metric], n=setup.players.n, label=metric, chance=chance
        )
    return figures


def _svg(figure: Figure) -> Markup:
    """The figure as inline SVG; Matplotlib escapes the text in it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return Markup(text[text.index("<svg") :])
