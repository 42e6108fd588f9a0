"""What the commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from spex_mech.run.decode import Decoded
    from spex_mech.run.folder import RunFolder
    from spex_mech.run.records import TestScores


def size(count: float) -> str:
    """A number of bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float) -> str:
    """A time."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def decoded(found: Decoded, top: int = 8, *, told: bool = False) -> None:
    """What a decoder found: its message (unless told), its fit to held-out masks, the interactions."""
    message = found.spectrum.info.get("message")
    if message and not told:
        typer.echo(f"decoder: {message}")
    if found.held_out is not None:
        r2 = found.held_out.r2
        typer.echo(
            f"faithfulness: R² {r2.mean:.3f} [{r2.low:.3f}, {r2.high:.3f}] on {r2.n} held-out masks"
        )
    joint = found.interactions.joint(top)
    if not joint:
        typer.echo(f"no interaction of two or more players ({found.interactions.index})")
        return
    std = found.interactions.std
    typer.echo(f"strongest interactions ({found.interactions.index}, value ± standard deviation):")
    for members, value in joint:
        spread = "" if std is None else f" ± {std[members]:.4f}"
        typer.echo(f"  {value:+.4f}{spread}  {found.players.label(members)}")


def scores(found: TestScores) -> None:
    """The kept models on test questions."""
    for name, full in found.full.items():
        typer.echo(
            f"test {name} of the full model: {full.mean:.3f} [{full.low:.3f}, {full.high:.3f}] "
            f"({full.n} questions)"
        )
    typer.echo("kept models, with ours minus the baseline in brackets (95 % paired interval):")
    for point in found.points:
        line = f"{point.kept.keep:>6}  {point.kept.method:<18}"
        for name, estimate in point.metrics.items():
            gain = f"({point.gains[name]})" if point.gains else ""
            line += f"{name} {estimate.mean:6.3f} {gain:<27}"
        typer.echo(line.rstrip())
    if found.looks > 1:
        typer.echo(
            f"the test questions have now been scored for {found.looks} choices of kept sets; the "
            "intervals do not count that you may choose among them"
        )


def size_choice(folder: RunFolder) -> None:
    """How the size was chosen on validation questions, if it was."""
    if not folder.has("size.json"):
        return
    found = folder.load("size.json")
    typer.echo(f"loss on {found['full']['n']} validation questions, in {found['metric']}:")
    for row in found["sizes"]:
        loss = row["full minus this"]
        verdict = "passes" if row["passed"] else "is not taken"
        typer.echo(
            f"{row['keep']:>6}  {loss['mean']:+.3f} [{loss['low']:+.3f}, {loss['high']:+.3f}]  {verdict}"
        )
    typer.echo(f"size chosen: {found['keep']}")
