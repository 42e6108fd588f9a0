"""A tokenizer of one token a word, and tasks of letters."""

from __future__ import annotations

import tokenizers
import transformers
from tokenizers.processors import TemplateProcessing

from spex_mech.tasks.task import ChoiceTask, Example

WORDS = ["<s>", "</s>", "[UNK]", *"abcdefghijklmnopqrstuvwxyz", "<u>", "<t>", ":", "<y>"]
CHAT = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'system' and no_system is defined %}{{ raise_exception('no system') }}{% endif %}"
    "<{{ m['role'][0] }}>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<t>{% endif %}"
)


def words(*, start: bool = True, chat: str | None = CHAT):
    """One token a word; sequences begin with <s>."""
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    fast = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if start:
        fast.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<s>", eos_token="</s>", unk_token="[UNK]"
    )
    tokenizer.chat_template = chat
    return tokenizer


def ids(text: str) -> tuple[int, ...]:
    return tuple(WORDS.index(w) for w in text.split())


def task(*examples: Example, **changes) -> ChoiceTask:
    return ChoiceTask("t", 1, examples, **changes)
