"""Partners: the corrupted form of a question, from which counterfactual ablation takes its values.

A removed part takes, position by position, the value that it has on the partner, so a partner must have as
many tokens as what it stands for. Where questions come from, only texts are known; so a question has several
candidates there, the best first, and a model's tokenizer decides: the first candidate is taken that has as
many tokens and is not the same. A question without such a candidate is refused, and left out where asked for.

A card's ``partner`` says how candidates are made. Generators have rules of their own (`generated`). All other
cards know ``options``, the question with its choices in another order, and ``another``, another question of
the same subject and split: the prompt is the other question's, and what is scored after it stays. Where
nothing stands before what is scored, as in BLiMP, that is the other question's too.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.tasks.cells import LETTERS
from spex_mech.tasks.chats import encode_texts, render
from spex_mech.tasks.continuations import Continuation, encode_continuations
from spex_mech.tasks.prompts import Prompts, option_texts
from spex_mech.tasks.questions import Question
from spex_mech.tasks.task import ChoiceTask, Example, Task, TokenTask

RULES = ("options", "another")
"""What every card's ``partner`` may be, besides the rules of its generator."""

_CANDIDATES = 16
_Rows = list[tuple[tuple[int, ...], int]]  # token ids, and how many at the end are scored


@dataclass(frozen=True)
class _Unpaired:
    """Why a question has no partner: its tokens, and those of its candidates."""

    own: list[int]
    candidates: list[list[int]]

    def __str__(self) -> str:
        if not self.candidates:
            return "it has no candidates"
        found = sorted({str(x[0]) if len(x) == 1 else str(x) for x in self.candidates})
        own = self.own[0] if len(self.own) == 1 else self.own
        return f"it has {own} tokens, its {len(self.candidates)} candidates {', '.join(found[:4])}"


def reordered(question: Question) -> list[dict[str, str]]:
    """The fields of a question with its choices moved on by one, two, ... letters.

    Every choice then stands at another letter, the right one too.
    """
    letters = [
        x for x in question.options if x in question.fields
    ]  # where the model answers letters
    if len(letters) < 2:
        letters = [x for x in LETTERS if x in question.fields]
    choices = [question.fields[x] for x in letters]
    turned = (choices[i:] + choices[:i] for i in range(1, len(choices)))
    return [{**question.fields, **dict(zip(letters, x, strict=True))} for x in turned]


def others(examples: Sequence[Example]) -> list[Example]:
    """The examples with other ones of their split as candidates, the most alike in length first.

    Texts of as many words and nearly as many characters have as many tokens most often. Among equals a hash
    of text and id decides, not their order.
    """
    groups: dict[str, list[_Measured]] = defaultdict(list)
    for x in examples:
        groups[x.split].append(_Measured(*_length(x), x))
    partners: dict[str, tuple[Example, ...]] = {}
    for group in groups.values():
        group.sort(key=lambda x: (x.words, x.characters, x.digest))
        for i, own in enumerate(group):
            near = group[max(0, i - _CANDIDATES) : i] + group[i + 1 : i + 1 + _CANDIDATES]
            near.sort(key=own.distance)
            partners[own.example.id] = tuple(x.example for x in near[:_CANDIDATES])
    return [replace(x, partners=partners[x.id]) for x in examples]


@dataclass(frozen=True)
class _Measured:
    """An example and the length of its text."""

    words: int
    characters: int
    digest: str
    example: Example

    def distance(self, other: _Measured) -> tuple[int, int]:
        return abs(self.words - other.words), abs(self.characters - other.characters)


def _length(example: Example) -> tuple[int, int, str]:
    text = example.prompt or " ".join(example.options)
    content = f"{example.prompt} {example.options} {example.id}"
    return len(text.split()), len(text), hashlib.sha256(content.encode()).hexdigest()


