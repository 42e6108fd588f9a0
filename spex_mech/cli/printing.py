"""What the commands print of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from spex_mech.core.units import bytes_text, seconds_text

if TYPE_CHECKING:
    from spex_mech.exporting.comparison import TaskComparison
    from spex_mech.pruning.prune import Pruned
    from spex_mech.run.decode import Decoded
    from spex_mech.run.export import Exported
    from spex_mech.run.folder import RunFolder
    from spex_mech.run.plan import Phase
    from spex_mech.run.records import ScoreTable
    from spex_mech.run.setup import Setup


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


def print_plan(setup: Setup, phases: Sequence[Phase]) -> None:
    """Print what a run will cost: a line for every phase, and the memory that it takes."""
    from spex_mech.run.memory import forecast_memory
    from spex_mech.run.plan import planned_choice

    if (choice := planned_choice(setup)) is not None:
        typer.echo(f"{choice.message}\n")
    typer.echo(f"{'phase':<18}{'stored':>10}{'masks':>10}{'answers':>12}{'tokens':>16}{'time':>12}")
    for phase in phases:
        typer.echo(
            f"{phase.name:<18}{bytes_text(phase.size):>10}{phase.masks:>10,}{phase.rows:>12,}"
            f"{phase.tokens:>16,}{seconds_text(phase.seconds):>12}"
        )
    total = seconds_text(sum(p.seconds for p in phases))
    typer.echo(
        f"{'total':<18}{bytes_text(sum(p.size for p in phases)):>10}"
        f"{sum(p.masks for p in phases):>10,}{sum(p.rows for p in phases):>12,}"
        f"{sum(p.tokens for p in phases):>16,}{total:>12}"
    )
    typer.echo(forecast_memory(setup).message)
    if setup.form is not None:
        typer.echo(
            f"only sets that the form {setup.form} holds are searched; what that costs against the best set "
            "of any form is reported for each size after pruning"
        )


def print_comparisons(comparisons: Sequence[TaskComparison]) -> None:
    """Print every task before and after pruning; nothing where none was compared."""
    from spex_mech.exporting.comparison import comparison_rows

    if comparisons:
        typer.echo(f"{'':<24}{'before':>8}{'after':>9}   change [95 % paired interval]")
    for comparison in comparisons:
        typer.echo(comparison.title)
        for name, before, after, change in comparison_rows(comparison):
            typer.echo(f"  {name:<22}{before:>8}{after:>9}   {change}")


def print_form(form: str, refused: Mapping[str, str]) -> None:
    """Print the form of a checkpoint, and a line for every form that was tried before it."""
    typer.echo(f"form: {form}")
    for name, reason in refused.items():
        typer.echo(f"  not {name}: {reason}")


def print_form_to_write(setup: Setup, kept: Pruned) -> None:
    """Print the form that a kept set would be exported in, or why it cannot be."""
    from spex_mech.core.errors import InputError
    from spex_mech.run.export import form_to_write

    try:
        print_form(*form_to_write(setup, kept))
    except InputError as error:
        typer.echo(f"no export of {kept.keep} players yet: {error}")


def print_exported(exported: Exported) -> None:
    """Print the form of what was exported, and its size and speed where they were measured."""
    from spex_mech.exporting.footprint import speedup

    print_form(exported.form, exported.refused)
    before, after = exported.before, exported.after
    if before is not None and after is not None:
        rows = [
            ("parameters", f"{before.parameters:,}", f"{after.parameters:,}"),
            ("weights", bytes_text(before.weight_bytes), bytes_text(after.weight_bytes)),
            (
                "cache a token",
                bytes_text(before.kv_bytes_per_token),
                bytes_text(after.kv_bytes_per_token),
            ),
        ]
        speeds = speedup(before, after, seed=0)
        for name, ratio in zip(("prefill", "decode"), speeds, strict=True):
            old, new = (getattr(side, f"{name}_speed") for side in (before, after))
            times = f"{new:,.0f}   {ratio.mean:.2f} times [{ratio.low:.2f}, {ratio.high:.2f}]"
            rows.append((f"{name}, tokens a second", f"{old:,.0f}", times))
        typer.echo(f"{'measured':<26}{'before':>14}   after")
        for name, old, new in rows:
            typer.echo(f"  {name:<24}{old:>14}   {new}")
