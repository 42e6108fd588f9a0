"""What the commands print of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spex_mech.cli.tables import say, say_table
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
        say(f"decoder: {text}")
    if decoded.held_out is not None:
        r2, asked = decoded.held_out.r2, decoded.held_out.answers
        few = "" if asked is None else f", {asked} questions each, corrected for the noise of that"
        say(
            f"faithfulness: R² {r2.mean:.3f} [{r2.low:.3f}, {r2.high:.3f}] on {r2.n} held-out masks{few}"
        )
    values = decoded.interactions
    joint = values.joint(top)
    if not joint:
        say(f"no interaction of two or more players ({values.index})")
        return
    std = values.std
    spread = "" if std is None else ", value and standard deviation"
    say(f"strongest interactions ({values.index}{spread}; + worth more together, - partly alike):")
    rows = [
        [
            f"{value:+.4f}",
            *([] if std is None else [f"{std[members]:.4f}"]),
            decoded.players.label(members),
        ]
        for members, value in joint
    ]
    header = ["value", *([] if std is None else ["std"]), "players"]
    say_table(header, rows, "r" * (len(header) - 1) + "l")


def decoded_json(decoded: Decoded, top: int, written: Path) -> dict[str, Any]:
    """What `print_decoded` prints, for JSON.

    Args:
        decoded: the decoded store.
        top: most interactions.
        written: the folder that has the whole result.
    """
    values, held = decoded.interactions, decoded.held_out
    std = values.std
    return {
        "message": decoded.spectrum.info.get("message"),
        "held_out": None
        if held is None
        else {"r2": held.r2.mean, "low": held.r2.low, "high": held.r2.high, "masks": held.r2.n},
        "index": values.index,
        "order": values.order,
        "interactions": [
            {
                "players": [decoded.players.names[i] for i in members],
                "value": value,
                "std": None if std is None else std[members],
            }
            for members, value in values.joint(top)
        ],
        "folder": str(written),
    }


def print_evaluation(folder: RunFolder) -> None:
    """Print what a run's gradients and its rounds have cost and reached; nothing of a run without."""
    from spex_mech.run.rounds import ROUNDS, rounds_from_json

    if message := folder.gradients_message():
        say(message)
    if folder.has(ROUNDS):
        say(folder.read(ROUNDS, rounds_from_json).message or "")


def print_kept(kept: list[Pruned], metric: str) -> None:
    """Print every kept set's size, method, ablations and value on the search questions."""
    say(f"kept sets, {metric} on search questions:")
    costs = any(row.cost is not None for row in kept)
    header = [
        "kept",
        "method",
        "ablations",
        metric,
        *(["less than any form's best"] if costs else []),
    ]
    rows = [
        [
            str(row.keep),
            row.method,
            str(row.ablations),
            "not ablated" if row.measured is None else f"{row.measured:.4f}",
            *([] if not costs else ["" if row.cost is None else f"{row.cost:.4f}"]),
        ]
        for row in kept
    ]
    say_table(header, rows, "rlrrr"[: len(header)])


def print_scores(scores: ScoreTable) -> None:
    """Print the scores of the full model and of every kept set on test questions, a table a metric."""
    compared = any(point.gains for point in scores.points)
    gains = paired = ""
    if compared:
        gains, paired = ", and ours minus each baseline", "; those of differences are paired"
    for name, full in scores.full.items():
        say(f"test {name} on {full.n} questions{gains} [95 % intervals{paired}]:")
        whole = ["all", "full model", f"{full.mean:.3f} [{full.low:.3f}, {full.high:.3f}]", ""]
        rows = [
            [
                str(point.kept.keep),
                point.kept.method,
                "{mean:.3f} [{low:.3f}, {high:.3f}]".format(**vars(point.metrics[name])),
                str(point.gains[name]) if point.gains else "",
            ]
            for point in scores.points
        ]
        columns = 4 if compared else 3
        header = ["kept", "method", name, "ours minus this"]
        say_table(header[:columns], [row[:columns] for row in (whole, *rows)], "rlrr"[:columns])
    if scores.looks > 1:
        say(
            f"the test questions have now been scored for {scores.looks} choices of kept sets; the "
            "intervals do not allow for choosing among them"
        )


