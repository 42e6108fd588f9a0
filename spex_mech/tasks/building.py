"""Questions, shots and a template become a task.

A prompt is the card's intro, the shots, then the question; every shot is followed by a space, its
answer and a blank line. These are the prompts of lm-evaluation-harness byte for byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spex_mech.core.errors import InputError
from spex_mech.tasks.partners import others, reordered
from spex_mech.tasks.questions import Pool, Question
from spex_mech.tasks.splits import assign
from spex_mech.tasks.task import ChoiceTask, Example, Split, Turn
from spex_mech.tasks.templates import fill


@dataclass(frozen=True)
class Asking:
    """How questions are asked.

    Attributes:
        name: the task's name.
        version: the card's version.
        template: a question's text, with the source's fields in braces.
        intro: text at the start of every prompt, with ``{subject}`` as a field.
        metric: default metric.
        form: how answers are scored; see `ChoiceTask`.
        shots: worked examples before each question.
        seed: seed of the splits.
        chat: see `ChoiceTask`.
        partner: the rule for partners of questions that come without, see `partners`; None for none.
    """

    name: str
    version: int
    template: str
    intro: str
    metric: str
    form: str
    shots: int
    seed: int
    chat: str | None
    partner: str | None = None


def build(asking: Asking, pools: Sequence[Pool]) -> ChoiceTask:
    """The task of one or more subjects.

    Raises:
        InputError: more shots than a pool has, a template that names a field that the questions lack, or
            two questions with the same id.
    """
    examples = [example for pool in pools for example in _examples(asking, pool)]
    if not examples:
        raise InputError(f"task {asking.name!r} has no questions; check its data")
    twice = [name for name, count in Counter(x.id for x in examples).items() if count > 1]
    if twice:
        raise InputError(f"task {asking.name!r} has questions with the same id: {twice[:3]}")
    widths = [max(1, len(x.options)) for x in examples]
    return ChoiceTask(
        asking.name,
        asking.version,
        tuple(examples),
        metric=asking.metric,
        chance=sum(1 / w for w in widths) / len(widths),
        form=asking.form,
        chat=asking.chat,
    )


def _examples(asking: Asking, pool: Pool) -> list[Example]:
    if not 0 <= asking.shots <= len(pool.shots):
        raise InputError(
            f"{pool.name!r} has {len(pool.shots)} questions to show as worked examples, cannot give "
            f"{asking.shots} shots; ask for 0 to {len(pool.shots)}"
        )
    intro = fill(asking.intro, {"subject": pool.title}, f"task {asking.name!r}")
    before = [Turn("system", intro)] if intro else []
    for shot in pool.shots[: asking.shots]:
        text = shot.contexts[shot.answer] if shot.contexts else _text(asking, shot)
        before += [Turn("user", text, " "), Turn("assistant", shot.options[shot.answer], "\n\n")]
    start = "".join(turn.text + turn.after for turn in before)
    splits: list[Split] = [x.split for x in pool.questions if x.split is not None]
    if len(splits) < len(pool.questions):
        splits = assign(pool.questions, seed=asking.seed, search=pool.search)
    examples = []
    for question, split in zip(pool.questions, splits, strict=True):
        text = _text(asking, question)
        example = Example(
            id=question.id,
            prompt=start + text,
            answer=question.answer,
            options=question.options,
            split=split,
            contexts=tuple(start + context for context in question.contexts),
            turns=(*before, Turn("user", text)),
        )
        corrupted = [x for x in _corrupted(asking, question) if x != text]
        partners = tuple(
            replace(example, prompt=start + x, contexts=(), turns=(*before, Turn("user", x)))
            for x in corrupted
        )
        examples.append(replace(example, partners=partners))
    if asking.partner != "another":
        return examples
    by_id = {x.id: x for x in others([replace(x, partners=()) for x in examples])}
    return [x if x.partners else by_id[x.id] for x in examples]


def _corrupted(asking: Asking, question: Question) -> Sequence[str]:
    """The texts of a question's own partners, or of those that the card's rule makes of it alone."""
    if question.partners or asking.partner != "options":
        return question.partners
    name = f"task {asking.name!r} at question {question.id!r}"
    return [fill(asking.template, fields, name) for fields in reordered(question)]


def _text(asking: Asking, question: Question) -> str:
    name = f"task {asking.name!r} at question {question.id!r}"
    return fill(asking.template, question.fields, name)
