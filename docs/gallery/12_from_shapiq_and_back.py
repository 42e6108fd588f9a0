# extras: peers
# %% [markdown]
# # From shapiq and back
#
# shapiq is a library of Shapley values and interactions with many games, approximators and plots. Its games
# run here, and games from here run there.

# %%
import numpy as np
import shapiq

import spex_mech as sm


def value(coalitions: np.ndarray) -> np.ndarray:
    """A game in shapiq's sense: bool (m, n) to (m,)."""
    return 2.0 * coalitions[:, 0] + 3.0 * (coalitions[:, 1] & coalitions[:, 2]) - coalitions[:, 3]


class Toy(shapiq.Game):
    """Eight players, three rules."""

    def __init__(self) -> None:
        super().__init__(n_players=8, normalize=False)

    def value_function(self, coalitions: np.ndarray) -> np.ndarray:
        """Values of coalitions."""
        return value(coalitions.astype(bool))


# %% [markdown]
# ## A shapiq game in our decoders

# %%
game = sm.features.from_shapiq(Toy())
masks = sm.designs.uniform(8, 100, seed=0)
run = sm.evaluate(game, masks, progress=False)
spectrum = sm.decode(masks, run, seed=0)
found = sm.interactions(spectrum, "SII", order=2)
for members, amount in found.values.items():
    if abs(amount) > 0.1:
        print(f"{amount:+.2f}  {members}")

# %% [markdown]
# ## Our interactions in shapiq's plots

# %%
values = found.to_shapiq()
print(type(values).__name__, values.index, f"{values[(1, 2)]:.2f}")

# %% [markdown]
# ## One of our games in shapiq's approximators
#
# The players are sentences; the approximator is shapiq's, and the exact values check both.

# %%
model = sm.load_model("embedded")
example = sm.load_task("embedded/boxes").examples[0]
passage, question = example.prompt.split("\n", 1)
text = sm.features.text(
    model, passage, level="sentence", template="{text}\n" + question, target=["A", "B", "C", "D"]
)  # fmt: skip
theirs = shapiq.KernelSHAP(n=text.players.n, random_state=0).approximate(
    256, sm.features.to_shapiq(text)
)
every = sm.designs.exhaustive(text.players.n)
exact = sm.decode(every, sm.evaluate(text, every, progress=False), method="exact")
ours = sm.interactions(exact, "Shapley", order=1)
for i, name in enumerate(text.players.names):
    print(f"{theirs[(i,)]:+.2f} {ours.values[(i,)]:+.2f}  {name}")
