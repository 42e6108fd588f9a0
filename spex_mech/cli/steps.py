"""The job step by step: each command goes on from what the former left in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spex_mech.cli import printing as words
from spex_mech.cli.options import Out, RunPath, Settings, SpecFile, chosen, with_executor
from spex_mech.core.errors import InputError, OutputExistsError

Sizes = Annotated[
    list[float] | None,
    typer.Option(
        "--keep", help="Players to keep, a number or a share such as 0.5; once for every size."
    ),
]
Size = Annotated[
    int | None, typer.Option("--keep", min=1, help="Which size; by default the one to be exported.")
]
Metric = Annotated[
    str | None, typer.Option(help="Another metric of the stored scores, such as 'accuracy'.")
]


@with_executor
def evaluate(
    spec: SpecFile = None,
    settings: Settings = None,
    out: Out = Path("runs/demo"),
    hands: Any = None,
) -> None:
    """Ablate: evaluate the design and the held-out masks; run again to go on."""
    from spex_mech.run import steps as pipeline
    from spex_mech.run.folder import claim
    from spex_mech.run.spec import read_spec

    setup = pipeline.prepare(read_spec(spec, settings or []))
    folder = claim(out, setup.spec)
    typer.echo(f"{setup.model!r}\n{setup.game!r}")
    done, check = pipeline.evaluate_step(setup, folder, executor=hands)
    for name, one in (("masks", done), ("check", check)):
        if one is not None:
            typer.echo(
                f"{folder.path / name}: {len(one.design)} {one.design.kind} masks, {one.evaluated} "
                f"evaluated now; values from {one.values.min():.4g} to {one.values.max():.4g}"
            )
    typer.echo(f"next: spex-mech decode {folder.path}")


def decode(
    folder: Annotated[
        Path, typer.Argument(help="A run's folder, or any store, such as RUN/masks.")
    ] = Path("runs/demo"),
    settings: Settings = None,
    method: Annotated[
        str | None, typer.Option(help="auto, stack, walsh_gp, proxyspex, spex, lasso or exact.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the decoder.")] = None,
    metric: Metric = None,
    questions: Annotated[
        str | None, typer.Option(help="Of a store: only these questions, as in '0-29,40'.")
    ] = None,
    index: Annotated[str | None, typer.Option(help="Interaction index, such as FSII.")] = None,
    order: Annotated[int | None, typer.Option(min=1, help="Largest interaction.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; by default FOLDER itself.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Interactions to print.")] = 8,
) -> None:
    """Find the spectrum of what was evaluated, and its interactions; needs no model."""
    from spex_mech.run import decode as decoding
    from spex_mech.run.folder import RunFolder, changed, save_spec, with_settings

    if out is not None and any((out / name).exists() for name in ("spec.json", "spectrum.json")):
        raise OutputExistsError(f"{out} holds a run or a spectrum; choose a new folder")
    given = chosen(
        settings,
        decode__method=method,
        decode__seed=seed,
        game__metric=metric,
        interactions__index=index,
        interactions__order=order,
    )
    if (folder / "key.json").is_file():
        spec = with_settings({}, given)
        found = decoding.decode_store(
            folder,
            metric=spec.game.metric,
            questions=questions,
            how=spec.decode,
            index=spec.interactions,
        )
        home = RunFolder(out or folder, spec)
    else:
        if questions is not None:
            raise InputError(
                f"--questions goes with a store; give {folder / 'masks'} and --out FOLDER"
            )
        there = _open(folder)
        home = changed(there, given, ("decode", "interactions", "game.metric"), "decode")
        if out is None and home.spec != there.spec and there.has("kept.json"):
            raise InputError(
                f"{folder} holds kept sets that follow from its present spectrum; give --out FOLDER for "
                "a spectrum with other settings"
            )
        found = decoding.decode_folder(home)
        home = home if out is None else RunFolder(out, home.spec)
    home.path.mkdir(parents=True, exist_ok=True)
    if home.has("spec.json"):
        save_spec(home)
    decoding.save_decoded(found, home)
    words.decoded(found, top)
    typer.echo(f"written: {home.path / 'spectrum.json'}, {home.path / 'interactions.json'}")


@with_executor
def prune(
    folder: RunPath = Path("runs/demo"),
    settings: Settings = None,
    keep: Sizes = None,
    choose: Annotated[
        bool,
        typer.Option("--choose", help="Choose the size to export on the validation questions."),
    ] = False,
    ablations: Annotated[
        int | None, typer.Option(min=0, help="True ablations to check and improve each size.")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="What to compare with, such as 'greedy removal'; 'none' for nothing."),
    ] = None,
    per_layer: Annotated[int | None, typer.Option(min=0, help="Most players of a layer.")] = None,
    kv_groups: Annotated[int | None, typer.Option(min=0, help="Most key/value groups.")] = None,
    parameters: Annotated[
        float | None, typer.Option(help="Most parameters of the kept players, or their share.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of search and intervals.")] = None,
    test: Annotated[bool, typer.Option(help="Score the kept sets on the test questions.")] = True,
    hands: Any = None,
) -> None:
    """Choose which players to keep, by spectrum and true ablations, and test the choice."""
    from spex_mech.run import steps as pipeline
    from spex_mech.run.decode import decode_folder
    from spex_mech.run.folder import changed, save_spec

    there = _open(folder)
    sizes = None if keep is None else [_whole(k) for k in keep]
    limits = {"per_layer": per_layer, "kv_groups": kv_groups, "parameters": _whole(parameters)}
    given = chosen(
        settings,
        prune__keep=sizes,
        prune__ablations=ablations,
        prune__baselines=_named(baseline, any(v is not None for v in limits.values())),
        prune__seed=seed,
        **{f"prune__{name}": value for name, value in limits.items()},
    )
    if choose:
        given.append("prune.export='auto'")
    elif sizes is not None and there.spec.prune.export not in (*sizes, "auto"):
        given.append("prune.export=none")
    home = changed(there, given, ("prune",), "prune")
    setup = pipeline.prepare(home.spec)
    pipeline.check_pruning(setup)
    again = home.has("spectrum.json")
    decoded = decode_folder(home) if again else pipeline.decode_step(home)
    kept = pipeline.prune_step(setup, home, decoded)
    save_spec(home)
    for one in kept:
        value = (
            "not ablated"
            if one.measured is None
            else f"{setup.game.metric.name} {one.measured:.4f} on search questions"
        )
        typer.echo(f"{one.keep:>6}  {one.method:<18}{one.ablations:>6} ablations  {value}")
    words.size_choice(home)
    if test:
        words.scores(pipeline.test_step(setup, home, kept, executor=hands))
    typer.echo(f"written: {home.path / 'kept.json'}; next: spex-mech circuit, export or report")


def export(
    folder: RunPath = Path("runs/demo"),
    keep: Size = None,
    mode: Annotated[
        str | None,
        typer.Option(help="dense: a stock checkpoint; compact: removed parts truly gone."),
    ] = None,
    even: Annotated[
        bool | None, typer.Option("--even", help="compact: fill up to a stock checkpoint.")
    ] = None,
    measure: Annotated[
        bool | None, typer.Option("--measure", help="compact: measure size and speed for the card.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; by default RUN/pruned.")] = None,
) -> None:
    """Write a kept set as a checkpoint with a model card."""
    from spex_mech.run import steps as pipeline
    from spex_mech.run.folder import changed

    there = _open(folder)
    given = chosen(None, prune__mode=mode, prune__even=even, prune__measure=measure)
    home = changed(there, given, ("prune",), "export")
    there.load("kept.json")
    target = pipeline.export_step(pipeline.prepare(home.spec), home, keep, out=out)
    typer.echo(f"written: {target}")


@with_executor
def circuit(
    folder: RunPath = Path("runs/demo"),
    settings: Settings = None,
    keep: Size = None,
    subsets: Annotated[
        int | None, typer.Option(min=1, help="Random knock-outs that completeness is measured on.")
    ] = None,
    questions: Annotated[
        str | None, typer.Option(help="How many test questions, the first ones; 'none' for all.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of knock-outs and intervals.")] = None,
    hands: Any = None,
) -> None:
    """Test a kept set as a circuit: faithfulness, completeness, and what each part is needed for."""
    from spex_mech.run import steps as pipeline
    from spex_mech.run.folder import changed, save_spec

    there = _open(folder)
    given = chosen(settings, circuit__subsets=subsets, circuit__seed=seed)
    if questions is not None:
        given.append(f"circuit.questions={questions}")
    home = changed(there, given, ("circuit",), "circuit")
    there.load("kept.json")
    setup = pipeline.prepare(home.spec)
    found = pipeline.circuit_step(setup, home, keep, executor=hands)
    save_spec(home)
    typer.echo(str(found))
    typer.echo(f"written: {home.path / 'circuit.json'}, {home.path / 'circuit.graphml'}")


def report(
    folder: RunPath = Path("runs/demo"),
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Metric of the test tables; by default those that were scored."),
    ] = None,
) -> None:
    """Write the report of a run, finished or not, from what it has stored; needs no model."""
    from spex_mech.report import write_report

    typer.echo(f"report: {write_report(_open(folder), metrics=metric)}")


def _whole(number: float | None) -> int | float | None:
    """16.0 as 16; shares stay as they are."""
    return int(number) if number is not None and number.is_integer() and number >= 1 else number


def _named(baselines: list[str] | None, limited: bool) -> list[str] | None:
    """Baselines as the spec has them; with limits, which they do not keep, none unless named."""
    if baselines is None:
        return [] if limited else None
    return [] if baselines == ["none"] else baselines


def _open(folder: Path) -> Any:
    from spex_mech.run.folder import open_folder

    return open_folder(folder)
