"""Figures. Every function returns a `matplotlib.figure.Figure`; nothing touches pyplot's global state."""

from spex_mech.report.plots.attention import attention_map, attention_rows
from spex_mech.report.plots.bars import fidelity, top_interactions
from spex_mech.report.plots.circuit import circuit_graph, circuit_tests
from spex_mech.report.plots.cross import cross_map
from spex_mech.report.plots.curves import pilot_values, pruning_curve
from spex_mech.report.plots.depth import energy_map
from spex_mech.report.plots.faithfulness import faithfulness_curves
from spex_mech.report.plots.maps import head_map, interaction_matrix
from spex_mech.report.plots.questions import question_map

__all__ = [
    "attention_map",
    "attention_rows",
    "circuit_graph",
    "circuit_tests",
    "cross_map",
    "energy_map",
    "faithfulness_curves",
    "fidelity",
    "head_map",
    "interaction_matrix",
    "pilot_values",
    "pruning_curve",
    "question_map",
    "top_interactions",
]