def with_partner_tokens(prompts: Prompts, task: Task, split: str, tokenizer: Any) -> Prompts:
    """Prompts with the token ids of each row's partner.

    Args:
        prompts: what `encode` gave for the same task and split.
        task: the task.
        split: which examples.
        tokenizer: the model's tokenizer; a `TokenTask` needs none.

    Raises:
        InputError: questions without a partner of as many tokens; says how many, and which is the first.
    """
    if isinstance(task, TokenTask):
        if task.partner_sequences is None:
            raise InputError(
                "counterfactual ablation needs a corrupted partner of every example, and the TokenTask has "
                "none; give TokenTask(..., partners=) ids of the shape of input_ids"
            )
        return replace(prompts, partners=task.partner_sequences)
    examples = task.select(split)
    found = [_partner_of(task, x, tokenizer) for x in examples]
    wrong = [
        (x, rows) for x, rows in zip(examples, found, strict=True) if isinstance(rows, _Unpaired)
    ]
    if wrong:
        first, why = wrong[0]
        raise InputError(
            f"{len(wrong)} of {len(examples)} {split} questions of {task.name!r} have no corrupted partner "
            f"with as many tokens for this tokenizer, the first is {first.id!r}: {why}; {_REMEDY}"
        )
    rows = [ids for each in found if not isinstance(each, _Unpaired) for ids in each]
    return replace(prompts, partners=tuple(rows))


_REMEDY = (
    "leave such questions out with partners.paired_only(task, tokenizer), in a spec with "
    "game.unpaired=leave_out; or give texts with task.with_partners(...)"
)


def paired_only(task: ChoiceTask, tokenizer: Any, split: str = "all") -> ChoiceTask:
    """The task without the questions that have no partner of as many tokens for a tokenizer.

    Nothing is left out unless asked for here; ``len(task.examples)`` shows what is left.

    Args:
        task: the task.
        tokenizer: the model's tokenizer.
        split: the split that questions are left out of; the others stay whole.

    Raises:
        InputError: no question of the split is left.
    """
    found = {x.id: _partner_of(task, x, tokenizer) for x in task.select(split)}
    gone = {name: why for name, why in found.items() if isinstance(why, _Unpaired)}
    if len(gone) == len(found):
        name, why = next(iter(gone.items()))
        raise InputError(
            f"no question of {task.name!r} has a corrupted partner with as many tokens; the first, "
            f"{name!r}: {why}; add partner= to the card, or give texts with task.with_partners(...)"
        )
    return task.without(gone)


def _partner_of(
    task: ChoiceTask, example: Example, tokenizer: Any
) -> list[tuple[int, ...]] | _Unpaired:
    """Token ids of the rows of the first candidate that fits."""
    own = _rows(task, example, example, tokenizer)
    lengths: list[list[int]] = []
    for candidate in example.partners:
        try:
            rows = _rows(task, example, candidate, tokenizer)
        except InputError:  # this tokenizer joins the candidate with the option
            continue
        alike = [(len(a), n) == (len(b), k) for (a, n), (b, k) in zip(own, rows, strict=True)]
        if all(alike) and rows != own:
            return [ids for ids, _ in rows]
        lengths.append([len(ids) for ids, _ in rows])
    return _Unpaired([len(ids) for ids, _ in own], lengths)


def _rows(task: ChoiceTask, example: Example, read: Example, tokenizer: Any) -> _Rows:
    """The rows of an example as `encode` makes them, with another example's prompt."""
    if task.form != "continuations":
        text = render(read.prompt, read.turns, task.chat, tokenizer)
        return [(ids, 0) for ids in encode_texts(tokenizer, [text])]
    (space,) = task.before
    texts = option_texts(example, task.chat, tokenizer)
    if read is not example:
        other = option_texts(read, task.chat, tokenizer)
        for k, (context, option) in enumerate(texts):
            before, after = other[min(k, len(other) - 1)]
            if context.strip():
                texts[k] = before, option
            else:  # what is scored is the whole text
                texts[k] = "", before if before.strip() else after
    return encode_continuations(
        [Continuation(example.id, context, space + option) for context, option in texts], tokenizer
    )
