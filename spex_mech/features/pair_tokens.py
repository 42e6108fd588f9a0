"""Cutting a pair of texts into tokens as their tokenizer joins pairs, such as ``[CLS] a [SEP] b [SEP]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spex_mech.features.removals import Removal
from spex_mech.features.tokenizing import (
    find,
    pieces_of,
    sorted_in,
    start_of,
    texts_of,
    versions_of,
)
from spex_mech.features.tokens import TokenLayout, layout_of
from spex_mech.features.wording import Wording

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
