"""A tokenizer as llama.cpp's settings, where llama.cpp splits texts in the same way.

llama.cpp knows byte-level BPE by the name of the rule that splits a text into words, and SentencePiece's BPE
by scores. A tokenizer is matched by what its ``tokenizer.json`` says, not by its name or by samples.
Mistral's Tekken is refused: llama.cpp's rule of that name takes capitals beyond A to Z for small letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.models.model import Model

_NORMAL, _UNKNOWN, _CONTROL, _USER, _UNUSED, _BYTE = range(1, 7)
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_END_KEYS = ("eos", "eot", "eom")
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class GgufVocabulary:
    """What llama.cpp needs to know of a tokenizer.

    Attributes:
        model: llama.cpp's name of its kind.
        pre: llama.cpp's name of the rule that splits texts into words; empty for SentencePiece.
        tokens: the text of every row of the embeddings.
        types: llama.cpp's type of every token.
        merges: pairs of byte-level BPE, first merged first.
        scores: scores of SentencePiece's tokens.
        special: ids such as ``bos_token_id``, and whether ``add_bos_token``.
        template: the chat template; empty for none.
    """

    model: str
    pre: str = ""
    tokens: Sequence[str] = ()
    types: Sequence[int] = ()
    merges: Sequence[str] = ()
    scores: Sequence[float] = ()
    special: dict[str, int | bool] = field(default_factory=dict)
    template: str = ""

    def settings(self) -> dict[str, Any]:
        """The settings of a GGUF file; empty ones are left out."""
        parts: dict[str, Any] = {
            "model": self.model,
            "pre": self.pre,
            "tokens": [*self.tokens],
            "token_type": [*self.types],
            "merges": [*self.merges],
            "scores": [*self.scores],
        }
        out = {f"tokenizer.ggml.{k}": v for k, v in parts.items() if v}
        out |= {f"tokenizer.ggml.{k}": v for k, v in self.special.items()}
        return {**out, "tokenizer.chat_template": self.template} if self.template else out

    @property
    def n_bytes(self) -> int:
        """About how many bytes it takes."""
        return sum(12 + len(text.encode()) for text in (*self.tokens, *self.merges)) + 8 * len(
            self.tokens
        )


def vocabulary_of(model: Model) -> GgufVocabulary:
    """The vocabulary of a model's tokenizer; without one, a file of token ids only.

    Raises:
        InputError: a tokenizer that llama.cpp does not have, with the part that it lacks.
    """
    if model.tokenizer is None:
        return GgufVocabulary("no_vocab")
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(_fault(f"a {type(model.tokenizer).__name__}", "it has no tokenizer.json"))
    content = json.loads(backend.to_str())
    rows = model.hf.get_input_embeddings().weight.shape[0]
    tokens, types = _tokens(content, rows)
    special = _special(model)
    template = model.tokenizer.chat_template
    common: Any = {
        "tokens": tokens,
        "types": types,
        "special": special,
        "template": template if isinstance(template, str) else "",
    }
    kind = content["model"]["type"]
    if kind != "BPE":
        raise InputError(
            _fault(f"the model {kind!r}", "llama.cpp reads BPE from these architectures")
        )
    if content["model"].get("byte_fallback"):
        _check_sentencepiece(content)
        return GgufVocabulary("llama", "default", scores=_scores(content, tokens, types), **common)
    merges = [m if isinstance(m, str) else " ".join(m) for m in content["model"]["merges"]]
    if not merges:
        raise InputError(_fault("no merges", "llama.cpp loads no byte-level BPE without one"))
    return GgufVocabulary("gpt2", _pre_tokenizer(content), merges=merges, **common)


def _tokens(content: dict[str, Any], rows: int) -> tuple[list[str], list[int]]:
    """Text and type of the token of every row of the embeddings."""
    texts = {i: text for text, i in content["model"]["vocab"].items()}
    kinds = {i: _BYTE if _BYTE_TOKEN.fullmatch(text) else _NORMAL for i, text in texts.items()}
    for token in content["added_tokens"]:
        texts[token["id"]] = token["content"]
        kinds[token["id"]] = _CONTROL if token["special"] else _USER
    unknown = content["model"].get("unk_token")
    kinds |= {i: _UNKNOWN for i, text in texts.items() if text == unknown}
    most = max(texts, default=0)
    if most >= rows:
        raise InputError(_fault(f"{most + 1} tokens", f"the model has embeddings of {rows}"))
    return (
        [texts.get(i, f"[PAD{i}]") for i in range(rows)],
        [kinds.get(i, _UNUSED) for i in range(rows)],
    )


def _special(model: Model) -> dict[str, int | bool]:
    """Ids of the special tokens, and which of them stand around every text."""
    tokenizer: Any = model.tokenizer
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    at = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), None)
    before, after = (None, None) if at is None else (whole[:at], whole[at + len(bare) :])
    bos, ends = tokenizer.bos_token_id, _ends(model)
    if before not in ([], [bos]) or after not in ([], ends[:1]):
        raise InputError(
            _fault(
                f"{whole} for {bare}",
                "llama.cpp adds one token before a text and one after at most",
            )
        )
    named = {"bos": bos, "unknown": tokenizer.unk_token_id, "padding": tokenizer.pad_token_id}
    named |= dict(zip(_END_KEYS, ends, strict=False))
    out: dict[str, int | bool] = {f"{k}_token_id": v for k, v in named.items() if v is not None}
    return {**out, "add_bos_token": bool(before), "add_eos_token": bool(after)}


def _ends(model: Model) -> list[int]:
    """Tokens that end a generation, the tokenizer's own first."""
    said = model.hf.generation_config.eos_token_id
    ends = [said] if isinstance(said, int) else [*(said or ())]
    own = getattr(model.tokenizer, "eos_token_id", None)
    if own is not None and (own in ends or not ends):
        ends = [own, *(end for end in ends if end != own)]
    if len(ends) > len(_END_KEYS):
        raise InputError(
            _fault(f"{len(ends)} tokens that end a text", f"a file names {len(_END_KEYS)}")
        )
    return ends


