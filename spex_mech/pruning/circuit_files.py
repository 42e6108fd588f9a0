"""A tested circuit as JSON (networkx's node-link form) and as GraphML, and back from JSON."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np

from spex_mech.core.estimates import Estimate
from spex_mech.core.players import PlayerSet
from spex_mech.pruning.circuit import Circuit, Edge, KnockOut, Node

_WHOLE = ("full", "empty", "alone", "rest", "loss", "faithfulness", "complement", "incompleteness")


def circuit_to_json(found: Circuit) -> dict[str, Any]:
    """A circuit in networkx's node-link form: ``networkx.node_link_graph(content, edges="edges")``.

    ``graph`` holds what is said of the circuit as a whole; an estimate is a mapping with ``mean``,
    ``low``, ``high``, ``n`` and ``level``.
    """
    estimates = {name: getattr(found, name) for name in _WHOLE}
    return {
        "directed": False,
        "multigraph": False,
        "graph": {
            "index": found.index,
            "metric": found.metric,
            "ablations": found.ablations,
            **{name: None if e is None else vars(e) for name, e in estimates.items()},
            "knock_outs": [
                {
                    "names": list(k.names),
                    "circuit": vars(k.circuit),
                    "model": vars(k.model),
                    "difference": vars(k.difference),
                }
                for k in found.knock_outs
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
            for node, player in zip(found.nodes, found.members, strict=True)
        ],
        "edges": [vars(edge) for edge in found.edges],
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
    whole: dict[str, Any] = {
        name: None if graph[name] is None else Estimate(**graph[name]) for name in _WHOLE
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
        **whole,
    )


def circuit_to_graphml(found: Circuit) -> str:
    """A circuit as GraphML, for Gephi, Cytoscape, yEd or ``networkx.read_graphml``.

    Nodes have ``layer``, ``kind``, ``effect`` with its interval, ``p`` and ``needed``; edges have the
    interaction's ``value`` and, where it is known, ``std``.
    """
    root = ET.Element("graphml", xmlns="http://graphml.graphdrawing.org/xmlns")
    keys: dict[tuple[str, str], str] = {}
    graph = ET.Element("graph", id="circuit", edgedefault="undirected")

    def fill(element: ET.Element, kind: str, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if value is None:
                continue
            known = keys.get((kind, name))
            if known is None:
                known = keys[kind, name] = f"d{len(keys)}"
                attributes = {
                    "id": known,
                    "for": kind,
                    "attr.name": name,
                    "attr.type": _TYPES[type(value)],
                }
                ET.SubElement(root, "key", attributes)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            ET.SubElement(element, "data", key=known).text = _xml(text)

    for node, player in zip(found.nodes, found.members, strict=True):
        effect = node.effect
        values = {
            "kind": str(player.kind),
            "layer": player.layer,
            "effect": effect.mean,
            "effect_low": effect.low,
            "effect_high": effect.high,
            "p": node.p,
            "needed": node.needed,
        }
        fill(ET.SubElement(graph, "node", id=_xml(node.name)), "node", values)
    for edge in found.edges:
        element = ET.SubElement(graph, "edge", source=_xml(edge.source), target=_xml(edge.target))
        fill(element, "edge", {"value": edge.value, "std": edge.std})
    root.append(graph)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return "".join(
        c if c.isprintable() or c in "\t\n" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


_TYPES = {str: "string", int: "long", float: "double", bool: "boolean"}
