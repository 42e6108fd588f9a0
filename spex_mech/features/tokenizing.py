"""From texts in parts to the tokens of their parts, with any fast tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.features.parts import TextParts
from spex_mech.features.spans import Span
from spex_mech.features.tokens import TokenLayout, layout_of
from spex_mech.features.wording import StandIns, Wording

TYPES = "token_type_ids"
_CONTEXT = 32  # characters before a replacement that its tokens may depend on


def tokenize(tokenizer: Any, parts: TextParts, *, closing: bool) -> TokenLayout:
    """Cut the whole text into tokens once, and its replacements where they stand.

    Masked texts are made of these tokens and are not cut anew. A token belongs to the part in which
    it begins, white space before a part being a part of it.

    Args:
        tokenizer: a fast Hugging Face tokenizer, which tells where its tokens stand.
        parts: a text with what stands in the place of its parts.
        closing: whether to keep the special tokens that the tokenizer puts at the end.

    Raises:
        InputError: a part that has no token of its own, or a removal by a token that the tokenizer
            lacks.
    """
    wording = parts.wordings[0]
    (opening, *pieces, ending), last = _text_tokens(tokenizer, wording)
    layout = [
        (-1, [opening]),
        *_versions(tokenizer, wording, pieces, parts.stand_ins),
        (-1, [ending + last if closing else ending]),
    ]
    return layout_of(layout, len(parts.passage.spans), _start(tokenizer))


def tokenize_pair(tokenizer: Any, parts: TextParts, *, typed: bool) -> TokenLayout:
    """Cut two texts into tokens once, with the special tokens of a pair, which always stay.

    Args:
        tokenizer: see `tokenize`.
        parts: two texts; what replaces a part has its segment.
        typed: whether the model reads segment ids; they are kept where the tokenizer gives any.

    Raises:
        InputError: see `tokenize`.
    """
    first, second = parts.wordings
    by_piece, special, types = _pair_tokens(tokenizer, first, second)
    layout: list[tuple[int, Sequence[Sequence[int]]]] = []
    kinds: list[int] = []
    for segment, wording in enumerate((first, second, None)):
        for token, kind in special[segment]:
            layout.append((-1, [[token]]))
            kinds.append(kind)
        if wording is None:
            break
        opening, *pieces, ending = by_piece[segment]
        versions = _versions(tokenizer, wording, pieces, parts.stand_ins)
        layout += [(-1, [opening]), *versions, (-1, [ending])]
        kinds += [types[segment]] * (len(versions) + 2)
    known = typed and TYPES in tokenizer.model_input_names
    size = len(parts.passage.spans)
    return layout_of(layout, size, _start(tokenizer), kinds if known else None)


def token_spans(tokenizer: Any, text: str, before: str = "", after: str = "") -> list[Span]:
    """The characters of each token of a text, as the tokenizer cuts it between ``before`` and ``after``.

    White space is left out, tokens that stand for a part of a character are joined, and so are tokens
    of white space with what follows them.

    Raises:
        InputError: a text without a word.
    """
    shift = len(before)
    spans: list[Span] = []
    for a, b in _offsets(tokenizer, before + text + after)[1]:
        start, stop = max(a - shift, 0), min(b - shift, len(text))
        while start < stop and text[start].isspace():
            start += 1
        if start >= stop:
            continue
        if spans and start < spans[-1].stop:
            spans[-1] = Span(spans[-1].start, max(stop, spans[-1].stop))
        else:
            spans.append(Span(start, stop))
    if not spans:
        raise InputError(f"the text is {text!r}, which has no token; give a text to explain")
    return spans


def special_start(tokenizer: Any, text: str) -> bool:
    """Whether a text already begins with the token that begins a sequence, as chats do."""
    bos = getattr(tokenizer, "bos_token", None)
    return bool(bos) and text.startswith(bos)


def texts_of(wording: Wording) -> list[str]:
    """What stands before the text, its pieces' own texts, and what stands after it."""
    pieces = [piece.blank + piece.versions[0] for piece in wording.pieces]
    return [wording.before, *pieces, wording.after]


def _versions(
    tokenizer: Any, wording: Wording, whole: Sequence[list[int]], stand_ins: StandIns
) -> list[tuple[int, list[list[int]]]]:
    """The part and the token ids of all versions of each piece, given those of its own text."""
    token = _stand_in(tokenizer, stand_ins.kind)
    pieces: list[tuple[int, list[list[int]]]] = []
    for i, (piece, ids) in enumerate(zip(wording.pieces, whole, strict=True)):
        if piece.part < 0:
            pieces.append((-1, [ids]))
            continue
        if not ids:
            raise InputError(
                f"part {piece.part} ({piece.versions[0]!r}) has no token of its own: the tokenizer "
                "joins it with what stands before it; use level='token', or longer spans"
            )
        others = _replaced(tokenizer, wording, i) if token is None else [[token] * len(ids)]
        pieces.append((piece.part, [ids, *others]))
    return pieces


