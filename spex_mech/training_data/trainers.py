"""What trains: the `Trainer` protocol, plain functions, and scikit-learn estimators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32

from spex_mech.core.errors import InputError
from spex_mech.core.short_repr import short_repr
from spex_mech.training_data.examples import Examples

FLOOR = 1e-6  # the least probability of a class: scores must be finite


@runtime_checkable
class Trainer(Protocol):
    """Trains a model on each of several subsets, and says what each does on the test points.

    A subset's answer depends on the subset, the seed and the data only, not on the subsets beside it.
    """

    @property
    def key(self) -> Mapping[str, str]:
        """What decides the answers beside the data, field by field."""
        ...

    @property
    def at_once(self) -> int:
        """How many subsets are best given together."""
        ...

    def outputs(
        self, train: Examples, test: Examples, subsets: Bool[np.ndarray, "m N"], seed: int
    ) -> Float32[np.ndarray, "m t k"]:
        """Class scores (logits or log-probabilities) of every subset's model at every test point.

        Args:
            train: N training examples.
            test: t test points.
            subsets: bool (m, N), True = trained on; a subset may be empty or lack a class.
            seed: of the initial weights, the order of the data, and whatever else is drawn.

        Returns:
            float32 (m, t, k); NaN or infinite where a training diverged.
        """
        ...


@dataclass(frozen=True, eq=False)
class TrainFunction:
    """A function of a subset's rows and a seed as a trainer: ``function(rows, seed) -> (t, k)`` scores.

    Attributes:
        function: from int64 rows of the training set, in increasing order, and a seed to the class
            scores (t, k) at the test points.
        name: what guards the store: change it whenever the function's answers change.
    """

    function: Callable[[npt.NDArray[np.int64], int], npt.ArrayLike]
    name: str

    @property
    def key(self) -> Mapping[str, str]:
        """See `Trainer.key`."""
        return {"trainer": f"function {self.name}"}

    @property
    def at_once(self) -> int:
        """See `Trainer.at_once`."""
        return 1

    def outputs(
        self, train: Examples, test: Examples, subsets: Bool[np.ndarray, "m N"], seed: int
    ) -> Float32[np.ndarray, "m t k"]:
        """See `Trainer.outputs`.

        Raises:
            InputError: scores of another shape, or the function failed; says on which subset.
        """
        out = np.empty((len(subsets), len(test), len(train.classes)), dtype=np.float32)
        for j, subset in enumerate(subsets):
            rows = np.flatnonzero(subset)
            with _named(self.name, rows, seed):
                scores = np.asarray(self.function(rows, seed), dtype=np.float32)
            if scores.shape != out.shape[1:]:
                raise InputError(
                    f"{self.name} answered scores of shape {scores.shape}, expected {out.shape[1:]}: "
                    "(test points, classes)"
                )
            out[j] = scores
        return out


@short_repr
@dataclass(frozen=True, eq=False)
class SklearnTrainer:
    """A scikit-learn classifier, fitted anew on every subset.

    Scores are log-probabilities, at least log 1e-6, of estimators with ``predict_proba``; else the
    values of ``decision_function``. A class that a subset lacks has the least score (log 1e-6, or −1
    beside decision values). A subset of one class predicts that class; the empty one scores all
    classes alike.

    Attributes:
        estimator: a classifier or a pipeline; it is cloned, never fitted itself. Where it takes a
            ``random_state``, that is the seed.
        texts: fit on the examples' texts, for pipelines that begin with a vectoriser.

    Raises:
        InputError: an estimator with neither method.
    """

    estimator: Any
    texts: bool = False

    def __post_init__(self) -> None:
        if not (hasattr(self.estimator, "predict_proba") or self._decides):
            raise InputError(
                f"{type(self.estimator).__name__} has neither predict_proba nor decision_function; "
                "use a classifier that has one, such as LogisticRegression"
            )

    @property
    def key(self) -> Mapping[str, str]:
        """See `Trainer.key`."""
        import sklearn

        settings = {k: repr(v) for k, v in sorted(self.estimator.get_params().items())}
        kind = type(self.estimator)
        return {
            "trainer": f"{kind.__module__}.{kind.__qualname__} {settings} texts={self.texts}",
            "scikit-learn": sklearn.__version__,
        }

    @property
    def at_once(self) -> int:
        """See `Trainer.at_once`."""
        return 1

    def outputs(
        self, train: Examples, test: Examples, subsets: Bool[np.ndarray, "m N"], seed: int
    ) -> Float32[np.ndarray, "m t k"]:
        """See `Trainer.outputs`.

        Raises:
            InputError: ``texts`` where the examples have none, or the fit failed; says on which subset.
        """
        x, points = self._inputs(train), self._inputs(test)
        least = np.log(FLOOR) if hasattr(self.estimator, "predict_proba") else -1.0
        out = np.full((len(subsets), len(test), len(train.classes)), least, dtype=np.float32)
        for j, subset in enumerate(subsets):
            rows = np.flatnonzero(subset)
            labels = train.labels[rows]
            present = np.unique(labels)
            if len(present) < 2:
                out[j, :, present] = -least if self._decides_only else 0.0
                if not len(present):
                    out[j] = 0.0
                continue
            with _named(type(self.estimator).__name__, rows, seed):
                model = self._fresh(seed).fit(x[rows], labels)
                out[j][:, model.classes_] = self._scores(model, points)
        return out

    def _inputs(self, examples: Examples) -> npt.NDArray:
        if not self.texts:
            return examples.inputs.reshape(len(examples), -1)
        if examples.texts is None:
            raise InputError("texts=True needs examples with texts; give them, or set texts=False")
        return np.array(examples.texts, dtype=object)

    def _fresh(self, seed: int) -> Any:
        from sklearn.base import clone

        model: Any = clone(self.estimator)
        seeded = [name for name in model.get_params() if name.split("__")[-1] == "random_state"]
        return model.set_params(**dict.fromkeys(seeded, seed))

    def _scores(self, model: Any, points: npt.NDArray) -> npt.NDArray:
        if hasattr(model, "predict_proba"):
            return np.log(np.clip(model.predict_proba(points), FLOOR, 1.0))
        margins = model.decision_function(points)
        return np.stack([-margins, margins], axis=1) if margins.ndim == 1 else margins

    @property
    def _decides(self) -> bool:
        return hasattr(self.estimator, "decision_function")

    @property
    def _decides_only(self) -> bool:
        return self._decides and not hasattr(self.estimator, "predict_proba")


@contextmanager
def _named(step: str, rows: npt.NDArray[np.int64], seed: int) -> Iterator[None]:
    """Say which subset a failure is about; interruptions pass."""
    try:
        yield
    except Exception as error:
        first = f", first rows {rows[:6].tolist()}" if len(rows) else ""
        raise InputError(
            f"{step} failed on a subset of {len(rows)} examples{first}, seed {seed}: "
            f"{type(error).__name__}: {error}; make it take any subset, or use masks that keep more"
        ) from error
