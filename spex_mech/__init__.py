"""spex_mech: find the few interactions inside a large model that matter, with few ablations.

Names are imported when first used, so that ``import spex_mech`` needs neither torch nor matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spex_mech import designs as designs
    from spex_mech import features as features
    from spex_mech import training_data as training_data
    from spex_mech.ablation.attention import attention_patterns as attention_patterns
    from spex_mech.ablation.constant_fit import fit_constants as fit_constants
    from spex_mech.ablation.constants import Constants as Constants
    from spex_mech.ablation.game import TaskGame as TaskGame
    from spex_mech.ablation.gate_gradients import gate_gradients as gate_gradients
    from spex_mech.core.attention import AttentionPattern as AttentionPattern
    from spex_mech.core.errors import InputError as InputError
    from spex_mech.core.faithfulness import faithfulness as faithfulness
    from spex_mech.core.interactions import Interactions as Interactions
    from spex_mech.core.interactions import interactions as interactions
    from spex_mech.core.joint import JointGame as JointGame
    from spex_mech.core.joint import joint as joint
    from spex_mech.core.limits import Limit as Limit
    from spex_mech.core.limits import kv_groups as kv_groups
    from spex_mech.core.limits import per_layer as per_layer
    from spex_mech.core.players import PlayerSet as PlayerSet
    from spex_mech.core.players import select_players as select_players
    from spex_mech.core.spectrum import Spectrum as Spectrum
    from spex_mech.core.transform import exact_spectrum as exact_spectrum
    from spex_mech.decoders.decode import decode as decode
    from spex_mech.decoders.explain import Explanation as Explanation
    from spex_mech.decoders.explain import explain as explain
    from spex_mech.decoders.shapiq import shapiq_approximator as shapiq_approximator
    from spex_mech.designs import MaskDesign as MaskDesign
    from spex_mech.evaluation.evaluate import evaluate as evaluate
    from spex_mech.evaluation.evaluated import Run as Run
    from spex_mech.evaluation.executors import LocalExecutor as LocalExecutor
    from spex_mech.evaluation.executors import RayExecutor as RayExecutor
    from spex_mech.evaluation.keep_rates import KeepRates as KeepRates
    from spex_mech.evaluation.keep_rates import find_keep_rates as find_keep_rates
    from spex_mech.evaluation.stored_run import StoredRun as StoredRun
    from spex_mech.evaluation.stored_run import open_run as open_run
    from spex_mech.exporting.export import compact_model as compact_model
    from spex_mech.exporting.export import export as export
    from spex_mech.exporting.export import export_forms as export_forms
    from spex_mech.exporting.footprint import footprints as footprints
    from spex_mech.exporting.model_card import Card as Card
    from spex_mech.exporting.parameters import parameter_limit as parameter_limit
    from spex_mech.exporting.recovery import recover as recover
    from spex_mech.exporting.servable import servable as servable
    from spex_mech.models.loading import load_model as load_model
    from spex_mech.models.model import Model as Model
    from spex_mech.models.registering import register_compact as register_compact
    from spex_mech.models.saving import save_model as save_model
    from spex_mech.pruning.alternatives import AlternativeCircuits as AlternativeCircuits
    from spex_mech.pruning.alternatives import alternative_circuits as alternative_circuits
    from spex_mech.pruning.circuit import Circuit as Circuit
    from spex_mech.pruning.circuit import circuit as circuit
    from spex_mech.pruning.circuit_curve import CircuitCurve as CircuitCurve
    from spex_mech.pruning.circuit_curve import circuit_curve as circuit_curve
    from spex_mech.pruning.curve import PruningCurve as PruningCurve
    from spex_mech.pruning.curve import keep_rates as keep_rates
    from spex_mech.pruning.curve import prune_curve as prune_curve
    from spex_mech.pruning.prune import prune as prune
    from spex_mech.pruning.size import choose_size as choose_size
    from spex_mech.pruning.smallest import smallest as smallest
    from spex_mech.pruning.under import AblatedGame as AblatedGame
    from spex_mech.pruning.under import under_ablations as under_ablations
    from spex_mech.report.page import write_report as write_report
    from spex_mech.run.explain_features import explain_features as explain_features
    from spex_mech.run.plan import task_noise as task_noise
    from spex_mech.run.specialise import specialise as specialise
    from spex_mech.tasks.calibration import calibrate as calibrate
    from spex_mech.tasks.cards import load_game as load_game
    from spex_mech.tasks.cards import load_task as load_task
    from spex_mech.tasks.cards import task_names as task_names
    from spex_mech.tasks.noise import accuracy_noise as accuracy_noise
    from spex_mech.tasks.splits import resplit as resplit
    from spex_mech.tasks.task import TokenTask as TokenTask

_HOME = {
    "AblatedGame": "pruning.under",
    "AlternativeCircuits": "pruning.alternatives",
    "AttentionPattern": "core.attention",
    "Card": "exporting.model_card",
    "Circuit": "pruning.circuit",
    "CircuitCurve": "pruning.circuit_curve",
    "Constants": "ablation.constants",
    "Explanation": "decoders.explain",
    "InputError": "core.errors",
    "Interactions": "core.interactions",
    "JointGame": "core.joint",
    "KeepRates": "evaluation.keep_rates",
    "Limit": "core.limits",
    "LocalExecutor": "evaluation.executors",
    "MaskDesign": "designs",
    "Model": "models.model",
    "PlayerSet": "core.players",
    "PruningCurve": "pruning.curve",
    "RayExecutor": "evaluation.executors",
    "Run": "evaluation.evaluated",
    "Spectrum": "core.spectrum",
    "StoredRun": "evaluation.stored_run",
    "TaskGame": "ablation.game",
    "TokenTask": "tasks.task",
    "accuracy_noise": "tasks.noise",
    "alternative_circuits": "pruning.alternatives",
    "attention_patterns": "ablation.attention",
    "calibrate": "tasks.calibration",
    "choose_size": "pruning.size",
    "circuit": "pruning.circuit",
    "circuit_curve": "pruning.circuit_curve",
    "compact_model": "exporting.export",
    "decode": "decoders.decode",
    "evaluate": "evaluation.evaluate",
    "exact_spectrum": "core.transform",
    "explain": "decoders.explain",
    "explain_features": "run.explain_features",
    "export": "exporting.export",
    "export_forms": "exporting.export",
    "faithfulness": "core.faithfulness",
    "fit_constants": "ablation.constant_fit",
    "find_keep_rates": "evaluation.keep_rates",
    "footprints": "exporting.footprint",
    "gate_gradients": "ablation.gate_gradients",
    "interactions": "core.interactions",
    "joint": "core.joint",
    "keep_rates": "pruning.curve",
    "kv_groups": "core.limits",
    "load_game": "tasks.cards",
    "load_model": "models.loading",
    "load_task": "tasks.cards",
    "open_run": "evaluation.stored_run",
    "parameter_limit": "exporting.parameters",
    "per_layer": "core.limits",
    "prune": "pruning.prune",
    "prune_curve": "pruning.curve",
    "recover": "exporting.recovery",
    "register_compact": "models.registering",
    "resplit": "tasks.splits",
    "save_model": "models.saving",
    "select_players": "core.players",
    "servable": "exporting.servable",
    "shapiq_approximator": "decoders.shapiq",
    "smallest": "pruning.smallest",
    "specialise": "run.specialise",
    "task_names": "tasks.cards",
    "task_noise": "run.plan",
    "under_ablations": "pruning.under",
    "write_report": "report.page",
}

_PACKAGES = ("designs", "features", "training_data")

__all__ = ["designs", "features", "training_data", *sorted(_HOME)]


if (
    not TYPE_CHECKING
):  # a type checker knows the imports above, and then sees a name that is not there

    def __getattr__(name: str) -> Any:
        if name in _PACKAGES:
            return import_module(f"spex_mech.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'spex_mech' has no attribute {name!r}")
        return getattr(import_module(f"spex_mech.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
