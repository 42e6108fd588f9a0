"""The circuit step of a run: one kept set is tested as a circuit on test questions."""

from __future__ import annotations

from dataclasses import replace

from spex_mech.evaluation.executors import Executor
from spex_mech.evaluation.questions import ALL, AUTO
from spex_mech.pruning.circuit import Circuit, circuit
from spex_mech.pruning.circuit_files import circuit_to_graphml, circuit_to_json
from spex_mech.run.circuit_views import attention_step, curves_step
from spex_mech.run.constants import with_constants
from spex_mech.run.decode import Decoded, decode_folder
from spex_mech.run.folder import RunFolder, write_file
from spex_mech.run.outline import check_circuit
from spex_mech.run.prune import kept_of
from spex_mech.run.setup import Setup, circuit_game
from spex_mech.run.under import under_step


def circuit_step(
    setup: Setup,
    folder: RunFolder,
    keep: int | None = None,
    *,
    decoded: Decoded | None = None,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> Circuit:
    """Test our kept set of one size as a circuit; write ``circuit.json`` and ``circuit.graphml``.

    What its heads attend to goes into ``attention.json``, and how faithful the kept sets of all methods and
    sizes are into ``circuit-curves.json``.

    Args:
        setup: what was run.
        folder: the run's folder, with its kept sets.
        keep: the size; by default the one to be exported, or the only one.
        decoded: the run's spectrum, if it has been decoded already.
        executor: see `evaluate`.
        progress: see `evaluate`.

    Raises:
        MissingFileError: nothing was pruned.
        InputError: a size that was not pruned to.
    """
    check_circuit(setup)
    setup = with_constants(setup, folder)
    spec = setup.spec
    kept = kept_of(folder, setup.players, keep)
    decoded = decode_folder(folder) if decoded is None else decoded
    game = circuit_game(setup)
    with folder.timed("circuit"):
        tested = circuit(
            game,
            kept.mask,
            decoded.spectrum,
            index=spec.interactions.index if spec.interactions.order > 1 else "FBII",
            subsets=spec.circuit.subsets,
            questions=ALL if decoded.run.answers is None else AUTO,
            seed=spec.circuit.seed,
            store=folder.circuit(spec.circuit.questions),
            executor=executor,
            progress=progress,
        )
        if spec.circuit.ablations:
            under = under_step(
                setup,
                folder,
                kept.mask,
                spec.circuit.ablations,
                executor=executor,
                progress=progress,
            )
            tested = replace(tested, under=under)
        curves_step(folder, game, executor=executor, progress=progress)
        attention_step(folder, game, tested)
    folder.save("circuit.json", circuit_to_json(tested))
    write_file(folder.path / "circuit.graphml", circuit_to_graphml(tested))
    return tested
