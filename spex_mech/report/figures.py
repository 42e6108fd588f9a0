"""The figures of a report."""

from __future__ import annotations

from matplotlib.figure import Figure

from spex_mech.core.estimates import Estimate
from spex_mech.core.interactions import interactions
from spex_mech.report import plots
from spex_mech.report.contents import Contents
from spex_mech.report.depth import depth_of

_PANELS = 8  # heads whose whole patterns are drawn


def figures_of(contents: Contents) -> dict[str, Figure]:
    """Name to figure, of all figures that these contents allow."""
    figures: dict[str, Figure] = {}
    if contents.spectrum is not None and contents.interactions is not None:
        effects = interactions(contents.spectrum, "Banzhaf", 1)
        if all(p.layer is not None for p in contents.players):
            figures["heads"] = plots.head_map(effects, contents.interactions, contents.players)
        figures["interactions"] = plots.top_interactions(contents.interactions, contents.players)
        if contents.interactions.order > 1:
            figures["pairs"] = plots.interaction_matrix(
                effects, contents.interactions, contents.players
            )
    if (depth := depth_of(contents)) is not None:
        figures["depth"] = plots.energy_map(depth.orders, depth.layers)
    if contents.pilot is not None and len(contents.pilot.values):
        pilot = contents.pilot
        figures["pilot"] = plots.pilot_values(pilot.present, pilot.values, (pilot.low, pilot.high))
    if contents.held_out is not None:
        held = contents.held_out
        figures["fidelity"] = plots.fidelity(held.predicted, held.measured, r2=held.r2)
    if contents.by_question is not None:
        parts, ids, found = contents.by_question
        figures["by_question"] = plots.question_map(
            found, [contents.players.names[i] for i in parts], ids
        )
    if contents.scores is not None:
        for metric, full in contents.scores.full.items():
            curves: dict[str, dict[int, Estimate]] = {}
            for point in contents.scores.points:
                curves.setdefault(point.kept.method, {})[point.kept.keep] = point.metrics[metric]
            figures[f"pruning_{metric}"] = plots.pruning_curve(
                curves,
                full=full,
                n=contents.players.n,
                label=metric,
                chance=contents.scores.chance if metric.startswith("accuracy") else None,
            )
    return figures | circuit_figures(contents)


def circuit_figures(contents: Contents) -> dict[str, Figure]:
    """The figures of the circuit: graph, tests, curves, and what its heads attend to."""
    if contents.circuit is None:
        return {}
    figures = {
        "circuit": plots.circuit_graph(contents.circuit),
        "circuit_tests": plots.circuit_tests(contents.circuit),
    }
    if any(curve.faithfulness for curve in contents.curves.values()):
        figures["circuit_curves"] = plots.faithfulness_curves(contents.curves)
    if contents.attention:
        figures["attention_last"] = plots.attention_rows([p.last for p in contents.attention])
        first = contents.attention[0]
        if first.weights.shape[1] == len(first.tokens):
            figures["attention"] = plots.attention_map(first.of(first.heads[:_PANELS]))
    return figures
