# %% [markdown]
# # Which training examples spoil this prediction?
#
# The players are training examples: a mask is a training subset, and the network is trained again on it.
# One set of trainings serves all test points. Here two training images look like test point 0 but carry a
# wrong label. Can you find them, and see that they do the same harm?

# %%
from dataclasses import replace

import numpy as np

import spex_mech as sm

td = sm.training_data
train, _, test = td.digits(80, 20, 30, seed=0)
inputs, labels = train.inputs.copy(), train.labels.copy()
rng = np.random.default_rng(0)
wrong = (test.labels[0] + 1) % 10
for row in (78, 79):
    noise = rng.normal(0, 0.1, inputs[row].shape)
    inputs[row] = (test.inputs[0] + noise).astype(inputs.dtype)
    labels[row] = wrong
train = replace(train, inputs=inputs, labels=labels)
print(f"test point 0 is a {test.labels[0]}; examples 78 and 79 look like it and say {wrong}")

# %%
trainer = td.TorchTrainer(lambda: td.multilayer((1, 8, 8), 10), td.Recipe(epochs=20))
game = td.TrainingGame(trainer, train, test, td.by_example(train), value="margin")
subsets = sm.designs.uniform(80, 700, seed=0)
run = sm.evaluate(game, subsets, store="trainings", progress=False)
print(
    f"{len(run.values)} trainings; mean margin from {run.values.min():.1f} to {run.values.max():.1f}"
)

# %% [markdown]
# Decode test points 0 and 1 from the same trainings. Which examples change the prediction of point 0 most?

# %%
found = td.attribute(game.trainings(run), points=[0, 1], method="proxyspex", progress=False)
for example, effect in sorted(found.strongest(0, 2)):
    print(f"{effect:+.1f}  {found.players.names[example]}")

# %% [markdown]
# Both planted examples hurt, and they stand in for each other: once one of them is there, the other does
# less further harm, so their value together is positive.

# %%
together = {pair.players: pair.value for pair in found.joint(0)}
print(f"the two together: {together[78, 79]:+.1f}; the strongest pair: {found.joint(0)[0].players}")

# %%
td.joint_figure(found, train, test, points=(0, 1), pairs=2)
