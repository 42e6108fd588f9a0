"""`TorchTrainer`: torch modules trained on many subsets at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor, nn

from spex_mech.core.errors import InputError
from spex_mech.training_data.examples import Examples
from spex_mech.training_data.torch.recipe import Recipe
from spex_mech.training_data.torch.training import (
    has_batch_statistics,
    score_alone,
    score_stacked,
    train_alone,
    train_stacked,
)

_STACK = 256


@dataclass(frozen=True)
class TorchTrainer:
    """Trains a torch classifier on subsets, many of them at once.

    All models of a seed start from the same weights and see the data in the same order; each is the
    one that a plain loop over its subset gives, to rounding.

    Attributes:
        build: makes the module, from inputs (b, ...) to logits (b, k), or an object with ``logits`` as
            Hugging Face models give. Called with torch's generator seeded, which is put back after.
        recipe: optimiser, length and order of the data.
        stack: models trained at once; 1 is the plain loop. None for 256, or for 1 where a module has
            batch normalisation: the statistics of a shared minibatch would let absent examples in.
        device: where to train.
    """

    build: Callable[[], nn.Module]
    recipe: Recipe = field(default_factory=Recipe)
    stack: int | None = None
    device: str = "cpu"

    @property
    def key(self) -> Mapping[str, str]:
        """See `Trainer.key`: the module as it prints, a hash of its first weights, and the recipe."""
        module = self.initial(0)
        digest = hashlib.sha256()
        for name, value in sorted(module.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        kind = type(module)
        return {
            "trainer": f"torch {kind.__module__}.{kind.__qualname__}",
            "module": hashlib.sha256(repr(module).encode()).hexdigest(),
            "initial weights": digest.hexdigest(),
            "recipe": repr(self.recipe),
        }

    @property
    def at_once(self) -> int:
        """See `Trainer.at_once`."""
        return self.stack or (1 if has_batch_statistics(self.initial(0)) else _STACK)

    def initial(self, seed: int) -> nn.Module:
        """The untrained module of a seed.

        Raises:
            InputError: active dropout: its draws would differ between a stack and a loop.
        """
        devices = [] if self.device == "cpu" else None
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            module = self.build()
        for name, part in module.named_modules():
            if isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0:
                raise InputError(
                    f"{name or 'the module'} has dropout p={part.p}, so its training is not a function "
                    "of subset and seed; set p=0 (or the config's dropout entries to 0)"
                )
        return module.to(self.device)

    def outputs(
        self, train: Examples, test: Examples, subsets: Bool[np.ndarray, "m N"], seed: int
    ) -> Float32[np.ndarray, "m t k"]:
        """See `Trainer.outputs`.

        Raises:
            InputError: a module that does not answer with a logit for each class, or one with batch
                normalisation in a stack.
        """
        points = torch.from_numpy(test.inputs).to(self.device)
        parts = []
        for module, weights in self._trained(train, subsets, seed):
            if weights is None:
                logits = score_alone(module, points)[None]
            else:
                logits = score_stacked(module, weights, points)
            parts.append(logits.float().cpu().numpy())
        if not parts:
            return np.empty((0, len(test), len(train.classes)), dtype=np.float32)
        return np.concatenate(parts)

    def weights(
        self, train: Examples, subsets: Bool[np.ndarray, "m N"], seed: int
    ) -> dict[str, Tensor]:
        """Final weights of every subset's model: name to (m, ...), on the CPU."""
        parts: list[dict[str, Tensor]] = []
        for module, weights in self._trained(train, subsets, seed):
            if weights is None:
                weights = {name: p.detach()[None] for name, p in module.named_parameters()}
            parts.append({name: value.cpu() for name, value in weights.items()})
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _trained(self, train: Examples, subsets: Bool[np.ndarray, "m N"], seed: int):
        """Modules with stacked weights, or trained modules with None, in the order of the subsets."""
        module = self.initial(seed)
        size = self.at_once
        if size > 1 and has_batch_statistics(module):
            raise InputError(
                f"a stack of {size} models cannot have batch normalisation: absent examples would be in "
                "the statistics; use stack=1, or group normalisation (networks.group_norms)"
            )
        inputs = torch.from_numpy(train.inputs).to(self.device)
        labels = torch.from_numpy(train.labels).to(self.device)
        self._check(module, inputs[:2], len(train.classes))
        present = torch.from_numpy(np.ascontiguousarray(subsets)).to(self.device)
        for start in range(0, len(present), size):
            part = present[start : start + size]
            if size > 1:
                module.eval()
                yield module, train_stacked(module, inputs, labels, part, self.recipe, seed)
            else:
                yield train_alone(module, inputs, labels, part[0], self.recipe, seed), None

    def _check(self, module: nn.Module, inputs: Tensor, classes: int) -> None:
        shape = tuple(score_alone(module.eval(), inputs).shape)
        if shape != (len(inputs), classes):
            raise InputError(
                f"the module answers {shape} for {len(inputs)} inputs, expected ({len(inputs)}, "
                f"{classes}): a logit for each class"
            )
