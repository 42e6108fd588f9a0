"""The main job from model to report: evaluate, decode, read off interactions, prune, compare, export."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spex_mech import designs
from spex_mech.cards import load_task
from spex_mech.comparison import OURS, Point, choose, compare
from spex_mech.decoders import decode
from spex_mech.decoders.auto import decoder
from spex_mech.designs import MaskDesign
from spex_mech.errors import InputError, OutputExistsError
from spex_mech.evaluation import Recorded, Run, evaluate
from spex_mech.executors import Executor
from spex_mech.exporting import export
from spex_mech.indices import Interactions, interactions
from spex_mech.metrics import faithfulness
from spex_mech.models import Model, load_model
from spex_mech.players import PlayerSet, select_players
from spex_mech.spec import DesignSpec, RunSpec
from spex_mech.spectrum import Spectrum
from spex_mech.stats import Estimate
from spex_mech.task import ChoiceTask
from spex_mech.task_game import TaskGame


@dataclass(frozen=True, eq=False)
class Setup:
    """A spec with everything it names loaded: nothing has been evaluated yet."""

    spec: RunSpec
    model: Model
    task: ChoiceTask
    players: PlayerSet
    game: TaskGame
    design: MaskDesign
    check: MaskDesign | None


@dataclass(frozen=True, eq=False)
class Result:
    """What a run found.

    Attributes:
        setup: what was run.
        run: the evaluated design.
        spectrum: the decoded surrogate.
        heldout_r2: its R² on masks that the decoder never saw; None without a check design.
        interactions: the index asked for.
        full: metric name to the full model's mean on the test questions.
        curve: every method at every size.
        seconds: wall-clock seconds of each phase.
        exported: the pruned checkpoint, if one was asked for.
    """

    setup: Setup
    run: Run
    spectrum: Spectrum
    heldout_r2: float | None
    interactions: Interactions
    full: dict[str, Estimate]
    curve: list[Point]
    seconds: dict[str, float]
    exported: Path | None


def prepare(spec: RunSpec) -> Setup:
    """Load what a spec names and check that it fits together, before anything is evaluated.

    Raises:
        InputError: an unknown model, task, player, metric, ablation or design, or sizes out of range.
    """
    model = load_model(spec.model)
    players = select_players(model, spec.players)
    task = load_task(spec.task, **spec.asking.model_dump())
    if spec.game.examples is not None:
        task = task.first(spec.game.examples)
    game = TaskGame(
        model,
        task,
        players,
        metric=spec.game.metric,
        ablation=spec.game.ablation,
        rescale=spec.game.rescale,
    )
    sizes = [*spec.prune.keep, *([] if spec.prune.export is None else [spec.prune.export])]
    wrong = [k for k in sizes if not 1 <= k <= players.n]
    if wrong or not spec.prune.keep:
        raise InputError(
            f"prune.keep and prune.export are {sizes}, expected sizes from 1 to {players.n}, the number "
            "of players"
        )
    if spec.prune.export is not None and spec.prune.export not in spec.prune.keep:
        raise InputError(f"prune.export is {spec.prune.export}, expected one of {spec.prune.keep}")
    if spec.prune.export is not None and spec.game.ablation != "zero":
        raise InputError(
            f"a model pruned by {spec.game.ablation} ablation cannot be exported, only zero ablation "
            "can; set prune.export=none"
        )
    decoder(spec.decode.method)
    constant = Spectrum.from_supports([()], [0.0], players.n)
    interactions(constant, spec.interactions.index, spec.interactions.order)
    design = _design(spec.design, players.n, spec.design.budget, spec.design.seed)
    check = None
    if spec.design.check:
        check = _design(spec.design, players.n, spec.design.check, spec.design.seed + 1_000_003)
    return Setup(spec, model, task, players, game, design, check)


def run(
    setup: Setup,
    out: str | Path,
    *,
    progress: bool | None = None,
    executor: str | Executor = "local",
) -> Result:
    """Run a prepared spec and write what it finds to ``out``.

    The folder gets ``spec.json``, the evaluated masks (run stores ``masks``, ``check``, ``test``),
    ``spectrum.json`` (the terms read out; ``readout_loss`` is the part of the surrogate's variance that
    they miss), ``interactions.json``, ``results.json`` and the pruned checkpoint (``pruned``);
    `report.write_report` adds the page and its figures. A run that was cut off goes on when the
    same spec and folder are given again; a finished one is refused.

    Args:
        setup: what to run.
        out: the folder.
        progress: show progress bars, see `evaluate`.
        executor: where the design, the check and the test are evaluated, see `evaluate`; the short
            rounds of pruning stay in this process.

    Raises:
        OutputExistsError: ``out`` holds a finished run or something else.
    """
    folder = Path(out)
    _claim(folder, setup.spec)
    clock = _Clock()
    spec, game = setup.spec, setup.game
    with clock("evaluate"):
        done = evaluate(
            game,
            setup.design,
            store=folder / "masks",
            executor=executor,
            spec=spec.model_dump(),
            progress=progress,
        )
    with clock("decode"):
        spectrum = decode(
            setup.design, done.values, method=spec.decode.method, seed=spec.decode.seed
        )
        found = interactions(spectrum, spec.interactions.index, spec.interactions.order)
    r2 = None
    with clock("check"):
        if setup.check is not None:
            held = evaluate(
                game,
                setup.check,
                store=folder / "check",
                executor=executor,
                spec=spec.model_dump(),
                progress=progress,
            )
            r2 = faithfulness(spectrum, held.masks, held.values)
    with clock("prune"):
        choices = [
            choice
            for keep in sorted(spec.prune.keep, reverse=True)
            for choice in choose(
                Recorded(game, folder / "masks", progress, f"pruning to {keep}"),
                done,
                spectrum,
                keep=keep,
                validate=spec.prune.ablations,
                random_budget=random_share(setup),
                seed=spec.prune.seed,
            )
        ]
    with clock("test"):
        full, curve = compare(
            game.with_split("test"),
            choices,
            seed=spec.prune.seed,
            store=folder / "test",
            progress=progress,
            executor=executor,
        )
    exported = None
    if spec.prune.export is not None:
        mask = next(
            p.choice.pruned.mask
            for p in curve
            if (p.choice.method, p.choice.keep) == (OURS, spec.prune.export)
        )
        exported = export(
            setup.model, setup.players, mask, folder / "pruned", rescale=spec.game.rescale
        )
    result = Result(setup, done, spectrum, r2, found, full, curve, clock.seconds, exported)
    _write(folder, result)
    return result


def random_share(setup: Setup) -> int:
    """Ablations that random search may spend on one size: what ours spends on it, all told.

    The design serves every size, so its cost is shared among them.
    """
    return len(setup.design) // len(setup.spec.prune.keep) + setup.spec.prune.ablations


def _design(spec: DesignSpec, n: int, budget: int, seed: int) -> MaskDesign:
    rate = tuple(spec.keep_rate) if isinstance(spec.keep_rate, list) else spec.keep_rate
    kinds = {
        "biased": lambda: designs.biased(n, budget, keep_rate=rate, seed=seed),
        "uniform": lambda: designs.uniform(n, budget, seed=seed),
        "paired": lambda: designs.paired(n, budget, seed=seed),
        "stratified": lambda: designs.stratified(n, budget, seed=seed),
        "spex": lambda: designs.spex(n, budget, seed=seed),
    }
    if spec.kind not in kinds:
        raise InputError(f"unknown design.kind {spec.kind!r}; expected one of {', '.join(kinds)}")
    return kinds[spec.kind]()


def _claim(folder: Path, spec: RunSpec) -> None:
    """Make the output folder, or take up the unfinished run of the same spec that is there."""
    text = spec.model_dump_json(indent=1)
    header = folder / "spec.json"
    if folder.exists():
        unfinished = header.is_file() and not (folder / "results.json").exists()
        if not unfinished or header.read_text(encoding="utf-8") != text:
            raise OutputExistsError(
                f"{folder} exists; choose a new folder (an unfinished run is resumed by the same spec)"
            )
        return
    folder.mkdir(parents=True)
    header.write_text(text, encoding="utf-8")


def _write(folder: Path, result: Result) -> None:
    names = result.setup.players.names
    spectrum = result.spectrum

    def coalition(members: Iterable[int]) -> list[str]:
        return [names[i] for i in members]

    def save(name: str, content: Any) -> None:
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")

    everything = spectrum.top(len(spectrum), include_empty=True)
    save(
        "spectrum.json",
        {
            "convention": "f(x) = sum_S F(S) (-1)^|S & x|, x = 1 present",
            "players": names,
            "readout_loss": spectrum.info.get("readout_loss", 0.0),
            "terms": [[coalition(s), c] for s, c in everything],
        },
    )
    found = sorted(result.interactions.values.items(), key=lambda item: -abs(item[1]))
    save(
        "interactions.json",
        {
            "index": result.interactions.index,
            "order": result.interactions.order,
            "values": [[coalition(s), v] for s, v in found],
            "std": None
            if result.interactions.std is None
            else [result.interactions.std[s] for s, _ in found],
        },
    )
    save(
        "results.json",
        {
            "heldout_r2": result.heldout_r2,
            "decoder": str(spectrum.info.get("message", spectrum.info.get("method", ""))),
            "full": {k: vars(v) for k, v in result.full.items()},
            "curve": [
                {
                    "method": p.choice.method,
                    "keep": p.choice.keep,
                    "ablations beside the design": p.choice.pruned.ablations,
                    "kept": coalition(np.flatnonzero(p.choice.pruned.mask)),
                    **{k: vars(v) for k, v in p.metrics.items()},
                    "ours minus this": {k: vars(v) for k, v in p.gains.items()},
                }
                for p in result.curve
            ],
            "seconds": result.seconds,
        },
    )


class _Clock:
    """Wall-clock seconds of named phases."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, phase: str) -> _Clock:
        self._phase = phase
        return self

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, *exc: object) -> None:
        self.seconds[self._phase] = time.monotonic() - self._start
