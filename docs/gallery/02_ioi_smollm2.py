# model: smollm2
# extras: gguf
# %% [markdown]
# # Which heads of SmolLM2 find the indirect object?
#
# "Then, Mary and John went to the store. John gave a drink to" must go on with "Mary".
# SmolLM2-135M-Instruct, a trained language model of 30 layers with 9 heads each, does this well. Which of
# its 270 heads does it need? `spex-mech get smollm2` fetches the model (93 MB).

# %%
import spex_mech as sm

model = sm.load_model("smollm2")
task = sm.load_task("circuits/ioi").first(8)
players = sm.select_players(model, "heads")
game = sm.TaskGame(model, task, players)
first = task.examples[0]
print(f"{players.n} heads; the first question: {first.prompt!r}, answers {first.options}")

# %% [markdown]
# Random masks that keep half of 270 heads leave a model that only guesses, so masks keep 80 to 98 %. Each
# of the 400 masks is asked one of eight questions. This is far too little to be sure of single pairs, and
# enough to see which heads matter.

# %%
masks = sm.designs.biased(players.n, 400, keep_rate=(0.8, 0.98), seed=0)
run = sm.evaluate(game, masks, questions=1, progress=False)
spectrum = sm.decode(masks, run, method="walsh_gp", seed=0)

# %%
effects = sm.interactions(spectrum, "Banzhaf", order=1)
ranked = [players.names[i] for (i,), value in effects.top(270) if value > 0]
print("the five that help most:", ", ".join(ranked[:5]))

# %%
from spex_mech.report import plots

plots.head_map(effects, sm.interactions(spectrum, "FBII", order=2), players, pairs=8)

# %% [markdown]
# Is it true? Take the ten heads away that help most, and, to compare, ten that the spectrum says do
# nothing.

# %%
import numpy as np

order = sorted(range(270), key=lambda i: effects.values.get((i,), 0.0))
needed = order[-10:]
idle = sorted(order, key=lambda i: abs(effects.values.get((i,), 0.0)))[:10]
three = np.ones((3, 270), dtype=bool)
three[1, needed] = False
three[2, idle] = False
whole, without_needed, without_idle = game(three)
print(f"margin with all heads: {whole:.1f}")
print(f"without the ten that help most: {without_needed:.1f}")
print(f"without ten idle ones: {without_idle:.1f}")

# %% [markdown]
# `make demo-real` spends more: it finds the keep rates by itself, prunes, tests the kept heads as a circuit
# and writes a report.
