"""From a text's wording to the tokens of its parts, with any tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.features.spans import Span
from spex_mech.features.tokens import TokenLayout, layout_of
from spex_mech.features.wording import Removal, Wording

_CONTEXT = 32  # characters before a replacement that its tokens may depend on


def tokenize(
    tokenizer: Any, wording: Wording, removal: Removal, n: int, *, closing: bool
) -> TokenLayout:
    """Cut the whole text into tokens once, and its replacements where they stand.

    Masked texts are made of these tokens; they are not cut anew. A token belongs to the part in which
    it begins, white space before a part being a part of it.

    Args:
        tokenizer: any Hugging Face tokenizer; a fast one tells where its tokens stand, with others every
            piece is cut by itself.
        wording: the text, with the replacements of ``removal``.
        removal: how parts are removed.
        n: number of parts.
        closing: whether to keep the special tokens that the tokenizer puts at the end.

    Raises:
        InputError: a part that has no token of its own, or a removal by a token that the tokenizer
            lacks.
    """
    (opening, *own, ending), last = _own_tokens(tokenizer, wording)
    pieces = [
        (-1, [opening]),
        *versions_of(tokenizer, wording, own, removal),
        (-1, [ending + last if closing else ending]),
    ]
    return layout_of(pieces, n, start_of(tokenizer))


def versions_of(
    tokenizer: Any, wording: Wording, own: Sequence[list[int]], removal: Removal
) -> list[tuple[int, list[list[int]]]]:
    """The part and the token ids of all versions of each piece, given those of its own text.

    Raises:
        InputError: see `tokenize`.
    """
    stand_in = _stand_in(tokenizer, removal)
    pieces: list[tuple[int, list[list[int]]]] = []
    for i, piece in enumerate(wording.pieces):
        ids = own[i]
        if piece.part < 0:
            pieces.append((-1, [ids]))
            continue
        if not ids:
            raise InputError(
                f"part {piece.part} ({piece.versions[0]!r}) has no token of its own: the tokenizer "
                "joins it with what stands before it; use level='token', or longer spans"
            )
        others = (
            [[stand_in] * len(ids)] if stand_in is not None else _replaced(tokenizer, wording, i)
        )
        pieces.append((piece.part, [ids, *others]))
    return pieces


def token_spans(tokenizer: Any, text: str, before: str = "", after: str = "") -> list[Span]:
    """The characters of each token of a text, as the tokenizer cuts it between ``before`` and ``after``.

    White space is left out, tokens that stand for a part of a character are joined, and so are tokens
    of white space with what follows them.

    Raises:
        InputError: a tokenizer that does not tell where its tokens stand, or a text without a word.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f"{type(tokenizer).__name__} does not tell where its tokens stand; use level='word', or a "
            "fast tokenizer"
        )
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


def _stand_in(tokenizer: Any, removal: Removal) -> int | None:
    if removal.kind not in ("mask", "unknown"):
        return None
    name = "mask_token_id" if removal.kind == "mask" else "unk_token_id"
    token = getattr(tokenizer, name, None)
    if token is None:
        other = "unknown" if removal.kind == "mask" else "mask"
        raise InputError(
            f"removal is {removal.kind!r} but {type(tokenizer).__name__} has no "
            f"{removal.kind} token; use removal='delete', {other!r} or 'filler'"
        )
    return int(token)


def _own_tokens(tokenizer: Any, wording: Wording) -> tuple[list[list[int]], list[int]]:
    """Token ids of what stands before, of each piece, and of what stands after; and the closing ones."""
    texts = texts_of(wording)
    if not getattr(tokenizer, "is_fast", False):
        own = pieces_of(tokenizer, texts)
        flat = [token for ids in own for token in ids]
        whole = list(tokenizer.build_inputs_with_special_tokens(flat))
        begin = find(whole, flat, 0)
        own[0] = whole[:begin] + own[0]
        return own, whole[begin + len(flat) :]
    opening: list[int] = []
    closing: list[int] = []
    tokens = []
    for token, (a, b) in zip(*_offsets(tokenizer, "".join(texts)), strict=True):
        if b > a:
            tokens.append((token, a))
        else:  # a token that the tokenizer adds
            (closing if tokens else opening).append(token)
    own = sorted_in(tokens, texts)
    own[0] = opening + own[0]
    return own, closing


def texts_of(wording: Wording) -> list[str]:
    """What stands before the text, its pieces' own texts, and what stands after it."""
    own = [piece.blank + piece.versions[0] for piece in wording.pieces]
    return [wording.before, *own, wording.after]


def sorted_in(tokens: Sequence[tuple[int, int]], texts: Sequence[str]) -> list[list[int]]:
    """Token ids by the text in which they begin, given ids and the characters where they begin."""
    ends = list(accumulate(len(text) for text in texts))
    own: list[list[int]] = [[] for _ in texts]
    slot = 0
    for token, begin in tokens:
        while begin >= ends[slot] and slot < len(texts) - 1:
            slot += 1
        own[slot].append(token)
    return own


