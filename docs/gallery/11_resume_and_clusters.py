# %% [markdown]
# # Stop, go on, and use more processes
#
# Evaluating masks is nearly all of the work, so none of it is lost: finished masks are on disk, and the
# same call goes on where it was stopped. Values are the same in one process, in several, and on a cluster.
#
# A measurement that fails after 30 masks, as by a power cut:

# %%
import numpy as np

import spex_mech as sm


class Measurement:
    """A game of your own: players, a text that changes when its values do, and a call."""

    players = sm.PlayerSet.from_names([f"part {i}" for i in range(10)])
    fingerprint = "my measurement, version 1"
    power = 30

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """The values of masks."""
        self.power -= len(masks)
        if self.power < 0:
            raise RuntimeError("the power is gone")
        return masks @ np.arange(10.0) + 3.0 * masks[:, 2] * masks[:, 7]


masks = sm.designs.uniform(10, 100, seed=0)
measurement = Measurement()
try:
    sm.evaluate(measurement, masks, store="run", batch=10, progress=False)
except RuntimeError as error:
    print("stopped:", error)

# %%
measurement.power = 1_000
run = sm.evaluate(measurement, masks, store="run", batch=10, progress=False)
print(f"{run.evaluated} masks evaluated now, {len(run.values)} values")

# %% [markdown]
# ## Two processes
#
# An *executor* says where masks are evaluated. `LocalExecutor` starts processes, one for each GPU if you
# name them; `RayExecutor` uses a Ray cluster. Each worker holds the model once.

# %%
model = sm.load_model("embedded")
task = sm.load_task("embedded/people").first(10)
players = sm.select_players(model, "heads")
game = sm.TaskGame(model, task, players, metric="margin")
heads = sm.designs.biased(players.n, 40, keep_rate=(0.5, 0.95), seed=0)
here = sm.evaluate(game, heads, store="here", progress=False)
there = sm.evaluate(
    game, heads, store="there", executor=sm.LocalExecutor(workers=2, threads=1), progress=False
)
print("largest difference:", f"{np.abs(here.values - there.values).max():.0e}")

# %% [markdown]
# ## Read it without the model
#
# A store holds the score of every answer to every question, so another metric or a part of the questions
# costs nothing.

# %%
stored = sm.open_run("here")
print(stored.with_metric("accuracy").values[:4].round(2))
print(stored.with_metric("accuracy", examples=[0, 1, 2]).values[:4].round(2))
