"""`Examples`: inputs with their labels, and how to show them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError
from spex_mech.core.short_repr import short_repr


@short_repr
@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled examples, to train on or to be tested on.

    Attributes:
        inputs: (N, ...) what the model reads: float32 features or images (N, channels, height, width)
            with values from 0 to 1, or int64 token ids (N, length).
        labels: int64 (N,), positions in ``classes``.
        classes: names of all classes, also of those that no example has.
        texts: what a text example says, to show it; None for others.

    Raises:
        InputError: no examples, labels that do not match the inputs or the classes, or inputs that
            are not finite numbers.
    """

    inputs: npt.NDArray
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    texts: tuple[str, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        inputs, labels = np.asarray(self.inputs), np.asarray(self.labels)
        if inputs.ndim < 2 or inputs.dtype.kind not in "fiub" or not len(inputs):
            raise InputError(
                f"inputs have shape {inputs.shape} and dtype {inputs.dtype}, expected numbers of shape "
                "(examples, ...) with at least one example; turn texts into token ids with "
                "Vocabulary.of(texts).encode(texts, length)"
            )
        if labels.shape != (len(inputs),) or labels.dtype.kind not in "iu":
            raise InputError(
                f"labels have shape {labels.shape} and dtype {labels.dtype} beside {len(inputs)} inputs; "
                f"expected integers of shape ({len(inputs)},), one for each input"
            )
        wrong = np.flatnonzero((labels < 0) | (labels >= len(self.classes)))
        if len(wrong):
            raise InputError(
                f"example {wrong[0]} has label {labels[wrong[0]]}, expected a position among the "
                f"{len(self.classes)} classes {', '.join(self.classes[:5])}; give every class a name"
            )
        if inputs.dtype.kind == "f":
            inputs = inputs.astype(np.float32, order="C")
            bad = ~np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1)
            if bad.any():
                raise InputError(
                    f"the input of example {int(np.flatnonzero(bad)[0])} is not finite as float32 "
                    f"({int(bad.sum())} such examples); mend or remove them"
                )
        else:
            inputs = inputs.astype(np.int64, order="C")
        if self.texts is not None and len(self.texts) != len(inputs):
            raise InputError(
                f"{len(self.texts)} texts beside {len(inputs)} inputs; give one for each"
            )
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "labels", labels.astype(np.int64))
        object.__setattr__(self, "classes", tuple(str(name) for name in self.classes))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Sequence[int] | npt.NDArray) -> Examples:
        """Some of the examples, by position or by a bool for each.

        Raises:
            InputError: no rows, or positions that are not there.
        """
        try:
            chosen = np.arange(len(self))[np.asarray(rows)].reshape(-1)
        except IndexError:
            raise InputError(
                f"rows {np.asarray(rows)} are not all among the {len(self)} examples; count from 0, or "
                "give a bool for each"
            ) from None
        texts = None if self.texts is None else tuple(self.texts[i] for i in chosen)
        return Examples(self.inputs[chosen], self.labels[chosen], self.classes, texts)

    def join(self, other: Examples) -> Examples:
        """These examples, then the other's.

        Raises:
            InputError: other classes, or inputs of another shape.
        """
        check_pair(self, other)
        texts = None
        if self.texts is not None and other.texts is not None:
            texts = self.texts + other.texts
        return Examples(
            np.concatenate([self.inputs, other.inputs]),
            np.concatenate([self.labels, other.labels]),
            self.classes,
            texts,
        )

    def name(self, i: int) -> str:
        """What an example is, shortly: its label, and the beginning of its text."""
        label = self.classes[self.labels[i]]
        if self.texts is None:
            return label
        text = self.texts[i]
        return f"{label}: {text if len(text) <= 60 else text[:57] + '...'}"

    @cached_property
    def fingerprint(self) -> str:
        """Hash of inputs, labels and classes."""
        digest = hashlib.sha256(repr((self.inputs.shape, self.inputs.dtype, self.classes)).encode())
        digest.update(np.ascontiguousarray(self.inputs).tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()


def check_pair(train: Examples, test: Examples) -> None:
    """Refuse training and test examples that do not go together.

    Raises:
        InputError: other classes, or inputs of another shape or kind.
    """
    if train.classes != test.classes:
        raise InputError(
            f"the classes differ: {len(train.classes)} ({', '.join(train.classes[:4])}, ...) and "
            f"{len(test.classes)} ({', '.join(test.classes[:4])}, ...); give both the same, in one order"
        )
    if train.inputs.shape[1:] != test.inputs.shape[1:] or train.inputs.dtype != test.inputs.dtype:
        raise InputError(
            f"inputs have shape {train.inputs.shape[1:]} ({train.inputs.dtype}) and "
            f"{test.inputs.shape[1:]} ({test.inputs.dtype}); prepare both alike"
        )
