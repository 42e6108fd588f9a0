"""Masks become values: every mask once, stored as it goes, on one machine or many.

In: a game and a `MaskDesign`. Out: a `Run` (evaluate): masks, values, and scores of every question where
the game keeps them. With a folder, the package `store` writes each finished chunk before it counts, and
the same call goes on where it was stopped; `open_run` (stored_run) reads such a folder without the
model. The package `executors` says where masks are evaluated: in this process, in several, or on a Ray
cluster.

    >>> import spex_mech as sm
    >>> run = sm.evaluate(lambda masks: masks.sum(axis=1), sm.designs.uniform(6, 10, seed=0))
    >>> run.values.shape
    (10,)

A batch of masks is evaluated whole or not at all: what a failure loses is at most one batch per worker.
A new executor is a file in `executors` with the two methods of `Executor`.
"""
