# %% [markdown]
# # First run: which heads work together?
#
# A small Llama comes with the package: 4 layers of 8 heads, trained to answer questions about an invented
# world. You switch heads off, see how well it still answers, and learn from 1,200 answers which heads
# matter, and which matter together.

# %%
import spex_mech as sm

model = sm.load_model("embedded")
task = sm.load_task("embedded/people").first(20)
players = sm.select_players(model, "heads")
game = sm.TaskGame(model, task, players, metric="margin")
print(task.examples[0].prompt)

# %% [markdown]
# The value of a mask is the mean *margin*: the score of the right answer minus that of the best wrong one.
# With all heads on, the model is right by a wide margin; with all heads off it guesses.

# %%
import numpy as np

everything, nothing = game(np.array([[True] * 32, [False] * 32]))
print(f"all heads: {everything:.1f}, no heads: {nothing:.1f}")

# %% [markdown]
# Now 1,200 masks, each of which keeps between half and nearly all of the heads. Each mask is asked one
# question only: many masks with few answers teach more than few masks with many answers.

# %%
masks = sm.designs.biased(players.n, 1_200, keep_rate=(0.5, 0.95), seed=0)
run = sm.evaluate(game, masks, questions=1, progress=False)
spectrum = sm.decode(masks, run, seed=0)
print(f"{len(run.answers)} answers to {len(masks)} masks")

# %% [markdown]
# How good is it? Predict 60 masks that the decoder has not seen, and compare with what they are really
# worth.

# %%
new = sm.designs.biased(players.n, 60, keep_rate=(0.5, 0.95), seed=1).masks
print(f"R² on new masks: {sm.faithfulness(spectrum, new, game(new)):.2f}")

# %% [markdown]
# ## The picture
#
# Blue heads help, red heads hurt. A blue arc joins heads that are worth more together than apart; a red arc
# joins heads that can stand in for each other.

# %%
from spex_mech.report import plots

effects = sm.interactions(spectrum, "Banzhaf", order=1)
pairs = sm.interactions(spectrum, "FBII", order=2)
plots.head_map(effects, pairs, players)

# %% [markdown]
# The same as numbers, with the decoder's standard deviation. If a value is smaller than twice that, do not
# build on its sign.

# %%
for heads, value in sorted(pairs.joint(3)):
    print(f"{players.label(heads):<12} {value:+.2f} ± {pairs.std[heads]:.2f}")

# %% [markdown]
# The strongest pairs are in the first layer. Is the strongest one real? Take its heads away one at a time,
# and then both. Where the two stand in for each other, losing both costs more than the two losses promise.

# %%
(a, b), _ = pairs.joint(1)[0]
four = np.ones((4, 32), dtype=bool)
four[1, a] = four[2, b] = False
four[3, [a, b]] = False
whole, without_a, without_b, without_both = game(four)
print(f"without {players.names[a]}: {without_a - whole:+.1f}")
print(f"without {players.names[b]}: {without_b - whole:+.1f}")
print(f"without both: {without_both - whole:+.1f}")
