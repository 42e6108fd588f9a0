"""Reading texts with a causal language model: the log-probabilities of given continuations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64
from transformers.cache_utils import DynamicCache, DynamicLayer

from spex_mech.ablation.game import TaskGame
from spex_mech.core.joint import PairValue
from spex_mech.features.ablated import AblatedReading
from spex_mech.features.game import FeatureGame
from spex_mech.features.readers.answers import (
    AnswerIds,
    answer_scores,
    answers_key,
    checked_answers,
    greedy,
    rows_that_fit,
)
from spex_mech.features.readers.model import TextModel
from spex_mech.features.tokens import TokenRow, TokenSource, pack_rows, padded

_STEPS = 16  # lengths of prefix that are told apart
_FEW = 8  # rows that are not worth a batch of their own


class CausalReader:
    """A ``...ForCausalLM``: outputs are log-probabilities of continuations, summed over their tokens.

    Rows that begin like the whole text take its keys and values from a cache, up to the first token
    that differs. The first use compares a row read with and without the cache, and where they differ (as
    with states that cannot be cut) the cache is left out.

    Args:
        model: the model.
    """

    def __init__(self, model: TextModel) -> None:
        self._model, self._hf = model, model.hf
        self._answers: list[AnswerIds] = []
        self._prefix: Prefix | None = None
        self._reference: torch.Tensor | None = None

    @property
    def key(self) -> dict[str, str]:
        """Weights, dtype, and the continuations."""
        return {**self._model.key, **answers_key(self._answers, self._reference is not None)}

    def ablated(self, text: FeatureGame, other: Any, /) -> PairValue | None:
        """The value of a text's masks with those of parts of this model; None for a game of another kind.

        Args:
            text: a game whose text this reader reads.
            other: a `TaskGame` of this model.

        Raises:
            InputError: see `AblatedReading`.
        """
        if not isinstance(other, TaskGame) or not isinstance(text.source, TokenSource):
            return None
        return AblatedReading(text, text.source.layout, self._answers, other)

    def set_answers(
        self,
        full: TokenRow,
        answers: Sequence[Sequence[int]],
        *,
        similarity: bool,
        reuse: bool = True,
    ) -> None:
        """Set the continuations whose log-probabilities are the outputs.

        Args:
            full: the whole text's row, whose beginning is kept for the others.
            answers: token ids of the continuations.
            similarity: output minus the divergence KL(whole text || row) of the next-token
                distributions along the first continuation, in nats per token, rather than
                log-probabilities.
            reuse: keep the keys and values of the whole text.

        Raises:
            InputError: a continuation without tokens.
        """
        self._answers = checked_answers(answers)
        self._prefix = Prefix(self._hf, full) if reuse else None
        self._reference = None
        if similarity:
            with torch.inference_mode():
                self._reference = self._logits([full], self._answers[0], 0)[0].log_softmax(-1)

    def continue_text(self, full: TokenRow, most: int) -> AnswerIds:
        """What the model itself writes next: up to ``most`` tokens, each the likeliest."""
        tokenizer = self._model.tokenizer
        return greedy(lambda row: self._logits([row], (0,), 0)[0, -1], full, most, tokenizer)

    def outputs(self, rows: Sequence[TokenRow]) -> Float64[np.ndarray, "u k"]:
        """Log-probabilities (u, answers), or minus divergences (u, 1), of rows of token ids."""
        out = np.empty((len(rows), 1 if self._reference is not None else len(self._answers)))
        single = all(len(answer) == 1 for answer in self._answers) and self._reference is None
        with torch.inference_mode():
            for batch, skip in self._batches(rows):
                in_batch = [rows[i] for i in batch]
                if single:  # one reading serves all
                    logits = self._logits(in_batch, self._answers[0], skip)[:, 0].log_softmax(-1)
                    picked = logits[:, [answer[0] for answer in self._answers]]
                    out[batch] = picked.double().cpu().numpy()
                    continue
                for k in range(out.shape[1]):
                    logits = self._logits(in_batch, self._answers[k], skip)
                    out[batch, k] = answer_scores(logits, self._answers[k], self._reference)
        return out

    def _batches(self, rows: Sequence[TokenRow]) -> Iterator[tuple[list[int], int]]:
        """Rows in batches, each with the number of tokens that it takes from the cache."""
        added = max(len(answer) for answer in self._answers) - 1
        for skip, group in self._groups(rows):
            vocabulary = self._hf.config.get_text_config().vocab_size
            for batch in pack_rows(
                [len(rows[i]) - skip + added for i in group], self._model.tokens
            ):
                numbers = [group[i] for i in batch]
                widths = [len(rows[i]) for i in numbers]
                size = rows_that_fit(max(widths) - min(widths) + 1 + added, vocabulary)
                for start in range(0, len(numbers), size):
                    yield numbers[start : start + size], skip

    def _groups(self, rows: Sequence[TokenRow]) -> list[tuple[int, list[int]]]:
        """Rows by how much of the whole text's beginning they can take over."""
        if self._prefix is None or not self._prefix.usable:
            return [(0, list(range(len(rows))))]
        same = np.array([self._prefix.shared(row) for row in rows])
        fixed = int(same.min())
        step = max(1, -(-(int(same.max()) - fixed + 1) // _STEPS))
        levels = fixed + (same - fixed) // step * step
        groups: list[tuple[int, list[int]]] = []
        waiting: list[int] = []
        for level in np.unique(levels)[::-1].tolist():
            waiting += np.flatnonzero(levels == level).tolist()
            if len(waiting) >= _FEW or level == fixed:
                groups.append((level, waiting))
                waiting = []
        return groups

    def _logits(self, rows: Sequence[TokenRow], answer: AnswerIds, skip: int) -> torch.Tensor:
        """Logits (b, len(answer), vocabulary), float32, that predict the answer after each row."""
        tail = np.array(answer[:-1], dtype=np.int32)
        ids = torch.from_numpy(
            padded([np.concatenate([r[skip:], tail]) for r in rows], self._model.pad)
        )
        ends = torch.tensor([len(r) - skip - 1 for r in rows])
        places = ends[:, None] + torch.arange(len(answer))  # (b, a)
        wanted = torch.arange(int(places.min()), int(places.max()) + 1)
        past = self._prefix.take(skip, len(rows)) if skip and self._prefix is not None else None
        logits = self._hf(
            input_ids=ids.to(self._hf.device),
            past_key_values=past,
            use_cache=past is not None,
            logits_to_keep=wanted.to(self._hf.device),
        ).logits
        if logits.shape[1] != len(wanted):  # a model that does not know logits_to_keep
            logits = logits[:, wanted]
        index = (places - wanted[0]).to(logits.device)[:, :, None].expand(-1, -1, logits.shape[2])
        return logits.gather(1, index).float()


_SHORTEST = 4  # tokens that are not worth a cache
_ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-9}


class Prefix:
    """Keys and values of a whole text, of which any beginning can be taken.

    Args:
        hf: the model.
        full: the whole text's token ids.
    """

    def __init__(self, hf: Any, full: npt.NDArray[np.int32]) -> None:
        self._hf, self._full = hf, full

    def shared(self, row: npt.NDArray[np.int32]) -> int:
        """Number of first tokens that a row shares with the whole text, at most all but its last one."""
        size = min(len(row) - 1, len(self._full) - 1)
        differs = np.flatnonzero(row[:size] != self._full[:size])
        same = int(differs[0]) if len(differs) else max(size, 0)
        return same if same >= _SHORTEST else 0

    def take(self, count: int, rows: int) -> DynamicCache:
        """A cache of the first ``count`` tokens for a batch of ``rows`` rows."""
        return DynamicCache(
            [
                (
                    keys[:, :, :count].expand(rows, -1, -1, -1),
                    values[:, :, :count].expand(rows, -1, -1, -1),
                )
                for keys, values in self._states
            ]
        )

    @cached_property
    def usable(self) -> bool:
        """Whether the model's states can be cut anywhere, and reading on from them changes nothing."""
        if len(self._full) <= _SHORTEST or not self._states:
            return False
        cut = max(_SHORTEST, len(self._full) // 2)
        ids = self._ids
        with torch.inference_mode():
            whole = self._hf(input_ids=ids, use_cache=False).logits[:, -1].float()
            rest = (
                self._hf(input_ids=ids[:, cut:], past_key_values=self.take(cut, 1), use_cache=True)
                .logits[:, -1]
                .float()
            )
        near = _ROUNDING.get(self._hf.dtype, 5e-2) * max(1.0, float(whole.abs().max()))
        return bool((whole - rest).abs().max() <= near)

    @cached_property
    def _states(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values (1, heads, t, d) of every layer; none where they are of another kind."""
        with torch.inference_mode():
            cache = self._hf(input_ids=self._ids, use_cache=True, logits_to_keep=1).past_key_values
        layers = getattr(cache, "layers", [])
        if not layers or any(type(layer) is not DynamicLayer for layer in layers):
            return []
        return [(layer.keys, layer.values) for layer in layers]

    @property
    def _ids(self) -> torch.Tensor:
        return torch.from_numpy(self._full.astype(np.int64))[None].to(self._hf.device)
