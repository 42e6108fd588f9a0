"""Which sets a search may keep: a size, with limits, and with or without a rule for layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from spex_mech.core.errors import InputError
from spex_mech.core.limits import Limit
from spex_mech.evaluation.games import as_game
from spex_mech.pruning.layer_sets import LayerSets, SetRule
from spex_mech.pruning.moves import AllowedSets
from spex_mech.pruning.nearby import SetFunction

Limits: TypeAlias = Sequence[Limit | SetRule | LayerSets] | SetRule | LayerSets
"""Limits, of which one may be a rule for layers such as `servable`; or that rule alone."""


def allowed_sets(game: SetFunction, n: int, keep: int | None, limits: Limits) -> AllowedSets:
    """The sets of a size that limits, or a rule for layers with or without limits, allow.

    Args:
        game: the value function; a `SetRule` asks it for its players and model.
        n: number of players.
        keep: the size; None for any.
        limits: limits, of which one may be a rule for layers; or such a rule alone.

    Raises:
        InputError: a size that no set within the rule and the limits has, several rules, or a game without
            the model that a rule needs.
    """
    listed = [limits] if isinstance(limits, SetRule | LayerSets) else [*limits]
    rules = [limit for limit in listed if isinstance(limit, SetRule | LayerSets)]
    bounds = [limit for limit in listed if isinstance(limit, Limit)]
    if not rules:
        return AllowedSets(n, keep, tuple(bounds))
    if len(rules) > 1:
        raise InputError("limits= has two rules for layers; give one, such as sm.servable('gguf')")
    rule = _of_game(rules[0], game)
    if rule.n != n:
        raise InputError(
            f"the rule is of {rule.n} players, the spectrum has {n}; use the same players"
        )
    rule = rule.within(bounds)
    if keep is not None:
        rule.check_size(keep)
    return AllowedSets(n, keep, (), rule)


def _of_game(rule: SetRule | LayerSets, game: SetFunction) -> LayerSets:
    if isinstance(rule, LayerSets):
        return rule
    model, players = getattr(game, "model", None), as_game(game).players
    if model is None or players is None:
        raise InputError(
            "the game has no model, which says what its layers are; give the rule with them: "
            "limits=sm.servable(form).of(players, model)"
        )
    return rule.of(players, model)
