"""Constants that removed parts become under optimal ablation, as values, as a file and as fills."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from spex_mech.ablation.fills import Ablation, Fill, Filler, Record
from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.files import write_whole
from spex_mech.core.short_repr import short_repr
from spex_mech.tasks.prompts import Prompts


@dataclass(frozen=True)
class FittedBy:
    """How constants were found.

    Attributes:
        of: hash of the model, the players, the search questions and the settings of the fit.
        source: which of the candidates lost least: ``fitted``, ``mean`` or ``zero``.
        losses: mean loss of every candidate on the search questions, see `fit_constants`; lower is better.
        steps: steps of gradient descent.
        rows: answers that the fit has cost, a backward pass counted as two.
    """

    of: str
    source: str
    losses: Mapping[str, float]
    steps: int
    rows: int


@short_repr
@dataclass(frozen=True, eq=False)
class Constants:
    """A constant for every part that can be removed.

    Attributes:
        values: by site (see `fills`), float32: (heads, width) where heads are removed, (hidden,) elsewhere.
        fitted: how they were found.
    """

    values: Mapping[str, np.ndarray] = field(repr=False)
    fitted: FittedBy

    @cached_property
    def digest(self) -> str:
        """Hash of the values: what tells a game of these constants from others."""
        content = hashlib.sha256()
        for site in sorted(self.values):
            content.update(f"{site} {self.values[site].shape}".encode())
            content.update(self.values[site].tobytes())
        return content.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write them to a safetensors file, whole or not at all."""
        metadata = {"fitted": json.dumps(asdict(self.fitted))}
        arrays = {site: np.ascontiguousarray(x) for site, x in self.values.items()}
        write_whole(Path(path), save(arrays, metadata), private=True)

    @classmethod
    def load(cls, path: str | Path) -> Constants:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            MissingFileError: no such file.
            InputError: it is damaged, or no such file of constants.
        """
        if not Path(path).is_file():
            raise MissingFileError(f"{path} does not exist; fit constants with fit_constants")
        try:
            with safe_open(path, "numpy") as file:
                metadata = json.loads((file.metadata() or {})["fitted"])
                values = {site: file.get_tensor(site) for site in file.keys()}
            return cls(values, FittedBy(**metadata))
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            raise InputError(
                f"{path} does not hold constants of optimal ablation ({error}); remove it, and they are "
                "fitted again"
            ) from None


def optimal(constants: Callable[[], Constants] | None = None) -> Ablation:
    """Removed parts become constants that were fitted to lose least, see `fit_constants`.

    Args:
        constants: gives the constants when they are first needed; None for an ablation that cannot score yet.
    """

    def make(record: Record, prompts: Prompts, sites: Sequence[str], seed: int) -> Filler:
        if constants is None:
            raise InputError("optimal ablation needs constants; make it of a TaskGame")
        return _Constant(constants(), sites)

    return Ablation("optimal", fitted=True, _make=make)


class _Constant:
    def __init__(self, constants: Constants, sites: Sequence[str]) -> None:
        missing = [site for site in sites if site not in constants.values]
        if missing:
            raise InputError(
                f"the constants have no {missing[0]}, which these players can remove; fit them for these "
                "players"
            )
        self._values = {site: torch.from_numpy(constants.values[site]) for site in sites}

    def batch(self, examples: Sequence[int], width: int) -> Fill:
        return lambda site, activation: self._values[site].to(activation)


def hash_of(*parts: Any) -> str:
    """Hash of some parts that JSON can write."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
