"""A tested circuit as JSON (networkx's node-link form) and as GraphML, and back from JSON."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from spex_mech.core.estimates import Estimate
from spex_mech.core.players import PlayerSet
from spex_mech.pruning.circuit import Circuit
from spex_mech.pruning.circuit_parts import Edge, KnockOut, Node
from spex_mech.pruning.under import UnderAblation

_ESTIMATES = (
    "full",
    "empty",
    "alone",
    "rest",
    "loss",
    "faithfulness",
    "complement",
    "incompleteness",
)

_UNDER = ("full", "empty", "alone", "loss", "faithfulness")


def circuit_to_json(circuit: Circuit) -> dict[str, Any]:
    """A circuit in networkx's node-link form: ``networkx.node_link_graph(content, edges="edges")``.

    ``graph`` holds the numbers of the circuit as a whole; an estimate is a mapping with ``mean``, ``low``,
    ``high``, ``n`` and ``level``.
    """
    estimates = {name: getattr(circuit, name) for name in _ESTIMATES}
    return {
        "directed": False,
        "multigraph": False,
        "graph": {
            "index": circuit.index,
            "metric": circuit.metric,
            "ablations": circuit.ablations,
            **{name: None if e is None else vars(e) for name, e in estimates.items()},
            **({"under": [_under_to_json(row) for row in circuit.under]} if circuit.under else {}),
            "knock_outs": [
                {
                    "names": list(k.names),
                    "circuit": vars(k.circuit),
                    "model": vars(k.model),
                    "difference": vars(k.difference),
                }
                for k in circuit.knock_outs
            ],
        },
        "nodes": [
            {
                "id": node.name,
                "kind": player.kind,
                "layer": player.layer,
                "index": player.index,
                "effect": vars(node.effect),
                "knocked": list(node.knocked),
                "score": vars(node.score),
                "p": node.p,
                "needed": node.needed,
            }
            for node, player in zip(circuit.nodes, circuit.members, strict=True)
        ],
        "edges": [vars(edge) for edge in circuit.edges],
    }


def circuit_from_json(content: Any, players: PlayerSet) -> Circuit:
    """Undo `circuit_to_json`.

    Raises:
        InputError: a node that is none of the players.
    """
    graph = content["graph"]
    mask = np.zeros(players.n, dtype=bool)
    nodes = []
    for row in content["nodes"]:
        i = players.index(row["id"])
        mask[i] = True
        effect, score = Estimate(**row["effect"]), Estimate(**row["score"])
        nodes.append(Node(i, row["id"], effect, tuple(row["knocked"]), score, row["p"]))
    estimates: dict[str, Any] = {
        name: None if graph[name] is None else Estimate(**graph[name]) for name in _ESTIMATES
    }
    return Circuit(
        players=players,
        mask=mask,
        nodes=tuple(nodes),
        edges=tuple(Edge(**edge) for edge in content["edges"]),
        index=graph["index"],
        metric=graph["metric"],
        knock_outs=tuple(
            KnockOut(
                tuple(k["names"]),
                *(Estimate(**k[part]) for part in ("circuit", "model", "difference")),
            )
            for k in graph["knock_outs"]
        ),
        ablations=graph["ablations"],
        under=tuple(_under_from_json(row) for row in graph.get("under", ())),
        **estimates,
    )


def _under_to_json(row: UnderAblation) -> dict[str, Any]:
    estimates = {name: getattr(row, name) for name in _UNDER}
    return {
        "ablation": row.ablation,
        **{name: None if e is None else vars(e) for name, e in estimates.items()},
    }


def _under_from_json(row: Any) -> UnderAblation:
    estimates: dict[str, Any] = {
        name: None if row[name] is None else Estimate(**row[name]) for name in _UNDER
    }
    return UnderAblation(row["ablation"], **estimates)


def circuit_to_graphml(circuit: Circuit) -> str:
    """A circuit as GraphML, for Gephi, Cytoscape, yEd or ``networkx.read_graphml``.

    Nodes have ``layer``, ``kind``, ``effect`` with its interval, ``p`` and ``needed``; edges have the
    interaction's ``value`` and, where it is known, ``std``.
    """
    import networkx

    graph = networkx.Graph(id="circuit")
    for node, player in zip(circuit.nodes, circuit.members, strict=True):
        attributes = {
            "kind": str(player.kind),
            "layer": player.layer,
            "effect": node.effect.mean,
            "effect_low": node.effect.low,
            "effect_high": node.effect.high,
            "p": node.p,
            "needed": node.needed,
        }
        graph.add_node(_xml_text(node.name), **_known(attributes))
    for edge in circuit.edges:
        attributes = {"value": edge.value, "std": edge.std}
        graph.add_edge(_xml_text(edge.source), _xml_text(edge.target), **_known(attributes))
    file = BytesIO()
    networkx.write_graphml_xml(graph, file)
    return (
        file.getvalue().decode().replace(">True<", ">true<").replace(">False<", ">false<")
    )  # xs:boolean


def _known(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _xml_text(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return "".join(
        c if c.isprintable() or c in "\t\n" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
