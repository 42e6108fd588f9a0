"""What the circuit step shows beside the circuit: curves of all kept sets, and attention patterns."""

from __future__ import annotations

import numpy as np

from spex_mech.ablation.attention import attention_patterns
from spex_mech.ablation.game import TaskGame
from spex_mech.core.attention import AttentionPattern, pattern_to_json
from spex_mech.core.errors import InputError
from spex_mech.evaluation.executors import Executor
from spex_mech.pruning.circuit import Circuit
from spex_mech.pruning.circuit_curve import CircuitCurve, circuit_curve
from spex_mech.pruning.curve_files import curve_to_json
from spex_mech.run.folder import ATTENTION, CURVES, RunFolder
from spex_mech.run.records import kept_sets_from_json

_HEADS, _QUESTIONS = 24, 2
_LEGIBLE = 32  # tokens of the longest question of which every position is kept


def curves_step(
    folder: RunFolder,
    game: TaskGame,
    *,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> dict[str, CircuitCurve]:
    """The faithfulness of every method's kept sets on the circuit's questions; ``circuit-curves.json``.

    The sizes are those of the run and the whole model, so that CPR and CMD are areas from the smallest of
    them to 1.
    """
    spec, n = folder.spec, game.players.n
    every = folder.read("kept.json", lambda rows: kept_sets_from_json(rows, game.players))
    curves = {}
    for method in dict.fromkeys(kept.method for kept in every):
        sets = {kept.keep: kept.mask for kept in every if kept.method == method}
        sets[n] = np.ones(n, dtype=bool)
        if len(sets) > 1:
            curves[method] = circuit_curve(
                game,
                np.stack([sets[keep] for keep in sorted(sets)]),
                sizes=[keep / n for keep in sorted(sets)],
                beside=(),
                seed=spec.circuit.seed,
                store=folder.circuit(spec.circuit.questions),
                executor=executor,
                progress=progress,
            )
    folder.save(CURVES, {method: curve_to_json(curve) for method, curve in curves.items()})
    return curves


def attention_step(
    folder: RunFolder, game: TaskGame, circuit: Circuit
) -> tuple[AttentionPattern, ...]:
    """What the circuit's heads with the largest effects attend to in the first questions.

    Written into ``attention.json``. An earlier one is removed where no player of the circuit
    has heads, or where the model does not show what they attend to.
    """
    heads = {p.name for p in circuit.members if p.kind in ("head", "kv")}
    largest = sorted(circuit.nodes, key=lambda node: -abs(node.effect.mean))
    names = [node.name for node in largest if node.name in heads][:_HEADS]
    patterns: tuple[AttentionPattern, ...] = ()
    if names:
        try:
            count = min(_QUESTIONS, len(game.question_ids))
            every = attention_patterns(game, names, questions=count)
            patterns = tuple(p if len(p.tokens) <= _LEGIBLE else p.last for p in every)
        except InputError:  # a model that computes attention in another way
            patterns = ()
    if patterns:
        folder.save(ATTENTION, [pattern_to_json(pattern) for pattern in patterns])
    else:
        folder.remove(ATTENTION)
    return patterns
