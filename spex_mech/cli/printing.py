"""What the commands print of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spex_mech.cli.tables import say, say_table

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
    for name, full in scores.full.items():
        say(
            f"test {name} on {full.n} questions, and ours minus each baseline "
            "[95 % intervals; those of differences are paired]:"
        )
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
        say_table(["kept", "method", name, "ours minus this"], [whole, *rows], "rlrr")
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
