"""spex_mech: find the few interactions inside a large model that matter, with few ablations.

Names are imported when first used, so that ``import spex_mech`` needs neither torch nor matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spex_mech import designs as designs
    from spex_mech import features as features
    from spex_mech import training_data as training_data
    from spex_mech.calibration import calibrate as calibrate
    from spex_mech.cards import load_game as load_game
    from spex_mech.cards import load_task as load_task
    from spex_mech.cards import task_names as task_names
    from spex_mech.circuits import Circuit as Circuit
    from spex_mech.circuits import circuit as circuit
    from spex_mech.curves import PruningCurve as PruningCurve
    from spex_mech.curves import keep_rates as keep_rates
    from spex_mech.curves import prune_curve as prune_curve
    from spex_mech.curves import smallest as smallest
    from spex_mech.decoders import decode as decode
    from spex_mech.designs import MaskDesign as MaskDesign
    from spex_mech.evaluation import Run as Run
    from spex_mech.evaluation import evaluate as evaluate
    from spex_mech.exporting import compact_model as compact_model
    from spex_mech.exporting import export as export
    from spex_mech.feature_runs import explain_features as explain_features
    from spex_mech.footprint import footprints as footprints
    from spex_mech.indices import Interactions as Interactions
    from spex_mech.indices import interactions as interactions
    from spex_mech.limits import Limit as Limit
    from spex_mech.limits import kv_groups as kv_groups
    from spex_mech.limits import per_layer as per_layer
    from spex_mech.metrics import faithfulness as faithfulness
    from spex_mech.model_card import Card as Card
    from spex_mech.models import Model as Model
    from spex_mech.models import load_model as load_model
    from spex_mech.noise import accuracy_noise as accuracy_noise
    from spex_mech.noise import task_noise as task_noise
    from spex_mech.parameter_counts import parameter_limit as parameter_limit
    from spex_mech.players import PlayerSet as PlayerSet
    from spex_mech.players import select_players as select_players
    from spex_mech.pruning import prune as prune
    from spex_mech.recovery import recover as recover
    from spex_mech.resplitting import resplit as resplit
    from spex_mech.rounds import Explanation as Explanation
    from spex_mech.rounds import explain as explain
    from spex_mech.size_choice import choose_size as choose_size
    from spex_mech.spectrum import Spectrum as Spectrum
    from spex_mech.stored_run import StoredRun as StoredRun
    from spex_mech.stored_run import open_run as open_run
    from spex_mech.task import TokenTask as TokenTask
    from spex_mech.task_game import TaskGame as TaskGame
    from spex_mech.transform import exact_spectrum as exact_spectrum

_HOME = {
    "Card": "model_card",
    "Circuit": "circuits",
    "Explanation": "rounds",
    "InputError": "errors",
    "Interactions": "indices",
    "Limit": "limits",
    "MaskDesign": "designs",
    "Model": "models",
    "PlayerSet": "players",
    "PruningCurve": "curves",
    "Run": "evaluation",
    "Spectrum": "spectrum",
    "StoredRun": "stored_run",
    "TaskGame": "task_game",
    "TokenTask": "task",
    "accuracy_noise": "noise",
    "calibrate": "calibration",
    "choose_size": "size_choice",
    "circuit": "circuits",
    "compact_model": "exporting",
    "decode": "decoders",
    "evaluate": "evaluation",
    "exact_spectrum": "transform",
    "explain": "rounds",
    "explain_features": "feature_runs",
    "export": "exporting",
    "faithfulness": "metrics",
    "footprints": "footprint",
    "interactions": "indices",
    "keep_rates": "curves",
    "kv_groups": "limits",
    "load_game": "cards",
    "load_model": "models",
    "load_task": "cards",
    "open_run": "stored_run",
    "parameter_limit": "parameter_counts",
    "per_layer": "limits",
    "prune": "pruning",
    "prune_curve": "curves",
    "recover": "recovery",
    "resplit": "resplitting",
    "select_players": "players",
    "smallest": "curves",
    "task_names": "cards",
    "task_noise": "noise",
}

_PACKAGES = ("designs", "features", "training_data")

__all__ = ["designs", "features", "training_data", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"spex_mech.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'spex_mech' has no attribute {name!r}")
    return getattr(import_module(f"spex_mech.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
