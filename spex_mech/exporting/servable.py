"""`servable`: pruning to sets of players that a form of compact export can hold."""

from __future__ import annotations

from dataclasses import dataclass

from spex_mech.core.errors import InputError
from spex_mech.core.layer_rules import layer_rule
from spex_mech.core.players import PlayerSet
from spex_mech.exporting.compact import check_cuttable, width_fault
from spex_mech.exporting.cuts import LayerCut
from spex_mech.exporting.forms.choice import FORMS
from spex_mech.models.model import Model
from spex_mech.pruning.layer_sets import LayerSets


def servable(form: str) -> ServableSets:
    """Sets of players that a form of compact export can hold: ``limits=`` of `prune` and `prune_curve`.

    Within a layer all key/value heads keep equally many query heads. For ``laguna`` all layers keep equally
    many key/value heads, and for ``family`` equally many query heads as well. See `export`.

    Args:
        form: ``family``, ``laguna`` or ``gguf``.

    Raises:
        InputError: another form; ``own`` holds any set.
    """
    layer_rule(form)
    return ServableSets(form)


@dataclass(frozen=True)
class ServableSets:
    """The sets that a form can hold, of players and a model that are still to be named.

    Attributes:
        form: the form.
    """

    form: str

    def of(self, players: PlayerSet, model: Model) -> LayerSets:
        """The sets of these players of a model that the form can hold.

        Raises:
            InputError: a model that no mask fits to the form, or players that are not its own.
        """
        check_cuttable(model.hf)
        fault = _obstacle(self.form, model)
        if fault is not None:
            raise InputError(f"form={self.form!r} can hold no set of this model: {fault}")
        shape, rule = model.shape, layer_rule(self.form)
        shapes = None
        if rule.same_heads:
            shapes = _shapes_of_config(model, shape.n_heads // shape.n_kv_heads)
        return LayerSets.of_players(players, shape, rule, self.form, shapes)


def loosest_form(model: Model) -> tuple[str | None, dict[str, str]]:
    """The stock form that binds the layers least, among those that can hold sets of a model.

    ``family``, which can hold some sets of most models, binds most and is never the answer.

    Args:
        model: the model to prune.

    Returns:
        ``gguf``, ``laguna`` or None; and why each of the forms before it cannot be.

    Raises:
        InputError: a model that no compact export can be made of.
    """
    check_cuttable(model.hf)
    refused: dict[str, str] = {}
    for form in ("gguf", "laguna"):
        fault = _obstacle(form, model)
        if fault is None:
            return form, refused
        refused[form] = fault
    return None, refused


def _obstacle(form: str, model: Model) -> str | None:
    """Why a form can hold no set of a model, not even all of it; None if it can."""
    shape = model.shape
    size = shape.n_heads // shape.n_kv_heads
    full = [
        LayerCut(layer, tuple(range(shape.n_heads)), size, bias=False, mlp=True)
        for layer in range(shape.n_layers)
    ]
    return FORMS[form].obstacle(model, full)


def _shapes_of_config(model: Model, size: int) -> frozenset[tuple[int, int]]:
    """Numbers of key/value heads, and of query heads on each, that the model's own config can have."""
    shapes = set()
    for groups in range(1, model.shape.n_kv_heads + 1):
        for heads in range(1, size + 1):
            kept = tuple(g * size + h for g in range(groups) for h in range(heads))
            cut = LayerCut(0, kept, size, bias=False, mlp=True)
            if width_fault(model.hf, cut) is None:
                shapes.add((groups, heads))
    return frozenset(shapes)
