# %% [markdown]
# # A circuit and its tests
#
# You have found a dozen heads that do a task. Do they do it *by themselves*? Does the rest of the model do
# it too? Is each of them needed? Ablations answer, on questions that did not choose the heads.

# %%
import numpy as np

import spex_mech as sm

model = sm.load_model("embedded")
task = sm.load_task("embedded/kinds").first(30).first(60, "test")
players = sm.select_players(model, "heads")
game = sm.TaskGame(model, task, players, metric="margin")
masks = sm.designs.biased(players.n, 1_000, keep_rate=(0.5, 0.95), seed=0)
run = sm.evaluate(game, masks, questions=1, progress=False)
spectrum = sm.decode(masks, run, seed=0)
pruned = sm.prune(game, spectrum, keep=12, validate=20, questions="auto", seed=0)
print("kept:", " ".join(np.array(players.names)[pruned.mask]))

# %%
circuit = sm.circuit(game.with_split("test"), pruned, spectrum, subsets=6, seed=0, progress=False)
print(circuit)

# %% [markdown]
# - **Faithfulness** near 1: the kept heads alone are worth as much as the whole model. Above 1 they are
#   worth more, because heads that hurt are gone.
# - The same ratio **of all but the circuit** near 0: no other heads do the job too.
# - **Knock-outs**: random parts are taken out of both the circuit and the model. If the two rest on the
#   same parts, they lose the same; the number says how far they differ.
# - A part is **needed** if the value changes without it, at 5 % after a correction for the number of parts.

# %%
from spex_mech.report import plots

plots.circuit_graph(circuit)

# %%
plots.circuit_tests(circuit)

# %% [markdown]
# Read it off: each of these twelve heads is needed, but alone they carry less than half of the margin, and
# without random parts the circuit loses far more than the model, which has spares elsewhere. So twelve heads
# are a part of the circuit and not all of it. Try `keep=16`. Twelve heads drawn at random do much less:

# %%
drawn = np.zeros(32, dtype=bool)
drawn[np.random.default_rng(0).choice(32, 12, replace=False)] = True
other = sm.circuit(game.with_split("test"), drawn, subsets=2, seed=0, progress=False)
print(f"faithfulness of the circuit: {circuit.faithfulness.mean:.2f}")
print(f"of 12 random heads: {other.faithfulness.mean:.2f}")
