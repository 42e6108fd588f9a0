"""The fast engine: the reference's scores without the work that no score depends on.

It saves work in these ways:

- It computes the logits of the answers only.
- In the last layer it computes only the positions that are read.
- What comes before the first ablated layer is computed once per prompt and kept.
- The shared beginning of all prompts is computed once per mask.
- Heads that no mask keeps are not computed.
- Equal prompts go through the model once, and so do equal beginnings of prompts that run together.
- Prompts stand in one row, with hardly any padding; prompts of different masks too, where each mask is asked
  few (`pairs`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float32, Int64

from spex_mech.ablation.fast import batches as reading
from spex_mech.ablation.fast import cost
from spex_mech.ablation.fast.attention import KeyValue
from spex_mech.ablation.fast.batches import PromptBatch
from spex_mech.ablation.fast.forward import Forward
from spex_mech.ablation.fast.pairs import PairScorer, runs_of
from spex_mech.ablation.fast.plan import Planner, Tree, in_order, whole
from spex_mech.ablation.fast.prepared import Preparation, PreparedBatch, removable
from spex_mech.ablation.fills import Ablation
from spex_mech.ablation.gates import Gates, spread
from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.models.decoder import Decoder
from spex_mech.models.families import Unknown, read_decoder
from spex_mech.models.model import Model
from spex_mech.tasks.prompts import Prompts


class FastEngine:
    """Scores ablated models on prompts; see the module.

    Args:
        model: the model; its weights are read in place and never changed.
        prompts: the task's rows.
        players: parts of the model that masks switch off.
        ablation: what removed parts become.
        tokens: tokens that go through a layer at once; by default what suits the device. It is halved,
            and stays so, whenever memory runs out.
        memory: bytes that may be kept from one mask to the next; what does not fit is computed again.

    Attributes:
        tokens: as above.

    Raises:
        InputError: a model or prompts that this engine does not know; `obstacle` says so beforehand.
    """

    def __init__(
        self,
        model: Model,
        prompts: Prompts,
        players: PlayerSet,
        ablation: Ablation,
        *,
        tokens: int | None = None,
        memory: int | None = None,
    ) -> None:
        why = obstacle(model, prompts)
        if why:
            raise InputError(
                f"the fast engine cannot run {model.name!r} because {why}; use engine='reference'"
            )
        self._model, self._prompts, self._players = model, prompts, players
        self._ablation = ablation
        self._decoder: Decoder = read_decoder(model.hf)
        self._device = self._decoder.head.device
        longest = max(len(t) for t in prompts.tokens)
        self._forward = Forward(self._decoder, whole(model.shape, self._device), longest)

        self._removable = removable(players, model.shape)
        self._first = self._removable.first
        self._own_fill = ablation.of_example
        self._planner = Planner(
            model.shape,
            self._first,
            ablation.rescale,
            any(b.parallel for b in self._decoder.blocks),
            self._device,
        )
        self._prefix = 0 if self._own_fill else reading.shared_prefix(prompts)
        self._preparation = Preparation(
            self._forward, prompts, ablation, self._removable, self._prefix
        )
        self._budget = cost.Budget(
            tokens or cost.tokens_at_once(self._device, self._decoder), self._device
        )
        self._pairs = PairScorer(
            self._forward, prompts, self._preparation, self._planner, self._budget, self._prefix
        )
        self._memory = memory if memory is not None else cost.memory_to_keep(self._device)
        self._batches = reading.batches(
            prompts,
            prefix=self._prefix,
            most=self.tokens,
            spare=cost.spare_tokens(self._device, self._decoder),
            distinct=self._own_fill,
            device=self._device,
        )
        self._parts = self._within_memory()
        self._kept: list[PreparedBatch] | None = None

    @property
    def tokens(self) -> int:
        """Tokens that go through a layer at once."""
        return self._budget.tokens

    @torch.inference_mode()
    def scores(self, masks: Bool[np.ndarray, "m n"]) -> Float32[np.ndarray, "m e ..."]:
        """Scores of every ablated model on every row, as `ReferenceEngine.scores` gives them.

        Args:
            masks: bool (m, n), True = present.

        Raises:
            InputError: one mask on one prompt does not fit into memory.
        """
        gates = spread(self._players, self._model.shape, masks)
        out = np.full((len(masks), *self._row_shape()), np.nan, dtype=np.float32)
        blocks = self._blocks(gates, in_order(gates, self._first))
        for part in self._parts:
            ready = self._make_ready(part)
            for block in blocks:
                self._score(gates, block, ready, 0, out)
            del ready  # before the next part is made
        return out

    @torch.inference_mode()
    def pair_scores(
        self, masks: Bool[np.ndarray, "m n"], pairs: Int64[np.ndarray, "p 2"]
    ) -> Float32[np.ndarray, "p ..."]:
        """Scores of some masks on some rows, as `ReferenceEngine.pair_scores` gives them.

        Args:
            masks: bool (m, n), True = present.
            pairs: int64 (p, 2), a mask and a row of the prompts.

        Raises:
            InputError: one mask on one prompt does not fit into memory.
        """
        gates = spread(self._players, self._model.shape, masks)
        out = np.full((len(pairs), *self._row_shape()[1:]), np.nan, dtype=np.float32)
        for part in self._parts:
            if not any(np.isin(batch.rows, pairs[:, 1]).any() for batch in part):
                continue
            ready = self._make_ready(part)
            asked = runs_of(pairs, [x.batch for x in ready], len(self._prompts))
            for group in asked.groups(0 if self._prefix else cost.enough_tokens(self._device)):
                self._pairs.score(gates, group, ready, out)
            del ready  # before the next part is made
        return out

    def asking_cost(self) -> tuple[float, float]:
        """Tokens of the shared prefix, which every mask runs, and mean tokens of a question behind it."""
        prefix = self._prefix
        tokens = sum(len(t) - prefix for t in self._prompts.tokens)
        runs = prefix and self._first < len(self._decoder.blocks) - 1
        return float(prefix if runs else 0), tokens / len(self._prompts.ids)

    def _row_shape(self) -> tuple[int, ...]:
        answers = self._prompts.answers
        return (len(self._prompts),) if answers is None else answers.shape

    def _within_memory(self) -> list[list[PromptBatch]]:
        """Group the batches into parts whose entries and fills fit into the memory that may be used."""
        size = cost.bytes_per_token(
            self._decoder, self._model.shape, len(self._removable.sites) if self._own_fill else 0
        )
        parts, held = [[]], 0
        for batch in self._batches:
            need = batch.ids.numel() * size
            if parts[-1] and held + need > self._memory:
                parts.append([])
                held = 0
            parts[-1].append(batch)
            held += need
        return parts

    def _make_ready(self, part: Sequence[PromptBatch]) -> list[PreparedBatch]:
        if self._kept is not None:
            return self._kept
        ready = [piece for batch in part for piece in self._prepare(batch)]
        if len(self._parts) == 1:
            self._kept = ready
        return ready

    def _prepare(self, batch: PromptBatch) -> list[PreparedBatch]:
        """Prepare a batch; split it in halves where memory runs out."""
        try:
            return [self._preparation.enter(batch)]
        except Exception as error:
            if not cost.is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise self._too_large(error, batch) from error
        self._budget.shrink()
        middle = len(batch) // 2
        return self._prepare(batch[:middle]) + self._prepare(batch[middle:])

    def _blocks(self, gates: Gates, order: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """Masks that run together: single masks, or as many as fill a batch, whichever is less work."""
        widest = max(self._prefix, max(int(b.layout.widths.max()) for b in self._batches))
        most = max(1, self.tokens // widest)
        blocks = [order[i : i + most] for i in range(0, len(order), most)]
        prompt_tokens = self._prefix + sum(b.ids.numel() for b in self._batches)
        alone, together = cost.work(
            gates,
            blocks,
            self._decoder,
            first=self._first,
            tokens=prompt_tokens,
            width=self._prefix + widest,
            enough=cost.enough_tokens(self._device),
        )
        return [order[i : i + 1] for i in range(len(order))] if alone <= together else blocks

    def _score(
        self,
        gates: Gates,
        block: npt.NDArray[np.int64],
        ready: Sequence[PreparedBatch],
        start: int,
        out: npt.NDArray[np.float32],
    ) -> None:
        """Score a block of masks on the batches from ``start``; split it where memory runs out."""
        done = start
        try:
            tree = self._planner.tree(gates[block])
            past = self._preparation.prefix_keys(tree) if self._prefix else []
            for batch in ready[start:]:
                self._score_batch(tree, batch, past, block, out)
                done += 1
            return
        except Exception as error:
            if not cost.is_out_of_memory(error):
                raise
            if len(block) == 1:
                raise self._too_large(error, ready[min(done, len(ready) - 1)].batch) from error
        self._budget.shrink()
        middle = len(block) // 2
        self._score(gates, block[:middle], ready, done, out)
        self._score(gates, block[middle:], ready, done, out)

    def _score_batch(
        self,
        tree: Tree,
        ready: PreparedBatch,
        past: Sequence[KeyValue | None],
        block: npt.NDArray[np.int64],
        out: npt.NDArray[np.float32],
    ) -> None:
        """Score a block of masks on a batch, with as many prompts at once as fit."""
        start = 0
        layout = ready.batch.layout
        while start < len(layout):
            stop = layout.room(start, self.tokens // tree.widest)
            piece = self._preparation.piece(ready, start, stop)
            try:
                stream = self._forward.run(
                    self._first, tree.steps, piece.entry, piece.fills, piece.frame, past=past
                )
                scores = reading.scores(self._decoder, self._prompts, piece.batch, stream)
                out[block[:, None], piece.batch.rows] = scores[tree.leaf]
                start = stop
                continue
            except Exception as error:
                if not cost.is_out_of_memory(error) or stop - start == 1:
                    raise
            self._budget.shrink(below=tree.widest * piece.batch.layout.places)

    def _too_large(self, error: Exception, batch: PromptBatch) -> InputError:
        return cost.too_large(error, self._device, self._prompts, int(batch.prompt[-1]))


def obstacle(model: Model, prompts: Prompts) -> str | None:
    """Why the fast engine cannot run a model on prompts; None where it can."""
    try:
        read_decoder(model.hf)
    except Unknown as why:
        return str(why)
    return None
