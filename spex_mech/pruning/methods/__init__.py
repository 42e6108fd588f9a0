"""Methods of choosing which players to keep, all called in the same way and with the same budget."""

from spex_mech.evaluation.wrappers import Metered as Metered
from spex_mech.evaluation.wrappers import Remembered as Remembered
from spex_mech.pruning.methods.method import Method as Method
from spex_mech.pruning.methods.method import Problem as Problem
from spex_mech.pruning.methods.method import Rankings as Rankings
from spex_mech.pruning.methods.method import keep_top as keep_top
from spex_mech.pruning.methods.random import best_of_random as best_of_random
from spex_mech.pruning.methods.random import random_order as random_order
from spex_mech.pruning.methods.removal import greedy_removal as greedy_removal
from spex_mech.pruning.methods.removal import knock_out as knock_out
from spex_mech.pruning.methods.spectrum import lasso_ranking as lasso_ranking
from spex_mech.pruning.methods.spectrum import surrogate_search as surrogate_search
from spex_mech.pruning.methods.stratified import stratified_knock_outs as stratified_knock_outs