def print_size_choice(folder: RunFolder) -> None:
    """Print each size's loss on validation questions and the size chosen; nothing where none was chosen."""
    if not folder.has("size.json"):
        return
    from spex_mech.run.records import size_from_json

    choice = folder.read("size.json", size_from_json)
    say(f"loss on {choice['full']['n']} validation questions, in {choice['metric']}:")
    rows = [
        [
            str(row["keep"]),
            "{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(**row["full minus this"]),
            "passes" if row["passed"] else "is not taken",
        ]
        for row in choice["sizes"]
    ]
    say_table(["kept", "loss [95 %]", "verdict"], rows, "rrl")
    say(f"size chosen: {choice['keep']}")


def print_plan(setup: Setup, phases: Sequence[Phase]) -> None:
    """Print what a run will cost: a line for every phase, the rounds of its design, and its memory."""
    from spex_mech.run.memory import forecast_memory
    from spex_mech.run.plan import first_round, planned_choice

    if (choice := planned_choice(setup)) is not None:
        say(f"{choice.message}\n")
    rows = [
        [
            phase.name,
            bytes_text(phase.size),
            f"{phase.masks:,}",
            f"{phase.rows:,}",
            f"{phase.tokens:,}",
            seconds_text(phase.seconds),
        ]
        for phase in phases
    ]
    sums = [f"{sum(getattr(p, key) for p in phases):,}" for key in ("masks", "rows", "tokens")]
    size = bytes_text(sum(p.size for p in phases))
    rows.append(["total", size, *sums, seconds_text(sum(p.seconds for p in phases))])
    say_table(["phase", "stored", "masks", "answers", "tokens", "time"], rows, "lrrrrr")
    if (first := first_round(setup, phases)) is not None:
        say(
            f"the design is evaluated in rounds, and decoded after each: the first has {first.masks:,} masks "
            f"({first.rows:,} answers, {seconds_text(first.seconds)}); the table has the largest, which is "
            f"reached where R² on the masks held out stays below {setup.spec.design.target_r2}"
        )
    say(forecast_memory(setup).message)
    if setup.form is not None:
        say(
            f"only sets that the form {setup.form} holds are searched; what that costs against the best set "
            "of any form is reported for each size after pruning"
        )


def print_comparisons(comparisons: Sequence[TaskComparison]) -> None:
    """Print every task before and after pruning; nothing where none was compared."""
    from spex_mech.exporting.comparison import comparison_rows

    for comparison in comparisons:
        say(comparison.title)
        header = ["measure", "before", "after", "change [95 % paired interval]"]
        say_table(header, [list(row) for row in comparison_rows(comparison)], "lrrl")


def print_form(form: str, refused: Mapping[str, str]) -> None:
    """Print the form of a checkpoint, and a line for every form that was tried before it."""
    say(f"form: {form}")
    for name, reason in refused.items():
        say(f"not {name}: {reason}", indent="  ")


def print_form_to_write(setup: Setup, kept: Pruned) -> None:
    """Print the form that a kept set would be exported in, or why it cannot be."""
    from spex_mech.core.errors import InputError
    from spex_mech.run.export import form_to_write

    try:
        print_form(*form_to_write(setup, kept))
    except InputError as error:
        say(f"no export of {kept.keep} players yet: {error}")


def print_exported(exported: Exported) -> None:
    """Print the form of what was exported, and its size and speed where they were measured."""
    from spex_mech.exporting.footprint import speedup

    print_form(exported.form, exported.refused)
    before, after = exported.before, exported.after
    if before is not None and after is not None:
        rows = [
            ["parameters", f"{before.parameters:,}", f"{after.parameters:,}", ""],
            ["weights", bytes_text(before.weight_bytes), bytes_text(after.weight_bytes), ""],
            [
                "cache a token",
                bytes_text(before.kv_bytes_per_token),
                bytes_text(after.kv_bytes_per_token),
                "",
            ],
        ]
        speeds = speedup(before, after, seed=0)
        for name, ratio in zip(("prefill", "decode"), speeds, strict=True):
            old, new = (f"{getattr(side, f'{name}_speed'):,.0f}" for side in (before, after))
            times = f"{ratio.mean:.2f} times [{ratio.low:.2f}, {ratio.high:.2f}]"
            rows.append([f"{name}, tokens a second", old, new, times])
        say_table(["measured", "before", "after", "speed [95 %]"], rows, "lrrl")
