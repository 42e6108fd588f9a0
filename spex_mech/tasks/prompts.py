"""Prompts: a task's examples as token ids, with the ids of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError
from spex_mech.tasks.chats import encode_texts, render
from spex_mech.tasks.continuations import Continuation, encode_continuations
from spex_mech.tasks.task import ChoiceTask, Example, Task, TokenTask

# The score of an option that an example does not have. Finite, so that softmax, store and checks need
# no special case: beside any real score its probability is 0.
NO_OPTION = np.float32(-1e30)


@dataclass(frozen=True)
class Prompts:
    """Examples as token ids, ready to be scored.

    A row of ``tokens`` is an example, or with ``options`` one option of an example. What is read of a
    row: the logits of ``answers`` at its last position; else the summed log-probability of its last
    ``targets`` tokens; with neither, the mean log-probability of all its tokens but the first.

    Attributes:
        ids: unique text for each of the e examples.
        tokens: token ids of each row, without padding.
        answers: int64 (e, k) token ids, or None.
        right: int64 (e,), the column that is right.
        targets: int64 (rows,), numbers of tokens at the end of each row, or None.
        options: int64 (e, k), the row of each option, −1 where an example has fewer; None where rows
            are examples.
        lengths: float64 (e, k), characters of each option, or None.
        partners: token ids of each row's corrupted form, as many as the row has, or None; see `partners`.
    """

    ids: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...] = field(repr=False)
    answers: npt.NDArray[np.int64] | None = field(repr=False)
    right: npt.NDArray[np.int64] = field(repr=False)
    targets: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    options: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    lengths: npt.NDArray[np.float64] | None = field(default=None, repr=False)
    partners: tuple[tuple[int, ...], ...] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.tokens)

    @property
    def has_answers(self) -> bool:
        """Whether an example has one score per answer, rather than a single score."""
        return self.answers is not None or self.options is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the scores of one mask: (e, k), or (e,) where an example has a single score."""
        columns = self.answers if self.options is None else self.options
        return (len(self.ids),) if columns is None else (len(self.ids), columns.shape[1])

    def rows_of(self, questions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The rows (k, o) of the examples at some positions (k,), −1 for options that one does not have."""
        return questions[:, None] if self.options is None else self.options[questions]

    def at(self, questions: npt.NDArray[np.int64]) -> Prompts:
        """The examples at some positions (k,), for the metrics of their scores; one may come again."""

        def some(part: npt.NDArray | None) -> Any:
            return None if part is None else part[questions]

        # Else rows stay where options say that they are; of a store, none are known.
        of_example = self.options is None and len(self.tokens) > 0
        partners = self.partners
        if of_example and partners is not None:
            partners = tuple(partners[q] for q in questions)
        return replace(
            self,
            ids=tuple(self.ids[q] for q in questions),
            tokens=tuple(self.tokens[q] for q in questions) if of_example else self.tokens,
            answers=some(self.answers),
            right=some(self.right),
            targets=some(self.targets) if of_example else self.targets,
            options=some(self.options),
            lengths=some(self.lengths),
            partners=partners,
        )

    def arrange(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores of rows (m, rows, ...) as scores of examples (m, e, ...); missing options get −1e30."""
        if self.options is None:
            return rows
        return np.where(self.options >= 0, rows[:, self.options], NO_OPTION)


def encode(task: Task, split: str, tokenizer: Any | None, context: int | None) -> Prompts:
    """Turn a task's examples into token ids.

    Args:
        task: the task.
        split: which examples; a `TokenTask` has only ``search``, which is also ``all``.
        tokenizer: the model's tokenizer; a `TokenTask` needs none.
        context: the longest input in tokens, if there is a limit.

    Raises:
        InputError: no tokenizer or chat template, an option that is not one token, or a prompt longer
            than the context.
    """
    prompts = _encode(task, split, tokenizer)
    long = _too_long(prompts, context)
    if long:
        name, length = next(iter(long.items()))
        others = f" (and {len(long) - 1} more are too long)" if len(long) > 1 else ""
        raise InputError(
            f"prompt {name!r} has {length} tokens, the model's context holds {context}{others}; use "
            "fewer shots, or leave such questions out with prompts.fitting(task, tokenizer, context) "
            "or task.without(ids) (prompts are never cut)"
        )
    return prompts


def fitting(task: ChoiceTask, tokenizer: Any, context: int | None = None) -> ChoiceTask:
    """The task without the questions that this tokenizer or context cannot take.

    These are prompts that are longer than the context, and questions whose options the tokenizer does
    not have as single tokens (years, in greater-than, that it cuts elsewhere). What is left is shown
    by ``len(task.examples)``; nothing is ever left out unless asked for here.

    Args:
        task: the task.
        tokenizer: the model's tokenizer.
        context: the longest input in tokens, if there is a limit.

    Raises:
        InputError: no question is left.
    """
    gone: dict[str, str] = {}
    for example in task.examples:
        try:
            encoded = _ENCODERS[task.form](task, [example], tokenizer)
        except InputError as error:
            gone[example.id] = str(error)
        else:
            gone.update({name: f"{n} tokens" for name, n in _too_long(encoded, context).items()})
    if len(gone) == len(task.examples):
        name, reason = next(iter(gone.items()))
        raise InputError(f"no question of task {task.name!r} fits; the first, {name!r}: {reason}")
    return task.without(gone)


def _encode(task: Task, split: str, tokenizer: Any | None) -> Prompts:
    if isinstance(task, TokenTask):
        if split not in ("search", "all"):
            raise InputError(
                f"a TokenTask has no {split} split; use split='all', or one TokenTask for each split"
            )
        return _encode_tokens(task)
    if tokenizer is None:
        raise InputError(
            f"task {task.name!r} is text but the model has no tokenizer; pass tokenizer= to "
            "load_model, or score token ids with TokenTask"
        )
    return _ENCODERS[task.form](task, task.select(split), tokenizer)


def _too_long(prompts: Prompts, context: int | None) -> dict[str, int]:
    """Length of each example that does not fit."""
    lengths = np.array([len(t) for t in prompts.tokens])
    if prompts.options is not None:
        lengths = np.where(prompts.options >= 0, lengths[prompts.options], 0).max(axis=1)
    return {
        name: int(length)
        for name, length in zip(prompts.ids, lengths, strict=True)
        if context is not None and length > context
    }


def _encode_tokens(task: TokenTask) -> Prompts:
    count = len(task.sequences)
    return Prompts(
        ids=tuple(str(e) for e in range(count)),
        tokens=task.sequences,
        answers=task.answer_ids,
        right=np.zeros(count, dtype=np.int64),
    )


def _encode_texts(task: ChoiceTask, examples: Sequence[Example], tokenizer: Any) -> Prompts:
    tokens = encode_texts(tokenizer, [x.prompt for x in examples])
    for example, ids in zip(examples, tokens, strict=True):
        if len(ids) < 2:
            raise InputError(f"text {example.id!r} has {len(ids)} tokens, expected at least 2")
    return Prompts(_ids(examples), tuple(tokens), None, np.zeros(len(examples), dtype=np.int64))


def _encode_logits(task: ChoiceTask, examples: Sequence[Example], tokenizer: Any) -> Prompts:
    widths = {len(x.options) for x in examples}
    if len(widths) > 1:
        raise InputError(
            f"questions have {sorted(widths)} options; give every question the same number, or score "
            "the options as continuations"
        )
    texts = [render(x.prompt, x.turns, task.chat, tokenizer) for x in examples]
    tokens = encode_texts(tokenizer, texts)
    # A tokenizer looks back no further than a word or two: equal endings give equal option ids.
    known: dict[tuple[tuple[str, ...], str], list[int]] = {}
    answers = []
    for example, text, ids in zip(examples, texts, tokens, strict=True):
        key = (example.options, text[-64:])
        if key not in known:
            known[key] = _option_ids(example, text, ids, task.before, tokenizer)
        answers.append(known[key])
    return Prompts(
        _ids(examples), tuple(tokens), np.array(answers, dtype=np.int64), _right(examples)
    )


def _option_ids(
    example: Example,
    text: str,
    prompt: tuple[int, ...],
    before: tuple[str, ...],
    tokenizer: Any,
) -> list[int]:
    """Token id of each option after the prompt, for the first of ``before`` that makes them single."""
    added: list[tuple[int, ...]] = []
    for space in before:
        longer = encode_texts(tokenizer, [text + space + o for o in example.options])
        # A closing token that the tokenizer appends to the prompt as well is not part of the answer.
        added = [ids[len(prompt) :] if ids[: len(prompt)] == prompt else () for ids in longer]
        if all(len(ids) == 1 for ids in added) and len(set(added)) == len(added):
            return [ids[0] for ids in added]
    raise InputError(
        f"options {list(example.options)} are not single, distinct tokens after the prompt for this "
        f"tokenizer (example {example.id!r}: they add {[len(ids) for ids in added]} tokens); use a "
        "tokenizer that has them as tokens, or load the task with form='continuations'"
    )


def _encode_continuations(task: ChoiceTask, examples: Sequence[Example], tokenizer: Any) -> Prompts:
    """Every option is a row of its own: what the model reads, then the option's tokens."""
    (space,) = task.before
    rows = [
        Continuation(example.id, context, space + option)
        for example in examples
        for context, option in option_texts(example, task.chat, tokenizer)
    ]
    encoded = encode_continuations(rows, tokenizer)
    count, width = len(examples), max(len(x.options) for x in examples)
    has = np.arange(width) < np.array([len(x.options) for x in examples])[:, None]
    options = np.full((count, width), -1, dtype=np.int64)
    options[has] = np.arange(len(rows))
    lengths = np.ones((count, width))
    lengths[has] = [max(1, len(o)) for x in examples for o in x.options]
    return Prompts(
        ids=_ids(examples),
        tokens=tuple(ids for ids, _ in encoded),
        answers=None,
        right=_right(examples),
        targets=np.array([count for _, count in encoded]),
        options=options,
        lengths=lengths,
    )


def option_texts(example: Example, chat: str | None, tokenizer: Any) -> list[tuple[str, str]]:
    """What the model reads before each option, and the option."""
    if example.contexts and chat is None:
        return list(zip(example.contexts, example.options, strict=True))
    if example.contexts:
        raise InputError(
            f"example {example.id!r} has a context for each option, which has no chat form; leave "
            "chat out"
        )
    text = render(example.prompt, example.turns, chat, tokenizer)
    return [(text, option) for option in example.options]


def _ids(examples: Sequence[Example]) -> tuple[str, ...]:
    return tuple(x.id for x in examples)


def _right(examples: Sequence[Example]) -> npt.NDArray[np.int64]:
    return np.array([x.answer for x in examples], dtype=np.int64)


_ENCODERS = {
    "letters": _encode_logits,
    "pairs": _encode_logits,
    "continuations": _encode_continuations,
    "texts": _encode_texts,
}
