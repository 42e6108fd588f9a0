"""What the commands print of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from spex_mech.pruning.prune import Pruned
    from spex_mech.run.decode import Decoded
    from spex_mech.run.folder import RunFolder
    from spex_mech.run.records import ScoreTable


def print_decoded(decoded: Decoded, top: int = 8, *, message: bool = True) -> None:
    """Print the decoder's message, the fit to held-out masks, and the strongest interactions.

    Args:
        decoded: the decoded store.
        top: most interactions to print.
        message: print the decoder's message.
    """
    if message and (text := decoded.spectrum.info.get("message")):
        typer.echo(f"decoder: {text}")
    if decoded.held_out is not None:
        r2, asked = decoded.held_out.r2, decoded.held_out.answers
        few = "" if asked is None else f", {asked} questions each, corrected for the noise of that"
        typer.echo(
            f"faithfulness: R² {r2.mean:.3f} [{r2.low:.3f}, {r2.high:.3f}] on {r2.n} held-out masks{few}"
        )
    values = decoded.interactions
    joint = values.joint(top)
    if not joint:
        typer.echo(f"no interaction of two or more players ({values.index})")
        return
    std = values.std
    typer.echo(f"strongest interactions ({values.index}, value ± standard deviation):")
    for members, value in joint:
        spread = "" if std is None else f" ± {std[members]:.4f}"
        typer.echo(f"  {value:+.4f}{spread}  {decoded.players.label(members)}")


def print_rounds(folder: RunFolder) -> None:
    """Print what the rounds of a run have spent and reached; nothing of a run without rounds."""
    from spex_mech.run.rounds import ROUNDS, rounds_from_json

    if folder.has(ROUNDS):
        typer.echo(folder.read(ROUNDS, rounds_from_json).message)


def print_kept(kept: list[Pruned], metric: str) -> None:
    """Print every kept set's size, method, ablations and value on the search questions."""
    for row in kept:
        value = "not ablated"
        if row.measured is not None:
            value = f"{metric} {row.measured:.4f} on search questions"
        if row.cost is not None:
            value += f", {row.cost:.4f} less than the best set of any form"
        typer.echo(f"{row.keep:>6}  {row.method:<18}{row.ablations:>6} ablations  {value}")


def print_scores(scores: ScoreTable) -> None:
    """Print the scores of the full model and of every kept set on test questions."""
    for name, full in scores.full.items():
        typer.echo(
            f"test {name} of the full model: {full.mean:.3f} [{full.low:.3f}, {full.high:.3f}] "
            f"({full.n} questions)"
        )
    typer.echo("kept models, with ours minus the baseline in brackets (95 % paired interval):")
    for point in scores.points:
        line = f"{point.kept.keep:>6}  {point.kept.method:<18}"
        for name, estimate in point.metrics.items():
            gain = f"({point.gains[name]})" if point.gains else ""
            line += f"{name} {estimate.mean:6.3f} {gain:<27}"
        typer.echo(line.rstrip())
    if scores.looks > 1:
        typer.echo(
            f"the test questions have now been scored for {scores.looks} choices of kept sets; the "
            "intervals do not allow for choosing among them"
        )


def print_size_choice(folder: RunFolder) -> None:
    """Print each size's loss on validation questions and the size chosen; nothing where none was chosen."""
    if not folder.has("size.json"):
        return
    from spex_mech.run.records import size_from_json

    choice = folder.read("size.json", size_from_json)
    typer.echo(f"loss on {choice['full']['n']} validation questions, in {choice['metric']}:")
    for row in choice["sizes"]:
        loss = row["full minus this"]
        verdict = "passes" if row["passed"] else "is not taken"
        typer.echo(
            f"{row['keep']:>6}  {loss['mean']:+.3f} [{loss['low']:+.3f}, {loss['high']:+.3f}]  {verdict}"
        )
    typer.echo(f"size chosen: {choice['keep']}")
