"""``spex-mech decode``: the spectrum of what a run or any store holds, which needs no model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spex_mech.cli.completion import complete_method, complete_run
from spex_mech.cli.options import AsJson, Positions, Settings, as_settings, seed_option
from spex_mech.cli.printing import decoded_json, print_decoded
from spex_mech.cli.tables import say_json
from spex_mech.core.errors import InputError, OutputExistsError

if TYPE_CHECKING:
    from spex_mech.run.decode import Decoded
    from spex_mech.run.folder import RunFolder


def decode(
    folder: Annotated[
        Path,
        typer.Argument(
            help="A run's folder, or any store, such as RUN/masks.", autocompletion=complete_run
        ),
    ] = Path("runs/demo"),
    settings: Settings = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="auto, stack, walsh_gp, proxyspex, spex, lasso or exact.",
            autocompletion=complete_method,
        ),
    ] = None,
    seed: Annotated[int | None, seed_option("the decoder")] = None,
    metric: Annotated[
        str | None, typer.Option(help="Another metric of the stored scores, such as 'accuracy'.")
    ] = None,
    questions: Positions = None,
    index: Annotated[str | None, typer.Option(help="Interaction index, such as FSII.")] = None,
    order: Annotated[
        int | None, typer.Option(min=1, help="Most players in one interaction.")
    ] = None,
    allow_damaged: Annotated[
        bool,
        typer.Option("--allow-damaged", help="Of a store: leave out masks of damaged shards."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; by default FOLDER itself.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Interactions to print.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Find the spectrum of evaluated masks and its interactions, one option per setting; needs no model."""
    from spex_mech.run.decode import save_decoded
    from spex_mech.run.opening import prepare_folder, save_spec

    if out is not None and any((out / name).exists() for name in ("spec.json", "spectrum.json")):
        raise OutputExistsError(f"{out} holds a run or a spectrum; choose a new folder")
    changes = as_settings(
        settings,
        decode__method=method,
        decode__seed=seed,
        game__metric=metric,
        interactions__index=index,
        interactions__order=order,
    )
    if (folder / "key.json").is_file():
        decoded, target = _decode_store(folder, out, changes, questions, allow_damaged)
    elif questions is not None or allow_damaged:
        option = "--allow-damaged" if questions is None else "--questions"
        raise InputError(f"{option} goes with a store; give {folder / 'masks'} and --out FOLDER")
    else:
        decoded, target = _decode_run(folder, out, changes)
    prepare_folder(target.path)
    if target.has("spec.json"):
        save_spec(target)
    save_decoded(decoded, target)
    if as_json:
        say_json(decoded_json(decoded, top, target.path))
        return
    print_decoded(decoded, top)
    typer.echo(f"written: {target.path / 'spectrum.json'}, {target.path / 'interactions.json'}")


def _decode_store(
    store: Path, out: Path | None, changes: list[str], questions: str | None, allow_damaged: bool
) -> tuple[Decoded, RunFolder]:
    """Decode any store; also the folder for the results."""
    from spex_mech.run.decode import decode_store
    from spex_mech.run.folder import RunFolder
    from spex_mech.run.spec_file import with_settings

    spec = with_settings({}, changes)
    decoded = decode_store(
        store,
        metric=spec.game.metric,
        questions=questions,
        settings=spec.decode,
        index=spec.interactions,
        allow_damaged=allow_damaged,
    )
    return decoded, RunFolder(out or store, spec)


def _decode_run(folder: Path, out: Path | None, changes: list[str]) -> tuple[Decoded, RunFolder]:
    """Decode a run's folder with other settings; also the folder for the results."""
    from spex_mech.run.decode import decode_folder
    from spex_mech.run.folder import RunFolder
    from spex_mech.run.opening import changed, open_folder

    before = open_folder(folder)
    run = changed(before, changes, ("decode", "interactions", "game.metric"), "decode")
    if out is None and run.spec != before.spec and before.has("kept.json"):
        raise InputError(
            f"{folder} holds kept sets that follow from its present spectrum; give --out FOLDER for "
            "a spectrum with other settings"
        )
    decoded = decode_folder(run)
    return decoded, run if out is None else RunFolder(out, run.spec)
