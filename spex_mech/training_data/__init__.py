"""Training examples as players: a mask is a training subset, the value is what the retrained model does.

In: training and test `Examples` (examples), and a `Trainer` (trainers): scikit-learn, a function, or the
package `torch`, which trains many subsets at once. Out: a `TrainingGame` (game) for `evaluate`;
`attribute` (attributions) decodes every test point from one set of trainings; `select` (selection)
chooses what to train on; `TrainedModels` (trained) makes a joint game of training examples and what a
trained model's game has as players. Names are imported when first used; only networks need torch.

    >>> from spex_mech import training_data as td
    >>> train, test = td.digits(100, 20, seed=0)
    >>> td.by_class(train).players.n
    10

A new trainer is a class with the three members of `Trainer`, in a file of its own; a new way of grouping
examples into players is a function in `players`, with its name in ``_HOME`` below.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spex_mech.training_data.attributions import Attributions as Attributions
    from spex_mech.training_data.attributions import Joint as Joint
    from spex_mech.training_data.attributions import attribute as attribute
    from spex_mech.training_data.embedded import digits as digits
    from spex_mech.training_data.embedded import review_words as review_words
    from spex_mech.training_data.embedded import reviews as reviews
    from spex_mech.training_data.examples import Examples as Examples
    from spex_mech.training_data.figures import joint_figure as joint_figure
    from spex_mech.training_data.figures import selection_figure as selection_figure
    from spex_mech.training_data.game import TrainingGame as TrainingGame
    from spex_mech.training_data.loading import load_examples as load_examples
    from spex_mech.training_data.networks import group_norms as group_norms
    from spex_mech.training_data.networks import hugging_face_resnet as hugging_face_resnet
    from spex_mech.training_data.networks import multilayer as multilayer
    from spex_mech.training_data.networks import resnet9 as resnet9
    from spex_mech.training_data.networks import text_classifier as text_classifier
    from spex_mech.training_data.players import Coalitions as Coalitions
    from spex_mech.training_data.players import by_class as by_class
    from spex_mech.training_data.players import by_cluster as by_cluster
    from spex_mech.training_data.players import by_example as by_example
    from spex_mech.training_data.players import by_group as by_group
    from spex_mech.training_data.scores import additive as additive
    from spex_mech.training_data.scores import datamodelling_scores as datamodelling_scores
    from spex_mech.training_data.scores import leave_one_out as leave_one_out
    from spex_mech.training_data.selection import at_random as at_random
    from spex_mech.training_data.selection import by_loss as by_loss
    from spex_mech.training_data.selection import class_limits as class_limits
    from spex_mech.training_data.selection import first_order as first_order
    from spex_mech.training_data.selection import herding as herding
    from spex_mech.training_data.selection import k_centre as k_centre
    from spex_mech.training_data.selection import own_losses as own_losses
    from spex_mech.training_data.selection import select as select
    from spex_mech.training_data.torch.recipe import Recipe as Recipe
    from spex_mech.training_data.torch.trainer import TorchTrainer as TorchTrainer
    from spex_mech.training_data.trained import TrainedModels as TrainedModels
    from spex_mech.training_data.trainers import SklearnTrainer as SklearnTrainer
    from spex_mech.training_data.trainers import Trainer as Trainer
    from spex_mech.training_data.trainers import TrainFunction as TrainFunction
    from spex_mech.training_data.trainings import SeedNoise as SeedNoise
    from spex_mech.training_data.trainings import Trainings as Trainings
    from spex_mech.training_data.trainings import load_trainings as load_trainings
    from spex_mech.training_data.trainings import seed_noise as seed_noise
    from spex_mech.training_data.vocabulary import Vocabulary as Vocabulary

_HOME = {
    "Attributions": "attributions",
    "Coalitions": "players",
    "Examples": "examples",
    "Joint": "attributions",
    "Recipe": "torch.recipe",
    "SeedNoise": "trainings",
    "SklearnTrainer": "trainers",
    "TorchTrainer": "torch.trainer",
    "TrainFunction": "trainers",
    "TrainedModels": "trained",
    "Trainer": "trainers",
    "TrainingGame": "game",
    "Trainings": "trainings",
    "Vocabulary": "vocabulary",
    "additive": "scores",
    "at_random": "selection",
    "attribute": "attributions",
    "by_class": "players",
    "by_cluster": "players",
    "by_example": "players",
    "by_group": "players",
    "by_loss": "selection",
    "class_limits": "selection",
    "datamodelling_scores": "scores",
    "digits": "embedded",
    "first_order": "selection",
    "group_norms": "networks",
    "herding": "selection",
    "hugging_face_resnet": "networks",
    "joint_figure": "figures",
    "k_centre": "selection",
    "leave_one_out": "scores",
    "load_examples": "loading",
    "load_trainings": "trainings",
    "multilayer": "networks",
    "own_losses": "selection",
    "resnet9": "networks",
    "review_words": "embedded",
    "reviews": "embedded",
    "seed_noise": "trainings",
    "select": "selection",
    "selection_figure": "figures",
    "text_classifier": "networks",
}

__all__ = sorted(_HOME)


if not TYPE_CHECKING:  # a type checker knows the imports above

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'spex_mech.training_data' has no attribute {name!r}")
        return getattr(import_module(f"spex_mech.training_data.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
