"""Ways of choosing against brute force on small games, and against their own budgets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.linear_model import Lasso

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.core.limits import Limit
from spex_mech.core.masks import all_masks
from spex_mech.core.players import PlayerSet
from spex_mech.designs import MaskDesign
from spex_mech.pruning import methods
from spex_mech.pruning.compare import METHODS, choose_all
from spex_mech.pruning.methods import Metered, Problem, Remembered
from spex_mech.pruning.methods.spectrum import spread_design
from spex_mech.pruning.methods.stratified import balanced_knock_outs
from spex_mech.pruning.prune import OURS

TORCH_FREE = {
    name: method
    for name, method in METHODS.items()
    if name
    not in (
        "taylor",
        "attribution patching",
        "integrated gradients",
        "gradient search",
        "attention entropy",
        "output norm",
    )
}
INFORMED = {name: method for name, method in TORCH_FREE.items() if name != "random"}


class Counted:
    """A game of named players that counts the rows it is asked for."""

    fingerprint = "counted"

    def __init__(self, n: int, value) -> None:
        self.players = PlayerSet.from_names(f"p{i}" for i in range(n))
        self.value, self.rows = value, 0

    def __call__(self, masks):
        self.rows += len(masks)
        return np.asarray(self.value(masks), dtype=np.float64)


def additive(n: int, seed: int = 0) -> tuple[Counted, np.ndarray]:
    weights = np.random.default_rng(seed).permutation(np.arange(1.0, n + 1)) - n / 4
    return Counted(n, lambda masks: masks @ weights), weights


def pairs(n: int, seed: int) -> Counted:
    """A game in which pairs matter as much as players."""
    rng = np.random.default_rng(seed)
    weights, joint = rng.integers(-99, 99, n), rng.integers(-50, 50, (n, n))
    return Counted(n, lambda masks: masks @ weights + ((masks @ joint) * masks).sum(axis=1))


def problem(game, keeps=(8, 5, 3), budget=120, seed=0) -> Problem:
    return Problem(Metered(game, budget), keeps, seed)


@pytest.mark.parametrize("name", [n for n in INFORMED if n != "best of random"])
def test_an_additive_game_is_ranked_by_its_weights(name):
    game, weights = additive(10)
    for keep, found in zip((8, 5, 3), METHODS[name](problem(game)), strict=True):
        best = np.zeros(10, dtype=bool)
        best[np.argsort(-weights)[:keep]] = True
        np.testing.assert_array_equal(found.mask, best, err_msg=f"{name} at {keep}")


def test_best_of_random_is_the_best_set_when_all_are_drawn():
    game, weights = additive(6)
    (found,) = methods.best_of_random(problem(game, keeps=(3,), budget=400))
    best = np.zeros(6, dtype=bool)
    best[np.argsort(-weights)[:3]] = True
    np.testing.assert_array_equal(found.mask, best)
    assert found.measured == game(best[None])[0]


@pytest.mark.parametrize("seed", range(5))
def test_greedy_removal_is_backward_elimination(seed):
    game = pairs(6, seed)
    value = {row.tobytes(): v for row, v in zip(all_masks(6), game(all_masks(6)), strict=True)}
    mask, path = np.ones(6, dtype=bool), {}
    for size in range(5, 0, -1):
        fewer = [mask & (np.arange(6) != i) for i in np.flatnonzero(mask)]
        mask = max(fewer, key=lambda m: value[m.tobytes()])
        path[size] = mask
    budget = 6 + 5 + 4 + 3 + 2
    asked = problem(game, keeps=(4, 1, 5, 2, 3), budget=budget)
    for keep, found in zip(asked.keeps, methods.greedy_removal(asked), strict=True):
        np.testing.assert_array_equal(found.mask, path[keep])
        assert found.measured == value[found.mask.tobytes()]
    assert asked.game.spent == budget


@pytest.mark.parametrize(
    ("budget", "rounds"),
    [(6 + 5 + 4 + 3 + 2, [6, 5, 4, 3, 2]), (19, [6, 4, 2]), (11, [6, 3]), (6, [6])],
)
def test_greedy_removal_takes_larger_steps_on_smaller_budgets(budget, rounds):
    game = pairs(6, 0)
    asked = problem(game, keeps=(1,), budget=budget)
    (found,) = methods.greedy_removal(asked)
    assert asked.game.spent == game.rows == sum(rounds)
    assert found.mask.sum() == 1


def test_a_step_of_several_removes_the_least_missed_first():
    game = pairs(6, 1)
    one_gone = ~np.eye(6, dtype=bool)
    order = np.argsort(-game(one_gone), kind="stable")
    asked = problem(game, keeps=(5, 4, 3), budget=6)
    for gone, found in zip((1, 2, 3), methods.greedy_removal(asked), strict=True):
        assert set(np.flatnonzero(~found.mask)) == set(order[:gone])
    assert methods.greedy_removal(asked)[0].measured == game(one_gone).max()


@pytest.mark.parametrize("seed", range(3))
def test_knock_out_keeps_those_whose_loss_is_largest(seed):
    game = pairs(7, seed)
    loss = game(np.ones((1, 7), dtype=bool)) - game(~np.eye(7, dtype=bool))
    asked = problem(game, keeps=(4, 2), budget=7)
    for keep, found in zip((4, 2), methods.knock_out(asked), strict=True):
        assert set(np.flatnonzero(found.mask)) == set(np.argsort(-loss)[:keep])
    assert asked.game.spent == 7


def test_stratified_knock_outs_remove_every_player_equally_often():
    gone = balanced_knock_outs(30, 40, 0.1, seed=0)
    assert set(gone.sum(axis=1)) == {3}
    assert set(gone.sum(axis=0)) == {4}
    assert set(balanced_knock_outs(30, 13, 0.1, seed=0).sum(axis=0)) <= {1, 2}
    assert set(balanced_knock_outs(30, 7, 0.001, seed=0).sum(axis=1)) == {1}


def test_stratified_knock_outs_are_a_lasso_of_what_removal_costs():
    game = pairs(12, 0)
    asked = problem(game, keeps=(4,), budget=60)
    (found,) = methods.stratified_knock_outs(0.25)(asked)
    gone = balanced_knock_outs(12, 60, 0.25, seed=0)
    values = game(~gone)
    fit = Lasso(alpha=0.01).fit(gone, (values - values.mean()) / values.std())
    assert set(np.flatnonzero(found.mask)) == set(np.argsort(fit.coef_, kind="stable")[:4])
    assert asked.game.spent == len(np.unique(gone, axis=0))
    flat = Counted(6, lambda masks: np.zeros(len(masks)))
    (none,) = methods.stratified_knock_outs()(problem(flat, keeps=(2,)))
    assert none.mask.tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize("seed", range(3))
def test_ours_finds_the_best_set_of_a_game_of_pairs(seed):
    game = pairs(8, seed)
    value = game(all_masks(8))
    sizes = all_masks(8).sum(axis=1)
    for keep, found in zip((6, 4, 2), METHODS[OURS](problem(game, (6, 4, 2), 150)), strict=True):
        assert game(found.mask[None])[0] == value[sizes == keep].max()


@pytest.mark.parametrize("name", list(TORCH_FREE))
@pytest.mark.parametrize("budget", [40, 97])
def test_no_method_evaluates_more_than_its_budget(name, budget):
    game = pairs(12, 0)
    once = Remembered(game)
    (*choices,) = choose_all(once, (9, 6, 4), budget=budget, seed=3, methods={name: METHODS[name]})
    assert [c.keep for c in choices] == [9, 6, 4]
    spent = choices[0].ablations
    assert game.rows == spent <= budget
    if name in (OURS, "best of random", "lasso ranking"):
        assert spent > 0.8 * budget


@pytest.mark.parametrize("name", list(TORCH_FREE))
def test_the_same_seed_gives_the_same_sets_and_random_ones_follow_it(name):
    def masks(seed):
        found = METHODS[name](problem(pairs(12, 0), (9, 6, 4), 60, seed))
        return np.stack([p.mask for p in found])

    np.testing.assert_array_equal(masks(5), masks(5))
    if name == "random":
        assert (masks(5) != masks(6)).any()


def test_methods_are_charged_alike_whoever_came_first():
    methods = dict(TORCH_FREE)
    there = choose_all(Remembered(pairs(12, 0)), (9, 6), budget=60, seed=0, methods=methods)
    back = dict(reversed(methods.items()))
    again = choose_all(Remembered(pairs(12, 0)), (9, 6), budget=60, seed=0, methods=back)
    spent = {c.method: c.ablations for c in there}
    assert spent == {c.method: c.ablations for c in again}
    sets = {(c.method, c.keep): c.mask.tolist() for c in there}
    assert sets == {(c.method, c.keep): c.mask.tolist() for c in again}


def test_ours_counts_the_design_it_is_given():
    game = pairs(12, 0)
    design = sm.designs.biased(12, 50, keep_rate=(0.3, 0.8), seed=1)
    different = len(np.unique(design.masks, axis=0))
    spectrum = sm.decode(design, game(design.masks), method="lasso", order=1)
    asked = problem(game, (6, 4), budget=different)
    methods.surrogate_search(design, spectrum)(asked)
    assert asked.game.spent == different
    with pytest.raises(InputError, match=f"were asked for when 0 of the budget of {different - 1}"):
        methods.surrogate_search(design, spectrum)(problem(game, (6, 4), different - 1))


def test_ours_ablates_what_lasso_of_the_same_answers_keeps():
    game, weights = additive(12)
    design = sm.designs.uniform(12, 60, seed=0)
    misled = sm.Spectrum.from_supports(
        [(i,) for i in range(12)], list(weights), 12
    )  # all signs turned
    asked = problem(game, keeps=(8, 4), budget=62)  # one ablation for each size
    for keep, found in zip(
        asked.keeps, methods.surrogate_search(design, misled)(asked), strict=True
    ):
        best = np.zeros(12, dtype=bool)
        best[np.argsort(-weights)[:keep]] = True
        np.testing.assert_array_equal(found.mask, best)
        assert found.measured == game(best[None])[0]
    assert asked.game.spent == 62


def test_ours_keeps_within_limits():
    game, weights = additive(10)
    best = np.argsort(-weights)
    limit = Limit(np.isin(np.arange(10), best[:4]).astype(float), 2.0)  # two of the best four
    for keep, found in zip(
        (6, 4), methods.surrogate_search(limits=(limit,))(problem(game, (6, 4))), strict=True
    ):
        assert set(np.flatnonzero(found.mask)) == {*best[:2], *best[4 : keep + 2]}


def test_a_method_that_wants_more_is_stopped_before_it_is_answered():
    game = pairs(5, 0)

    def greedy(problem):
        problem.game(all_masks(5)[:20])  # one of which is a knock-out
        return methods.knock_out(problem)

    with pytest.raises(InputError, match="4 ablations were asked for when 20 of the budget of 22"):
        choose_all(game, (3,), budget=22, seed=0, methods={"too much": greedy})
    assert game.rows == 20


def test_a_mask_asked_twice_is_counted_once():
    game, weights = additive(4)
    meter = Metered(Remembered(game), 3)
    masks = all_masks(4)[[3, 5, 3]]
    np.testing.assert_array_equal(meter(masks), masks @ weights)
    np.testing.assert_array_equal(meter(masks[::-1]), masks[::-1] @ weights)
    assert (meter.spent, meter.left, game.rows) == (2, 1, 2)


def test_shared_designs_are_parts_of_one_another():
    small, large = (spread_design(problem(pairs(12, 0)), count) for count in (30, 90))
    np.testing.assert_array_equal(small.masks, large.masks[:30])
    sizes = large.masks.sum(axis=1)
    assert sizes.min() <= 3 and sizes.max() >= 8  # sizes 3, 5 and 8 are asked for


def test_bad_input():
    game = pairs(6, 0)
    knock_out = {"knock-out": methods.knock_out}
    for keeps in ((), (0,), (7,), (2.5,), (True,)):
        with pytest.raises(InputError, match="expected whole numbers of players from 1 to 6"):
            choose_all(game, keeps, budget=10, seed=0, methods=knock_out)
    with pytest.raises(InputError, match="each size once"):
        choose_all(game, (3, 3), budget=10, seed=0, methods=knock_out)
    with pytest.raises(InputError, match="budget is -1 ablations"):
        choose_all(game, (3,), budget=-1, seed=0, methods=knock_out)
    with pytest.raises(InputError, match="at least 6 ablations, one for each player"):
        methods.greedy_removal(problem(game, (3,), 5))
    with pytest.raises(InputError, match="does not give each of 3 sizes a random set"):
        methods.best_of_random(problem(game, (4, 3, 2), 2))
    with pytest.raises(InputError, match="expected 16 or more; raise the budget"):
        methods.surrogate_search()(problem(game, (3,), 20))
    with pytest.raises(InputError, match="share is 0"):
        methods.surrogate_search(share=0)
    with pytest.raises(InputError, match="share is 1, expected a part of the players"):
        methods.stratified_knock_outs(1)
    with pytest.raises(InputError, match="need 2 ablations or more, the budget has 1 left"):
        methods.stratified_knock_outs()(problem(game, (3,), 1))
    spectrum = sm.exact_spectrum(game(all_masks(6)))
    with pytest.raises(InputError, match="the spectrum's design is not given"):
        methods.surrogate_search(spectrum=spectrum)
    with pytest.raises(InputError, match="looks inside a model, which the game does not have"):
        METHODS["taylor"](problem(game))


def test_all_sets_of_one_size_are_tried_when_they_are_few():
    """Ours at a size with fewer sets than ablations is as good as exhaustive search."""
    game = pairs(6, 3)
    design = MaskDesign(masks=all_masks(6)[20:50], seed=0)
    (found,) = methods.surrogate_search(design)(problem(game, (5,), 60))
    sets = np.array([[i in c for i in range(6)] for c in combinations(range(6), 5)])
    assert game(found.mask[None])[0] == game(sets).max()
