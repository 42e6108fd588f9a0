"""Tasks: examples with fixed splits, and how an answer is scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError
from spex_mech.core.short_repr import short_repr
from spex_mech.tasks.token_ids import integers, padded, partner_ids, tokens_of

Split = Literal["search", "validation", "test"]
SPLITS: tuple[Split, ...] = ("search", "validation", "test")


@dataclass(frozen=True)
class Turn:
    """A piece of a prompt: plain text is ``text + after`` of all turns, a chat has a message for each.

    Attributes:
        role: ``system``, ``user`` or ``assistant``, for chats.
        text: what is said.
        after: what separates it from the next piece in plain text.
    """

    role: Literal["system", "user", "assistant"]
    text: str
    after: str = ""


@dataclass(frozen=True)
class Example:
    """One question.

    Attributes:
        id: unique text within the task.
        prompt: the text that the model reads; of a text without options, what is scored.
        answer: index of the right option, from 0.
        options: the options as the model must write them; none for a text.
        split: ``search``, ``validation`` or ``test``.
        contexts: one prompt per option where the text before the options differs (Winogrande).
        turns: the prompt's pieces, for instruct models; if empty, the prompt is one user message.
        partners: corrupted forms of the question, the best first, see `partners`; they have none themselves.
    """

    id: str
    prompt: str
    answer: int
    options: tuple[str, ...]
    split: Split
    contexts: tuple[str, ...] = field(default=(), repr=False)
    turns: tuple[Turn, ...] = field(default=(), repr=False, compare=False)
    partners: tuple[Example, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class AnswerForm:
    """How an answer is scored.

    Attributes:
        name: the word for it in a card.
        scorer: what the scores are, with a version that is raised when the numbers change.
        before: what may stand between prompt and option, in order of preference.
        in_chat: the same after a chat template.
        metric: the metric used when a card names none.
    """

    name: str
    scorer: str
    before: tuple[str, ...] = ("",)
    in_chat: tuple[str, ...] = ("",)
    metric: str = "margin"


_LOGITS = "option logits at the last position, v1"
FORMS = {
    form.name: form
    for form in (
        AnswerForm("letters", _LOGITS, (" ", ""), ("", " ")),
        AnswerForm("pairs", _LOGITS),
        AnswerForm("continuations", "summed log-probability of the option, v1", (" ",)),
        AnswerForm("texts", "mean next-token log-probability, v1", metric="logprob"),
    )
}
CHATS = ("turns", "single")


@dataclass(frozen=True)
class ChoiceTask:
    """Questions with options, or texts to be scored.

    Attributes:
        name: the task card's name.
        version: version of the card's data, template and scorer.
        examples: questions of all splits.
        metric: the metric used when none is asked for.
        chance: accuracy of guessing.
        form: how answers are scored. ``letters``: logits of the options at the last position, each one
            token, with a leading space where the tokenizer has that as one token, else without.
            ``pairs``: the same with options written exactly as they follow the prompt; two of them make
            the logit difference. ``continuations``: log-probability of the option's tokens, summed.
            ``texts``: mean log-probability per predicted token of the prompt.
        chat: None for plain text; ``turns`` to put the prompt through the tokenizer's chat template
            with each shot as a turn of its own, ``single`` with all shots in one user message.
    """

    name: str
    version: int
    examples: tuple[Example, ...] = field(repr=False)
    metric: str = "margin"
    chance: float = 0.25
    form: str = "letters"
    chat: str | None = None

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise InputError(
                f"unknown answer form {self.form!r}; expected one of {', '.join(FORMS)}"
            )
        if self.chat not in (None, *CHATS):
            raise InputError(f"unknown chat {self.chat!r}; expected one of {', '.join(CHATS)}")

    @property
    def scorer(self) -> str:
        """What the scores are."""
        return FORMS[self.form].scorer

    @property
    def before(self) -> tuple[str, ...]:
        """What may stand between prompt and option, in order of preference."""
        return FORMS[self.form].in_chat if self.chat else FORMS[self.form].before

    def select(self, split: str) -> list[Example]:
        """Examples of one split, or of ``all``, in the card's order.

        Raises:
            InputError: an unknown split, or one without examples.
        """
        if split not in (*SPLITS, "all"):
            raise InputError(f"unknown split {split!r}; expected one of {[*SPLITS, 'all']}")
        chosen = [x for x in self.examples if split in (x.split, "all")]
        if not chosen:
            raise InputError(f"task {self.name!r} has no {split} examples; choose another split")
        return chosen

    def first(self, count: int, split: Split = "search") -> ChoiceTask:
        """The task with only the first ``count`` examples of a split; the other splits stay whole.

        Raises:
            InputError: a count below 1 or above what the split has.
        """
        kept = [x for x in self.examples if x.split == split]
        if not 1 <= count <= len(kept):
            raise InputError(
                f"cannot take the first {count} of the {len(kept)} {split} examples of {self.name!r}; take "
                "fewer, or all (game.examples=none)"
            )
        dropped = {x.id for x in kept[count:]}
        return replace(self, examples=tuple(x for x in self.examples if x.id not in dropped))

    def without(self, ids: Iterable[str]) -> ChoiceTask:
        """The task without some of its examples.

        Raises:
            InputError: an id that the task does not have.
        """
        dropped = set(ids)
        unknown = dropped - {x.id for x in self.examples}
        if unknown:
            raise InputError(f"task {self.name!r} has no examples {sorted(unknown)[:3]}")
        return replace(self, examples=tuple(x for x in self.examples if x.id not in dropped))

    def without_partners(self) -> ChoiceTask:
        """The task without the candidates for partners, which take more room than the questions."""
        return replace(self, examples=tuple(replace(x, partners=()) for x in self.examples))

    def with_partners(
        self, partners: Mapping[str, str | Sequence[str]] | Sequence[str]
    ) -> ChoiceTask:
        """The task with corrupted prompts of your own, which counterfactual ablation takes its values from.

        Args:
            partners: id of a question to its partner: the whole text that is read in place of the prompt,
                or several texts, of which the first with as many tokens as the prompt is taken. Questions
                that are not named keep what they have. Or one text for every question, in order.

        Raises:
            InputError: an id that the task does not have, another number of texts than of questions, or a
                partner that is no text.
        """
        if not isinstance(partners, Mapping):
            if isinstance(partners, str) or len(partners) != len(self.examples):
                raise InputError(
                    f"got partners for {1 if isinstance(partners, str) else len(partners)} questions, task "
                    f"{self.name!r} has {len(self.examples)}; give one for each, or a mapping from ids"
                )
            partners = {x.id: text for x, text in zip(self.examples, partners, strict=True)}
        unknown = sorted(set(partners) - {x.id for x in self.examples})
        if unknown:
            raise InputError(f"task {self.name!r} has no examples {unknown[:3]}")
        texts = {i: (t,) if isinstance(t, str) else tuple(t) for i, t in partners.items()}
        for name, some in texts.items():
            if not all(isinstance(text, str) for text in some):
                raise InputError(f"the partner of {name!r} is {some!r}, expected text or texts")
        return replace(self, examples=tuple(_paired(x, texts.get(x.id)) for x in self.examples))

    def __repr__(self) -> str:
        sizes = {s: sum(x.split == s for x in self.examples) for s in SPLITS}
        return f"ChoiceTask({self.name!r}, {sizes})"


def _paired(example: Example, texts: Sequence[str] | None) -> Example:
    if texts is None:
        return example
    alone = replace(example, partners=())
    return replace(
        example, partners=tuple(replace(alone, prompt=t, contexts=(), turns=()) for t in texts)
    )


@short_repr
@dataclass(frozen=True, eq=False)
class TokenTask:
    """Sequences of token ids, for models without a tokenizer.

    Without ``answers`` a sequence's score is its mean log-probability per predicted token. With
    ``answers`` it is the logits of the listed ids at the last position, the first being right; two
    ids make the logit difference of the interpretability literature.

    Args:
        input_ids: int (e, t).
        attention_mask: (e, t), 1 for tokens and 0 for padding on the left or right; default all 1.
        target: ``next_token``, the score of sequences without ``answers``.
        answers: int (e, k), k >= 2, the right answer's id first.
        partners: corrupted sequences for counterfactual ablation, each of as many tokens as its own: int
            (e, t), read through the same ``attention_mask``, or one sequence of token ids for every example.

    Raises:
        InputError: shapes that do not agree, gaps in the mask, sequences too short to score, or partners
            that are not as long as what they stand for.
    """

    input_ids: npt.ArrayLike
    attention_mask: npt.ArrayLike | None = None
    target: str = "next_token"
    answers: npt.ArrayLike | None = None
    name: str = "tokens"
    partners: Any = field(default=None, repr=False)
    sequences: tuple[tuple[int, ...], ...] = field(init=False, repr=False)
    answer_ids: npt.NDArray[np.int64] | None = field(init=False, repr=False)
    partner_sequences: tuple[tuple[int, ...], ...] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.target != "next_token":
            raise InputError(f"unknown target {self.target!r}; expected 'next_token' or answers=")
        ids = integers("input_ids", self.input_ids)
        given = self.attention_mask
        mask = np.ones_like(ids) if given is None else padded("attention_mask", given)
        if mask.shape != ids.shape:
            raise InputError(
                f"attention_mask has shape {mask.shape}, expected that of input_ids, {ids.shape}"
            )
        shortest = 1 if self.answers is not None else 2
        sequences = tuple(
            tokens_of(e, row, keep.astype(bool), shortest)
            for e, (row, keep) in enumerate(zip(ids, mask, strict=True))
        )
        answers = None if self.answers is None else integers("answers", self.answers)
        if answers is not None and (len(answers) != len(ids) or answers.shape[1] < 2):
            raise InputError(
                f"answers have shape {answers.shape}, expected ({len(ids)}, 2): the right and the "
                "wrong token id of every example"
            )
        object.__setattr__(self, "sequences", sequences)
        object.__setattr__(self, "answer_ids", answers)
        pairs = None if self.partners is None else partner_ids(self.partners, sequences, ids, mask)
        object.__setattr__(self, "partner_sequences", pairs)

    @property
    def metric(self) -> str:
        """The metric used when none is asked for."""
        return "logprob" if self.answer_ids is None else "margin"

    @property
    def scorer(self) -> str:
        """What the scores are."""
        if self.answer_ids is None:
            return "mean next-token log-probability, v1"
        return "answer logits at the last position, v1"


Task: TypeAlias = ChoiceTask | TokenTask