def _stand_in(tokenizer: Any, kind: str) -> int | None:
    """The token that stands in the place of each removed one; None for removals without one."""
    if kind not in ("mask", "unknown"):
        return None
    token = getattr(tokenizer, "mask_token_id" if kind == "mask" else "unk_token_id", None)
    if token is None:
        other = "unknown" if kind == "mask" else "mask"
        raise InputError(
            f"removal is {kind!r} but {type(tokenizer).__name__} has no {kind} token; use "
            f"removal='delete', {other!r} or 'filler'"
        )
    return int(token)


def _text_tokens(tokenizer: Any, wording: Wording) -> tuple[list[list[int]], list[int]]:
    """Token ids of what stands before, of each piece, and of what stands after; and the closing ones."""
    texts = texts_of(wording)
    opening: list[int] = []
    closing: list[int] = []
    tokens = []
    for token, (a, b) in zip(*_offsets(tokenizer, "".join(texts)), strict=True):
        if b > a:
            tokens.append((token, a))
        else:  # a token that the tokenizer adds
            (closing if tokens else opening).append(token)
    by_piece = _by_text(tokens, texts)
    by_piece[0] = opening + by_piece[0]
    return by_piece, closing


def _pair_tokens(
    tokenizer: Any, first: Wording, second: Wording
) -> tuple[list[list[list[int]]], list[list[tuple[int, int]]], list[int]]:
    """Token ids of both texts by piece; special tokens before, between and after them; types of both."""
    texts = [texts_of(first), texts_of(second)]
    encoded = tokenizer(
        *("".join(t) for t in texts), return_offsets_mapping=True, truncation=False, verbose=False
    )
    ids = encoded["input_ids"]
    kinds = encoded.get(TYPES, [0] * len(ids))
    tokens: list[list[tuple[int, int]]] = [[], []]
    special: list[list[tuple[int, int]]] = [[], [], []]
    types, segment = [0, 0], 0
    rows = zip(ids, kinds, encoded["offset_mapping"], encoded.sequence_ids(0), strict=True)
    for token, kind, (begin, _), owner in rows:
        if owner is None:
            special[segment].append((token, kind))
            continue
        tokens[owner].append((token, begin))
        types[owner], segment = kind, owner + 1
    return [_by_text(*pair) for pair in zip(tokens, texts, strict=True)], special, types


def _by_text(tokens: Sequence[tuple[int, int]], texts: Sequence[str]) -> list[list[int]]:
    """Token ids by the text in which they begin, given ids and the characters where they begin."""
    ends = list(accumulate(len(text) for text in texts))
    by_text: list[list[int]] = [[] for _ in texts]
    slot = 0
    for token, begin in tokens:
        while begin >= ends[slot] and slot < len(texts) - 1:
            slot += 1
        by_text[slot].append(token)
    return by_text


def check_fast(tokenizer: Any) -> None:
    """Refuse a tokenizer that does not tell where its tokens stand.

    Raises:
        InputError: it is not a fast one.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f"{type(tokenizer).__name__} does not tell where its tokens stand; give tokenizer=, a fast "
            "tokenizer (PreTrainedTokenizerFast), or a function from texts to numbers as the model"
        )


def _offsets(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    encoded = tokenizer(
        text,
        add_special_tokens=not special_start(tokenizer, text),
        return_offsets_mapping=True,
        truncation=False,
        verbose=False,
    )
    return list(encoded["input_ids"]), [tuple(pair) for pair in encoded["offset_mapping"]]


def _replaced(tokenizer: Any, wording: Wording, i: int) -> list[list[int]]:
    """Token ids of the replacements of piece ``i``, as they are cut after what stands before it."""
    piece = wording.pieces[i]
    before = wording.before[-_CONTEXT:]
    if i:
        last = wording.pieces[i - 1]
        before = (last.blank + last.versions[0])[-_CONTEXT:]
    replaced = []
    for text in piece.versions[1:]:
        if not text:
            replaced.append([])
            continue
        encoded = tokenizer(
            before + piece.blank + text, add_special_tokens=False, return_offsets_mapping=True
        )
        pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        replaced.append([token for token, (a, b) in pairs if b > a and a >= len(before)])
    return replaced


def _start(tokenizer: Any) -> int:
    """The token that stands alone where nothing else is left."""
    names = ("bos_token_id", "cls_token_id", "eos_token_id", "pad_token_id")
    tokens = (getattr(tokenizer, name, None) for name in names)
    return next((int(token) for token in tokens if token is not None), 0)
