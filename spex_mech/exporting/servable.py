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
        shape = model.shape
        size = shape.n_heads // shape.n_kv_heads
        full = [
            LayerCut(layer, tuple(range(shape.n_heads)), size, bias=False, mlp=True)
            for layer in range(shape.n_layers)
        ]
        fault = FORMS[self.form].obstacle(model, full)
        if fault is not None:
            raise InputError(f"form={self.form!r} can hold no set of this model: {fault}")
        rule = layer_rule(self.form)
        shapes = _shapes_of_config(model, size) if rule.same_heads else None
        return LayerSets.of_players(players, shape, rule, self.form, shapes)


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
