"""What a user's type checker must say about spex_mech: these calls are right, and the marked ones are wrong.

`.ci/run` checks this file with pyright against the installed wheel. A mark on a line that pyright finds
nothing wrong with is an error too, so that a wheel without types, or with types that say nothing, fails.
"""
# pyright: reportMissingTypeStubs=true, reportUnnecessaryTypeIgnoreComment=true

from pathlib import Path

import numpy as np

import spex_mech as sm


def right_use() -> str:
    """The example of the README, in short."""
    model: sm.Model = sm.load_model("embedded")
    players: sm.PlayerSet = sm.select_players(model, "heads")
    game = sm.TaskGame(model, sm.load_task("embedded/people").first(60), players, metric="margin")
    run: sm.Run = sm.evaluate(game, sm.designs.uniform(players.n, 100, seed=0), store="runs/people")
    spectrum: sm.Spectrum = sm.decode(run.design, run, seed=0)
    found: sm.Interactions = sm.interactions(spectrum, index="FBII", order=2)
    pruned = sm.prune(game, spectrum, keep=0.5, validate=15, seed=0)
    values: np.ndarray = spectrum(np.ones((1, players.n), dtype=bool))
    page: Path = sm.write_report("runs/people")
    members, value = found.joint(1)[0]
    return f"{players.label(members)} {value:+.2f} {pruned.mask.sum()} {values[0]} {page.name}"


def wrong_use(spectrum: sm.Spectrum, found: sm.Interactions) -> None:
    """Each line has one mistake."""
    sm.select_players(3, "heads")  # pyright: ignore[reportArgumentType]
    sm.load_task("embedded/people", shots="three")  # pyright: ignore[reportArgumentType]
    sm.interactions(spectrum, index=2)  # pyright: ignore[reportArgumentType]
    sm.decode(spectrum)  # pyright: ignore[reportCallIssue]
    found.joint("five")  # pyright: ignore[reportArgumentType]
    found.strongest(5)  # pyright: ignore[reportAttributeAccessIssue]
    sm.load_modle("embedded")  # pyright: ignore[reportAttributeAccessIssue]
