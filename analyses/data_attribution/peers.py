"""Attribution by gradients, through dattri (extra ``peers``): TRAK and influence functions.

dattri: Deng et al. 2024 (arXiv 2410.04555). Both answer a number for each training example and test point,
positive = helps, whose scale means nothing: compare them by `datamodelling_scores`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

from spex_mech.core.errors import InputError
from spex_mech.training_data.examples import Examples
from spex_mech.training_data.torch.trainer import TorchTrainer
from spex_mech.training_data.torch.training import logits_of


def trak_scores(
    trainer: TorchTrainer,
    train: Examples,
    test: Examples,
    *,
    models: int = 10,
    keep: float = 0.5,
    dimension: int = 512,
    regularization: float = 1e-3,
    seed: int,
) -> Float64[np.ndarray, "t N"]:
    """TRAK (Park et al. 2023, arXiv 2303.14186) by dattri, averaged over models of random subsets.

    Args:
        trainer: trains the models, with seeds ``seed``, ``seed + 1``, ...
        train: N training examples.
        test: t test points.
        models: how many models to average.
        keep: share of the examples that each model is trained on; 1 for all.
        dimension: of the random projection of the gradients.
        regularization: added to the diagonal of their second moments.
        seed: of subsets, trainings and projections.

    Raises:
        InputError: dattri is not installed, or a share outside (0, 1].
    """
    dattri = _dattri()
    module, checkpoints = _checkpoints(trainer, train, models, keep, seed)

    def odds(weights: dict[str, Tensor], pair: tuple[Tensor, Tensor]) -> Tensor:
        logits, label = _logits(module, weights, pair)
        return _log_odds(logits, label)

    def probability(weights: dict[str, Tensor], pair: tuple[Tensor, Tensor]) -> Tensor:
        logits, label = _logits(module, weights, pair)
        return (torch.softmax(logits, dim=0) * _at(logits, label)).sum()

    task = dattri.task.AttributionTask(odds, module, checkpoints)
    attributor = dattri.algorithm.TRAKAttributor(
        task,
        correct_probability_func=probability,
        projector_kwargs={"proj_dim": dimension, "proj_seed": seed, "device": "cpu"},
        regularization=regularization,
    )
    attributor.cache(_loader(train))
    with torch.no_grad():
        return attributor.attribute(_loader(test)).T.double().numpy()


def influence_scores(
    trainer: TorchTrainer,
    train: Examples,
    test: Examples,
    *,
    models: int = 1,
    damping: float = 1e-2,
    iterations: int = 20,
    seed: int,
) -> Float64[np.ndarray, "t N"]:
    """Influence functions (Koh and Liang 2017) by dattri's conjugate gradients, on models of all examples.

    Args:
        trainer: trains the models, with seeds ``seed``, ``seed + 1``, ...
        train: N training examples.
        test: t test points, whose log-odds of the right class are attributed.
        models: how many models to average.
        damping: added to the diagonal of the Hessian.
        iterations: of the conjugate gradients.
        seed: of the trainings.

    Raises:
        InputError: dattri is not installed.
    """
    dattri = _dattri()
    module, checkpoints = _checkpoints(trainer, train, models, 1.0, seed)

    def loss(weights: dict[str, Tensor], pair: tuple[Tensor, Tensor]) -> Tensor:
        inputs, labels = pair
        if labels.ndim == 0:
            inputs, labels = inputs[None], labels[None]
        logits = logits_of(functional_call(module, weights, (inputs,)))
        return nn.functional.cross_entropy(logits, labels)

    def against(weights: dict[str, Tensor], pair: tuple[Tensor, Tensor]) -> Tensor:
        logits, label = _logits(module, weights, pair)
        return -_log_odds(logits, label)

    task = dattri.task.AttributionTask(loss, module, checkpoints, target_func=against)
    attributor = dattri.algorithm.IFAttributorCG(
        task, max_iter=iterations, regularization=damping, mode="rev-rev"
    )
    attributor.cache(_loader(train))
    with torch.no_grad():
        return attributor.attribute(_loader(train), _loader(test)).T.double().numpy()


def _dattri() -> Any:
    try:
        import dattri.algorithm  # pyright: ignore[reportMissingImports]
        import dattri.task  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            f"this needs the package dattri, which cannot be imported ({error}); install it with "
            "pip install 'spex_mech[peers]'"
        ) from error
    return dattri


def _checkpoints(
    trainer: TorchTrainer, train: Examples, models: int, keep: float, seed: int
) -> tuple[nn.Module, list[dict[str, Tensor]]]:
    """The module, and the weights of models trained on random shares of the examples."""
    if models < 1 or not 0 < keep <= 1:
        raise InputError(
            f"models is {models} and keep {keep}; expected 1 or more, and a share in (0, 1]"
        )
    rng = np.random.default_rng(seed)
    size = max(1, round(keep * len(train)))
    found = []
    for k in range(models):
        chosen = np.zeros((1, len(train)), dtype=bool)
        chosen[0, rng.permutation(len(train))[:size]] = True
        weights = trainer.weights(train, chosen, seed + k)
        state = trainer.initial(seed + k).cpu().state_dict()
        found.append({**state, **{name: value[0] for name, value in weights.items()}})
    return trainer.initial(seed).cpu().eval(), found


def _loader(examples: Examples) -> DataLoader:
    data = TensorDataset(torch.from_numpy(examples.inputs), torch.from_numpy(examples.labels))
    return DataLoader(data, batch_size=len(examples), shuffle=False)


def _logits(
    module: nn.Module, weights: dict[str, Tensor], pair: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Logits (k,) of one example, and its label; dattri gives it alone, or as a batch of one."""
    inputs, label = pair
    if label.ndim == 0:
        inputs = inputs[None]
    return logits_of(functional_call(module, weights, (inputs,)))[0], label.reshape(())


def _log_odds(logits: Tensor, label: Tensor) -> Tensor:
    """Log p / (1 − p) of the right class."""
    right = _at(logits, label)
    others = logits.masked_fill(right, -torch.inf)
    return (logits * right).sum() - torch.logsumexp(others, dim=0)


def _at(logits: Tensor, label: Tensor) -> Tensor:
    """True at the right class."""
    return torch.arange(len(logits), device=logits.device) == label
