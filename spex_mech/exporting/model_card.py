"""The model card of an exported checkpoint: what was removed, and what is known of the result."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate
from spex_mech.core.players import PlayerSet
from spex_mech.core.short_repr import short_repr
from spex_mech.exporting.comparison import TaskComparison, comparison_rows
from spex_mech.exporting.footprint import Footprint, speedup
from spex_mech.models.model import Model


@short_repr
@dataclass(frozen=True)
class Card:
    """What the maker of a pruned model has to say about it, as plain data.

    Attributes:
        task: what the model was pruned for.
        interactions: the spectrum's strongest interactions, text and value, strongest first.
        index: what the values of ``interactions`` are, such as ``"FBII"``.
        held_out: claim to its number on questions that no search saw. A number that comes without
            an interval is not printed.
        comparisons: the task, and others that the model was not pruned for, before and after pruning.
        recovered: the same after fine-tuning the kept weights, if that was done; printed apart.
        spec: the run's specification as text, with which it can be repeated.
        before: the model's measured costs.
        after: the costs of what is exported, measured in the same rounds.
    """

    task: str = ""
    interactions: Sequence[tuple[str, float]] = ()
    index: str = ""
    held_out: Mapping[str, Estimate | float] = field(default_factory=dict)
    comparisons: Sequence[TaskComparison] = ()
    recovered: Mapping[str, Estimate | float] = field(default_factory=dict)
    spec: str = ""
    before: Footprint | None = None
    after: Footprint | None = None

    def __post_init__(self) -> None:
        if (self.before is None) != (self.after is None):
            raise InputError("a card compares costs: give both before= and after=, or neither")


@dataclass(frozen=True)
class Form:
    """How a checkpoint was written.

    Attributes:
        mode: ``dense`` or ``compact``.
        rescale: whether kept heads were rescaled.
        recovered: whether its weights were fine-tuned after pruning.
        loading: how it is loaded, in Markdown; it is not escaped.
        library: what loads it, as the Hugging Face hub calls it.
        refused: other forms that were tried, and why each cannot hold the model.
    """

    mode: str
    rescale: bool = False
    recovered: bool = False
    loading: str = ""
    library: str = "transformers"
    refused: Mapping[str, str] = field(default_factory=dict)


def card_text(
    card: Card, model: Model, players: PlayerSet, mask: Bool[np.ndarray, " n"], form: Form
) -> str:
    """The card in Markdown, with the metadata that the Hugging Face hub reads.

    Texts from models, tasks and players are escaped: they cannot add markup, HTML or metadata.

    Args:
        card: what is to be told.
        model: the model that was pruned.
        players: the players of ``mask``.
        mask: bool (n,), True = kept.
        form: how the checkpoint was written.
    """
    name = Path(model.name).name if Path(model.name).exists() else model.name
    parts = [
        _metadata(name, form.library),
        f"# {_plain(name)}, pruned\n",
        _about(card, players, mask, form),
        f"## Loading\n\n{form.loading}\n" if form.loading else "",
        _refused(form.refused),
        _removed(players, mask),
        _interactions(card),
        _comparisons(card.comparisons),
        _claims("Held-out results", card.held_out),
        _claims("After recovery (fine-tuned, not the pruned model alone)", card.recovered),
        _costs(card),
        _spec(card.spec),
    ]
    return "\n".join(part for part in parts if part)


def _metadata(name: str, library: str) -> str:
    # A JSON string is a YAML string.
    source = f"base_model: {json.dumps(name)}\n" if re.fullmatch(r"[\w.-]+/[\w.-]+", name) else ""
    return f"---\nlibrary_name: {library}\n{source}tags:\n- pruned\n- spex-mech\n---\n"


def _about(card: Card, players: PlayerSet, mask: np.ndarray, form: Form) -> str:
    explanation = (
        "Removed parts are zero; every tensor has its old size."
        if form.mode == "dense"
        else "Removed parts are gone from the weights."
    )
    if form.rescale:
        explanation += " Kept heads are multiplied by heads / kept heads of their layer."
    if form.recovered:
        explanation += " The weights were fine-tuned after pruning."
    task = f" for **{_plain(card.task)}**" if card.task else ""
    return (
        f"Pruned with spex-mech{task}: {int(mask.sum())} of {players.n} parts kept. {explanation}\n"
    )


def _refused(refused: Mapping[str, str]) -> str:
    if not refused:
        return ""
    rows = "\n".join(f"- {_plain(form)}: {_plain(reason)}" for form, reason in refused.items())
    return f"## Why it has no other form\n\n{rows}\n"


def _removed(players: PlayerSet, mask: np.ndarray) -> str:
    names = [name for name, kept in zip(players.names, mask, strict=True) if not kept]
    listed = ", ".join(_plain(name) for name in names) or "none"
    return f"## Removed\n\n{len(names)} of {players.n}: {listed}\n"


def _interactions(card: Card) -> str:
    if not card.interactions:
        return ""
    kind = f" ({_plain(card.index)})" if card.index else ""
    rows = [f"| {_plain(text)} | {value:+.4g} |" for text, value in card.interactions]
    head = [f"## Strongest interactions{kind}\n", "| parts | value |", "|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def _comparisons(comparisons: Sequence[TaskComparison]) -> str:
    if not comparisons:
        return ""
    lines = ["## Before and after, on questions that no search saw\n"]
    for comparison in comparisons:
        lines += [
            f"### {_plain(comparison.title)}\n",
            "| | before | after | change (95 % paired interval) |",
            "|---|---|---|---|",
            *(f"| {' | '.join(map(_plain, row))} |" for row in comparison_rows(comparison)),
            "",
        ]
    return "\n".join(lines)


def _claims(title: str, claims: Mapping[str, Estimate | float]) -> str:
    rows, bare = [], 0
    for name, claim in claims.items():
        if not isinstance(claim, Estimate) or not all(
            math.isfinite(x) for x in (claim.mean, claim.low, claim.high)
        ):
            bare += 1
            continue
        rows.append(
            f"| {_plain(name)} | {claim.mean:.4g} | {claim.low:.4g} to {claim.high:.4g} "
            f"({claim.level:.0%}) | {claim.n} |"
        )
    if not claims:
        return ""
    lines = [f"## {title}\n"]
    if rows:
        lines += ["| what | value | interval | questions |", "|---|---|---|---|", *rows]
    if bare:
        lines.append(f"\n{bare} not printed: no interval was given.")
    return "\n".join(lines) + "\n"


def _costs(card: Card) -> str:
    before, after = card.before, card.after
    if before is None or after is None:
        return ""
    rows = [
        ("parameters", f"{before.parameters:,}", f"{after.parameters:,}"),
        ("bytes of weights", f"{before.weight_bytes:,}", f"{after.weight_bytes:,}"),
        ("bytes of files", _count(before.file_bytes), _count(after.file_bytes)),
        (
            "bytes of key/value cache a token",
            f"{before.kv_bytes_per_token:,.0f}",
            f"{after.kv_bytes_per_token:,.0f}",
        ),
        (
            "prefill, tokens per second",
            f"{before.prefill_speed:,.0f}",
            f"{after.prefill_speed:,.0f}",
        ),
        (
            "decoding, tokens per second",
            f"{before.decode_speed:,.0f}",
            f"{after.decode_speed:,.0f}",
        ),
    ]
    prefill, decode = speedup(before, after, seed=0)
    lines = [
        "## Measured costs\n",
        "| | before | after |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        f"\nBatches of {after.batch}, {after.prompt_tokens} tokens read, {after.new_tokens} decoded; "
        f"rounds in turns. Prefill is {prefill.mean:.2f} times as fast ({prefill.low:.2f} to "
        f"{prefill.high:.2f}), decoding {decode.mean:.2f} times ({decode.low:.2f} to "
        f"{decode.high:.2f}; {decode.level:.0%} over {decode.n} rounds).",
    ]
    return "\n".join(lines) + "\n"


def _spec(spec: str) -> str:
    if not spec:
        return ""
    # Longer than any run of backticks inside, so that the text cannot end its own block.
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", spec)), default=0))
    return f"## To repeat it\n\n{fence}\n{spec.rstrip()}\n{fence}\n"


def _count(value: int | None) -> str:
    return "not given" if value is None else f"{value:,}"


def _plain(text: str) -> str:
    """Text as one line that Markdown and HTML show as it is."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = line.replace("://", "&#58;//")  # no links either
    return re.sub(r"([\\`*_{}\[\]()+!|~$-])", r"\\\1", line)
