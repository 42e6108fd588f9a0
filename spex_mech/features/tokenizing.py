"""From a text's wording to the tokens of its parts, with any tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from spex_mech.errors import InputError
from spex_mech.features.removals import Removal
from spex_mech.features.spans import Span
from spex_mech.features.token_rows import TokenLayout, layout_of
from spex_mech.features.wording import Wording

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
    stand_in = _stand_in(tokenizer, removal)
    (opening, *own, ending), last = _own_tokens(tokenizer, wording)
    pieces: list[tuple[int, list[list[int]]]] = [(-1, [opening])]
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
    pieces.append((-1, [ending + last if closing else ending]))
    return layout_of(pieces, n, _start(tokenizer))


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
    texts = [piece.blank + piece.versions[0] for piece in wording.pieces]
    texts = [wording.before, *texts, wording.after]
    if not getattr(tokenizer, "is_fast", False):
        return _piecewise(tokenizer, texts)
    ids, offsets = _offsets(tokenizer, "".join(texts))
    ends = list(accumulate(len(text) for text in texts))
    own: list[list[int]] = [[] for _ in texts]
    closing: list[int] = []
    slot, begun = 0, False
    for token, (a, b) in zip(ids, offsets, strict=True):
        if a == b:  # a token that the tokenizer adds
            (closing if begun else own[0]).append(token)
            continue
        begun = True
        while a >= ends[slot]:
            slot += 1
        own[slot].append(token)
    return own, closing


def _offsets(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    found = tokenizer(
        text,
        add_special_tokens=not special_start(tokenizer, text),
        return_offsets_mapping=True,
        truncation=False,
        verbose=False,
    )
    return list(found["input_ids"]), [tuple(pair) for pair in found["offset_mapping"]]


def _piecewise(tokenizer: Any, texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
    own = [
        list(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []
        for text in texts
    ]
    flat = [token for ids in own for token in ids]
    whole = list(tokenizer.build_inputs_with_special_tokens(flat))
    begin = next((i for i in range(len(whole)) if whole[i : i + len(flat)] == flat), 0)
    own[0] = whole[:begin] + own[0]
    return own, whole[begin + len(flat) :]


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


def _start(tokenizer: Any) -> int:
    for name in ("bos_token_id", "cls_token_id", "eos_token_id", "pad_token_id"):
        token = getattr(tokenizer, name, None)
        if token is not None:
            return int(token)
    return 0