def pieces_of(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of texts, each cut by itself."""
    return [
        list(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []
        for text in texts
    ]


def find(whole: Sequence[int], part: Sequence[int], start: int) -> int:
    """Where a run of token ids begins in another; ``start`` where it is not found."""
    places = range(start, len(whole) - len(part) + 1)
    return next((i for i in places if whole[i : i + len(part)] == part), start)


def _offsets(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    found = tokenizer(
        text,
        add_special_tokens=not special_start(tokenizer, text),
        return_offsets_mapping=True,
        truncation=False,
        verbose=False,
    )
    return list(found["input_ids"]), [tuple(pair) for pair in found["offset_mapping"]]


def _replaced(tokenizer: Any, wording: Wording, i: int) -> list[list[int]]:
    """Token ids of the replacements of piece ``i``, as they are cut after what stands before it."""
    piece = wording.pieces[i]
    if not getattr(tokenizer, "is_fast", False):
        return [
            list(tokenizer(piece.blank + text, add_special_tokens=False)["input_ids"])
            if text
            else []
            for text in piece.versions[1:]
        ]
    before = wording.before[-_CONTEXT:]
    if i:
        last = wording.pieces[i - 1]
        before = (last.blank + last.versions[0])[-_CONTEXT:]
    out = []
    for text in piece.versions[1:]:
        if not text:
            out.append([])
            continue
        found = tokenizer(
            before + piece.blank + text, add_special_tokens=False, return_offsets_mapping=True
        )
        pairs = zip(found["input_ids"], found["offset_mapping"], strict=True)
        out.append([token for token, (a, b) in pairs if b > a and a >= len(before)])
    return out


def start_of(tokenizer: Any) -> int:
    """The token that stands alone where nothing else is left."""
    for name in ("bos_token_id", "cls_token_id", "eos_token_id", "pad_token_id"):
        token = getattr(tokenizer, name, None)
        if token is not None:
            return int(token)
    return 0


TYPES = "token_type_ids"


def tokenize_pair(
    tokenizer: Any, first: Wording, second: Wording, removal: Removal, n: int, *, typed: bool
) -> TokenLayout:
    """Cut two texts into tokens once, with the special tokens of a pair, which always stay.

    Args:
        tokenizer: any Hugging Face tokenizer; see `tokenize`.
        first: the first text.
        second: the second one, whose parts are numbered on from the first one's.
        removal: how parts are removed; what replaces a part has its segment.
        n: number of parts of both.
        typed: whether the model reads segment ids; they are kept where the tokenizer gives any.

    Raises:
        InputError: see `tokenize`.
    """
    fast = getattr(tokenizer, "is_fast", False)
    own, special, types = (_by_offsets if fast else _piecewise)(tokenizer, first, second)
    layout: list[tuple[int, Sequence[Sequence[int]]]] = []
    kinds: list[int] = []
    for segment, wording in enumerate((first, second, None)):
        for token, kind in special[segment]:
            layout.append((-1, [[token]]))
            kinds.append(kind)
        if wording is None:
            break
        opening, *pieces, ending = own[segment]
        mine = versions_of(tokenizer, wording, pieces, removal)
        layout += [(-1, [opening]), *mine, (-1, [ending])]
        kinds += [types[segment]] * (len(mine) + 2)
    known = typed and TYPES in tokenizer.model_input_names
    return layout_of(layout, n, start_of(tokenizer), kinds if known else None)


Own = list[list[list[int]]]
Special = list[list[tuple[int, int]]]


def _by_offsets(tokenizer: Any, first: Wording, second: Wording) -> tuple[Own, Special, list[int]]:
    """Token ids of both texts by piece; special tokens before, between and after them; types of both."""
    texts = [texts_of(first), texts_of(second)]
    found = tokenizer(
        *("".join(t) for t in texts), return_offsets_mapping=True, truncation=False, verbose=False
    )
    ids = found["input_ids"]
    kinds = found.get(TYPES, [0] * len(ids))
    tokens: list[list[tuple[int, int]]] = [[], []]
    special: Special = [[], [], []]
    types, segment = [0, 0], 0
    rows = zip(ids, kinds, found["offset_mapping"], found.sequence_ids(0), strict=True)
    for token, kind, (begin, _), owner in rows:
        if owner is None:
            special[segment].append((token, kind))
            continue
        tokens[owner].append((token, begin))
        types[owner], segment = kind, owner + 1
    return [sorted_in(*pair) for pair in zip(tokens, texts, strict=True)], special, types


def _piecewise(tokenizer: Any, first: Wording, second: Wording) -> tuple[Own, Special, list[int]]:
    """The same for a tokenizer that does not tell where its tokens stand."""
    own = [pieces_of(tokenizer, texts_of(wording)) for wording in (first, second)]
    a, b = ([token for ids in pieces for token in ids] for pieces in own)
    whole = list(tokenizer.build_inputs_with_special_tokens(a, b))
    kinds = list(tokenizer.create_token_type_ids_from_sequences(a, b))
    start = find(whole, a, 0)
    next_ = find(whole, b, start + len(a))
    rest = list(zip(whole, kinds, strict=True))
    special = [rest[:start], rest[start + len(a) : next_], rest[next_ + len(b) :]]
    return own, special, [kinds[start], kinds[min(next_, len(kinds) - 1)]]