def _pre_tokenizer(content: dict[str, Any]) -> str:
    """llama.cpp's name of how byte-level BPE splits a text into words."""
    model, part = content["model"], content["pre_tokenizer"]
    parts = part["pretokenizers"] if part and part["type"] == "Sequence" else [part]
    kinds = [_split_kind(x) for x in parts]
    ignored = bool(model.get("ignore_merges"))
    name = {
        (("gpt2",), False): "gpt-2",
        (("digits", "gpt2"), False): "smollm",
        ((LLAMA3, "bytes"), True): "llama-bpe",
    }.get((tuple(kinds), ignored))
    if content["normalizer"] is not None or name is None:
        what = content["normalizer"] or part
        raise InputError(
            _fault(
                f"{json.dumps(what)[:200]}",
                "llama.cpp splits in that way under none of the known names",
            )
        )
    return name


def _split_kind(part: dict[str, Any] | None) -> str:
    """A name for one step of splitting; that of a regular expression is the expression."""
    if part is None:
        return "none"
    plain = {k: v for k, v in part.items() if k != "trim_offsets"}
    if plain == {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
        return "gpt2"
    if plain == {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}:
        return "bytes"
    if plain == {"type": "Digits", "individual_digits": True}:
        return "digits"
    if part["type"] == "Split" and part["behavior"] == "Isolated" and not part["invert"]:
        return part["pattern"].get("Regex", "none")
    return part["type"]


def _check_sentencepiece(content: dict[str, Any]) -> None:
    """Refuse what SentencePiece's BPE in llama.cpp does not do."""
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    spaced = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]}
    normalizer, split = content["normalizer"], content["pre_tokenizer"]
    old = normalizer == spaced and split is None
    metaspace = {"type": "Metaspace", "replacement": "▁", "split": False}
    new = normalizer is None and any(
        split == {**metaspace, "prepend_scheme": scheme} for scheme in ("first", "always")
    )
    if not (old or new) or content["model"].get("ignore_merges"):
        raise InputError(
            _fault(
                f"{json.dumps(normalizer or split)[:200]}",
                "llama.cpp puts a space before a text, and no more",
            )
        )


def _scores(content: dict[str, Any], tokens: list[str], types: list[int]) -> list[float]:
    """Scores in whose order llama.cpp merges as the ranks of the merges say."""
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(content["model"]["merges"]):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        ranks.setdefault("".join(pair), rank)
    for text, kind in zip(tokens, types, strict=True):
        if kind == _NORMAL and len(text) > 1 and text not in ranks:
            raise InputError(
                _fault(f"the token {text!r} without a merge", "llama.cpp would merge to it")
            )
    last = float(-len(ranks) - 1)
    return [float(-ranks[text]) if text in ranks else last for text in tokens]


def _fault(what: str, why: str) -> str:
    return (
        f"GGUF cannot hold its tokenizer: it has {what}, and {why}. Give the model without it, as "
        "sm.load_model(model.hf), for a file that only programs with token ids of their own can use"
    )
