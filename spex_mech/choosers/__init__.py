"""Ways of choosing which players to keep, all asked alike and held to one budget of ablations."""

from spex_mech.choosers.by_ablation import greedy_removal as greedy_removal
from spex_mech.choosers.by_ablation import knock_out as knock_out
from spex_mech.choosers.by_chance import best_of_random as best_of_random
from spex_mech.choosers.by_chance import random_order as random_order
from spex_mech.choosers.by_spectrum import lasso_ranking as lasso_ranking
from spex_mech.choosers.by_spectrum import surrogate_search as surrogate_search
from spex_mech.choosers.chooser import Chooser as Chooser
from spex_mech.choosers.chooser import Problem as Problem
from spex_mech.choosers.chooser import keep_top as keep_top
from spex_mech.choosers.metered import Metered as Metered
from spex_mech.choosers.metered import Remembered as Remembered
