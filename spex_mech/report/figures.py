"""The figures of a report: those that the run's files allow."""

from __future__ import annotations

from matplotlib.figure import Figure

from spex_mech.core.interactions import interactions
from spex_mech.report import plots
from spex_mech.report.contents import Gathered


def figures_of(found: Gathered) -> dict[str, Figure]:
    """Name to figure."""
    figures: dict[str, Figure] = {}
    if found.spectrum is not None and found.interactions is not None:
        effects = interactions(found.spectrum, "Banzhaf", 1)
        if all(p.layer is not None for p in found.players):
            figures["heads"] = plots.head_map(effects, found.interactions, found.players)
        figures["interactions"] = plots.top_interactions(found.interactions, found.players)
        if found.interactions.order > 1:
            figures["pairs"] = plots.interaction_matrix(effects, found.interactions, found.players)
    if found.held_out is not None:
        held = found.held_out
        figures["fidelity"] = plots.fidelity(held.predicted, held.measured, r2=held.r2)
    if found.scores is not None:
        for metric, full in found.scores.full.items():
            curves: dict = {}
            for point in found.scores.points:
                curves.setdefault(point.kept.method, {})[point.kept.keep] = point.metrics[metric]
            figures[f"pruning_{metric}"] = plots.pruning_curve(
                curves,
                full=full,
                n=found.players.n,
                label=metric,
                chance=found.scores.chance if metric.startswith("accuracy") else None,
            )
    if found.circuit is not None:
        figures["circuit"] = plots.circuit_graph(found.circuit)
        figures["circuit_tests"] = plots.circuit_tests(found.circuit)
    return figures
