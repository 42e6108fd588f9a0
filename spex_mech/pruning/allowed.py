"""Which sets a search may keep: a size, with limits or with a rule for layers."""

from __future__ import annotations

from collections.abc import Sequence

from spex_mech.core.errors import InputError
from spex_mech.core.limits import Limit
from spex_mech.evaluation.games import as_game
from spex_mech.pruning.layer_sets import LayerSets, SetRule
from spex_mech.pruning.moves import AllowedSets
from spex_mech.pruning.nearby import SetFunction


def allowed_sets(
    game: SetFunction, n: int, keep: int | None, limits: Sequence[Limit] | SetRule | LayerSets
) -> AllowedSets:
    """The sets of a size that limits, or a rule for layers, allow.

    Raises:
        InputError: a size that no set within the rule has, or a game without the model that a rule needs.
    """
    if not isinstance(limits, (SetRule, LayerSets)):
        return AllowedSets(n, keep, tuple(limits))
    if isinstance(limits, LayerSets):
        rule = limits
    else:
        model, players = getattr(game, "model", None), as_game(game).players
        if model is None or players is None:
            raise InputError(
                "the game has no model, which says what its layers are; give the rule with them: "
                "limits=sm.servable(form).of(players, model)"
            )
        rule = limits.of(players, model)
    if keep is None:
        raise InputError(
            "limits=sm.servable(...) says nothing of the size; give keep= to prune, or "
            "keeps= to prune_curve"
        )
    if rule.n != n:
        raise InputError(
            f"the rule is of {rule.n} players, the spectrum has {n}; use the same players"
        )
    rule.check_size(keep)
    return AllowedSets(n, keep, (), rule)
