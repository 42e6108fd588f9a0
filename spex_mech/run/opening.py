"""Making, opening and changing a run's folder: which run it holds, and whether another may go on from it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError, MissingFileError, OutputExistsError
from spex_mech.core.files import check_folder, real_folder, remove_leftovers
from spex_mech.evaluation.questions import ALL
from spex_mech.run.folder import RunFolder, read_json, write_file
from spex_mech.run.spec import RunSpec
from spex_mech.run.spec_file import with_settings


def claim(path: str | Path, spec: RunSpec, *, last: Sequence[str] = ()) -> RunFolder:
    """Make a run's folder, or open the folder of an unfinished run of the same spec.

    An empty folder is taken as a new one. What killed processes left half-written is removed.

    Args:
        path: the folder.
        spec: the run's spec.
        last: names of the last files of a run; a folder that has them all is refused as finished.

    Raises:
        OutputExistsError: the folder holds something else, another spec (the keys that differ are
            named), or a finished run.
        InputError: it cannot be made, or holds links or files of other users.
    """
    folder = RunFolder(real_folder(path), spec)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {path}: {error.strerror or error}; give another place for the run"
        ) from error
    existing = taken(folder.path, spec, last=last)
    if existing is not None:
        return existing
    save_spec(folder)
    return folder


def taken(path: str | Path, spec: RunSpec, *, last: Sequence[str] = ()) -> RunFolder | None:
    """The unfinished run that `claim` would go on with; None where there is no folder, or an empty one.

    Nothing is written, so that it can be asked before a model is loaded.

    Args:
        path: the folder.
        spec: the run's spec.
        last: see `claim`.

    Raises:
        OutputExistsError, InputError: as for `claim`.
    """
    folder = real_folder(path)
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise OutputExistsError(f"{path} exists and is no folder; choose a new folder")
    prepare_folder(folder)
    if not any(folder.iterdir()):
        return None
    if not (folder / "spec.json").is_file():
        raise OutputExistsError(f"{path} exists; choose a new folder (it holds no run)")
    existing = open_folder(path)
    differing = _differing(existing.spec.model_dump(), spec.model_dump())
    differing = [key for key in differing if key != "design.first"]
    if differing:
        raise OutputExistsError(
            f"{path} exists; choose a new folder (its run has another {', '.join(differing)}; only the "
            "same spec continues a run)"
        )
    if last and all((folder / name).exists() for name in last):
        raise OutputExistsError(
            f"{path} exists; choose a new folder (its run is finished: spex-mech report {path} shows it, "
            "and the other commands go on from it)"
        )
    return existing


def open_folder(path: str | Path) -> RunFolder:
    """Open a run's folder.

    Raises:
        MissingFileError: no such folder, or one without a run.
        InputError: its ``spec.json`` cannot be read.
    """
    folder = real_folder(path)
    header = folder / "spec.json"
    if not header.is_file():
        is_store = (folder / "key.json").is_file()
        content = (
            "is a store, not a run's folder" if is_store else "holds no run (it has no spec.json)"
        )
        parent = f", such as {folder.parent}" if (folder.parent / "spec.json").is_file() else ""
        raise MissingFileError(
            f"{str(path)!r} {content}; give a folder that spex-mech evaluate or run writes to{parent}"
        )
    raw = read_json(header)
    if isinstance(raw, dict) and isinstance(design := raw.get("design"), dict):
        design.setdefault("questions", ALL)  # as every run of before
    return RunFolder(folder, with_settings(raw, ()))


def changed(
    folder: RunFolder, settings: Sequence[str], allowed: Collection[str], step: str
) -> RunFolder:
    """The folder with other settings of one step; nothing is written, see `save_spec`.

    Args:
        folder: the run's folder.
        settings: ``key=value``, as in ``decode.method=lasso``.
        allowed: keys, or whole sections, that this step may change.
        step: name of the command.

    Raises:
        InputError: an unknown key, or one that an earlier step has used; or a step that does not exist for
            the parts of an input, for which decode is the only one.
    """
    if step != "decode" and folder.has("input.json"):
        raise InputError(
            f"the players of {folder.path} are parts of an input, and {step} is for parts of a model; "
            f"spex-mech decode {folder.path} and report go on from it"
        )
    before = folder.spec.model_dump()
    after = with_settings(folder.spec.model_dump(), settings)
    differing = _differing(before, after.model_dump())
    fixed = [k for k in differing if k not in allowed and k.partition(".")[0] not in allowed]
    if fixed:
        raise InputError(
            f"{folder.path} was evaluated with another {', '.join(fixed)}; {step} can change "
            f"{', '.join(allowed)}. Evaluate anew into another folder: spex-mech evaluate --set ... --out"
        )
    prepare_folder(folder.path)
    return replace(folder, spec=after)


def prepare_folder(path: Path) -> None:
    """Make sure that nothing in a folder leads elsewhere, and remove what killed processes left."""
    check_folder(path)
    remove_leftovers(path)


def save_spec(folder: RunFolder) -> None:
    """Write the folder's ``spec.json``."""
    write_file(folder.path / "spec.json", folder.spec.model_dump_json(indent=1))


def _differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Keys of two specs with different values, as ``section.key``."""
    keys = []
    for key in a:
        if isinstance(a[key], dict):
            keys += [f"{key}.{sub}" for sub in a[key] if a[key][sub] != b[key][sub]]
        elif a[key] != b[key]:
            keys.append(key)
    return keys
