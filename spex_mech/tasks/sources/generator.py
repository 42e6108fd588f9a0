"""Questions made from templates and words, see `generated`."""

from __future__ import annotations

from spex_mech.tasks.generated import generate, partner_rules
from spex_mech.tasks.questions import Pool
from spex_mech.tasks.sources.source import EVERY_CARD, Source, TaskCard, TaskRequest, refuse


def pools(card: TaskCard, member: str, request: TaskRequest) -> list[Pool]:
    """The one pool that is generated."""
    refuse(card, shots=request.shots, cut=request.cut == "published", data=request.data)
    values = card.values
    questions = generate(
        values["generator"],
        values["templates"],
        values["words"],
        count=values["count"],
        seed=values.get("seed", 0),
        partner=request.partner if request.partner in partner_rules(values["generator"]) else None,
    )
    return [Pool(card.name, tuple(questions))]


SOURCE = Source(
    "generator",
    "generator",
    {
        **EVERY_CARD,
        "metric": str,
        "generator": str,
        "templates": list[str],
        "count": int,
        "words": dict,
    },
    {"form": str, "seed": int, "partner": str},
    pools,
)
