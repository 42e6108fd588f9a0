"""Which training examples to keep under a budget: baselines, and the pruning of a decoded game.

Every function answers a mask: bool (N,), True = kept, of exactly ``keep`` examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.limits import Limit
from spex_mech.core.spectrum import Spectrum
from spex_mech.pruning.prune import Pruned, prune, ranked
from spex_mech.training_data.game import TrainingGame

Mask = Bool[np.ndarray, " N"]


def select(
    game: TrainingGame,
    spectrum: Spectrum,
    *,
    keep: int,
    validate: int = 0,
    limits: Sequence[Limit] = (),
    terms: int = 300,
    seed: int = 0,
) -> Pruned:
    """The ``keep`` players that are worth most together: synergies count, redundancies are dropped.

    `sm.prune` on the spectrum's largest terms. With hundreds of players its candidates are ranked by
    the terms as well: the decoder's full model would be asked about a hundred thousand masks.

    Args:
        game: its players are selected; its test points are the validation points of the selection.
        spectrum: decoded from trainings at about this budget (a design with ``keep_rate``).
        keep: how many players to keep.
        validate: retrainings to spend on checking and improving candidates.
        limits: see `sm.prune`; `class_limits` bounds each class.
        terms: how many of the largest terms to search on.
        seed: of the random starts.

    Raises:
        InputError: what `sm.prune` refuses.
    """
    largest = spectrum.truncate(terms)
    return prune(game, largest, keep=keep, validate=validate, limits=limits, seed=seed)


def class_limits(classes: Sequence[str], most: int) -> list[Limit]:
    """At most ``most`` kept players of each class, for `select`."""
    names = np.array(classes)
    return [
        Limit((names == name).astype(np.float64), most, f"examples of class {name}")
        for name in np.unique(names)
    ]


def first_order(spectrum: Spectrum, keep: int) -> Mask:
    """The examples of largest first-order weight, as a linear datamodel (Ilyas et al. 2022) selects."""
    _check(keep, spectrum.n)
    return ranked(np.array([-spectrum[(i,)] for i in range(spectrum.n)]), keep)


def at_random(count: int, keep: int, *, seed: int) -> Mask:
    """A random choice."""
    _check(keep, count)
    mask = np.zeros(count, dtype=bool)
    mask[np.random.default_rng(seed).permutation(count)[:keep]] = True
    return mask


def herding(features: npt.ArrayLike, keep: int, *, labels: npt.ArrayLike | None = None) -> Mask:
    """Herding (Welling 2009): examples whose running mean stays nearest to the mean of all.

    Args:
        features: float (N, ...), flattened.
        keep: how many to keep.
        labels: int (N,): herd each class on its own, with its share of ``keep``; None for all at once.
    """
    return _by_class(features, keep, labels, _herd)


def k_centre(features: npt.ArrayLike, keep: int, *, labels: npt.ArrayLike | None = None) -> Mask:
    """Greedy k-centre (Gonzalez 1985; Sener and Savarese 2018): next is what is farthest from the kept.

    It begins with the example nearest to the mean.

    Args:
        features: float (N, ...), flattened.
        keep: how many to keep.
        labels: int (N,): cover each class on its own, with its share of ``keep``; None for all at once.
    """
    return _by_class(features, keep, labels, _cover)


def by_loss(losses: npt.ArrayLike, keep: int, *, hardest: bool = True) -> Mask:
    """The examples of highest (or lowest) loss under a model of all of them.

    Args:
        losses: float (N,), such as `own_losses`.
        keep: how many to keep.
        hardest: keep the highest losses; else the lowest.
    """
    loss = np.asarray(losses, dtype=np.float64)
    _check(keep, len(loss))
    return ranked(loss if hardest else -loss, keep)


def own_losses(game: TrainingGame) -> Float64[np.ndarray, " N"]:
    """Cross-entropy of every training example under the models trained on all of them."""
    on_itself = TrainingGame(
        game.trainer, game.train, game.train, game.coalitions, seeds=game.seeds
    )
    scores = on_itself.scores(np.ones((1, on_itself.players.n), dtype=bool))
    return -on_itself.per_point(scores, value="loss")[0]


def _by_class(features: npt.ArrayLike, keep: int, labels: npt.ArrayLike | None, choose) -> Mask:
    x = np.asarray(features, dtype=np.float64)
    x = x.reshape(len(x), -1)
    _check(keep, len(x))
    groups = np.zeros(len(x), dtype=int) if labels is None else np.asarray(labels)
    if groups.shape != (len(x),):
        raise InputError(f"labels have shape {groups.shape}, expected one for each of {len(x)}")
    mask = np.zeros(len(x), dtype=bool)
    for label, share in _shares(groups, keep).items():
        rows = np.flatnonzero(groups == label)
        mask[rows[choose(x[rows], share)]] = True
    return mask


def _shares(groups: Int64[np.ndarray, " N"], keep: int) -> dict[int, int]:
    """``keep`` shared in proportion, the largest remainders rounded up."""
    names, counts = np.unique(groups, return_counts=True)
    exact = keep * counts / counts.sum()
    share = np.floor(exact).astype(int)
    order = np.argsort(share - exact, kind="stable")
    share[order[: keep - share.sum()]] += 1
    return dict(zip(names.tolist(), share.tolist(), strict=True))


def _herd(x: Float64[np.ndarray, "N d"], keep: int) -> list[int]:
    target, total, chosen = x.mean(axis=0), np.zeros(x.shape[1]), []
    for k in range(keep):
        distance = (((total + x) / (k + 1) - target) ** 2).sum(axis=1)
        distance[chosen] = np.inf
        chosen.append(int(distance.argmin()))
        total += x[chosen[-1]]
    return chosen


def _cover(x: Float64[np.ndarray, "N d"], keep: int) -> list[int]:
    chosen: list[int] = []
    nearest = -((x - x.mean(axis=0)) ** 2).sum(axis=1)
    for k in range(keep):
        chosen.append(int(nearest.argmax()))
        distance = ((x - x[chosen[-1]]) ** 2).sum(axis=1)
        nearest = distance if k == 0 else np.minimum(nearest, distance)
        nearest[chosen] = -1.0
    return chosen


def _check(keep: int, count: int) -> None:
    if not 1 <= keep <= count:
        raise InputError(f"keep is {keep}, expected 1 to {count}, the number of players")
