"""The fast engine: the reference's numbers without the work that no score depends on.

What is left out: logits but the answers', the last layer but the positions that are read, everything
before the first ablated layer (kept once per prompt), the shared beginning of all prompts (once per
mask), heads that nothing keeps, equal prompts, and padding.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float32

from spex_mech.ablation.fast import batches as reading
from spex_mech.ablation.fast import cost
from spex_mech.ablation.fast.attention import KeyValue
from spex_mech.ablation.fast.batches import PromptBatch
from spex_mech.ablation.fast.fills import at_sites, forward_recorder
from spex_mech.ablation.fast.forward import Entry, Forward, sites
from spex_mech.ablation.fast.layout import Frame, Layout
from spex_mech.ablation.fast.plan import Tree, grow, in_order, whole
from spex_mech.ablation.fills import Ablation, Filler
from spex_mech.ablation.gates import Gates, spread
from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.models.decoder import Decoder
from spex_mech.models.families import Unknown, read_decoder
from spex_mech.models.model import Model
from spex_mech.tasks.prompts import Prompts


@dataclass(frozen=True)
class _Ready:
    """A batch with what no mask changes."""

    batch: PromptBatch
    where: Frame
    entry: Entry
    fills: dict[str, torch.Tensor]


class FastEngine:
    """Scores ablated models on prompts; see the module.

    Args:
        model: the model; its weights are read in place and never changed.
        prompts: the task's rows.
        players: parts of the model that masks switch off.
        ablation: what removed parts become.
        tokens: tokens that go through a layer at once; by default what suits the device. Halved, for
            good, whenever memory runs out.
        memory: bytes for what is kept between masks; beyond that it is computed again.

    Attributes:
        tokens: see above.

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
        self._full = whole(model.shape, self._device)
        longest = max(len(t) for t in prompts.tokens)
        self._forward = Forward(self._decoder, self._full, longest)

        nothing = np.zeros((1, players.n), dtype=bool)
        gone = spread(players, model.shape, nothing)
        can = ~np.stack([gone.heads[0].all(axis=1), gone.attention[0], gone.mlps[0]])
        self._first = int(np.flatnonzero(can.any(axis=0))[0])
        self._gated = bool(can[:2, self._first].any())
        self._sites = [
            site
            for layer in range(self._first, model.shape.n_layers)
            for site, can_go in zip(sites(layer), can[:, layer], strict=True)
            if can_go
        ]
        self._own_fill = ablation.name == "resample"
        self._parallel = any(b.parallel for b in self._decoder.blocks)
        self._prefix = 0 if self._own_fill else reading.shared_prefix(prompts)
        self.tokens = tokens or cost.tokens_at_once(self._device, self._decoder)
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
        self._kept: list[_Ready] | None = None
        self._filler: Filler | None = None
        self._beginning: tuple[list[KeyValue | None], Entry] | None = None

    @torch.inference_mode()
    def scores(self, masks: Bool[np.ndarray, "m n"]) -> Float32[np.ndarray, "m e ..."]:
        """Scores of every ablated model on every row, as `ReferenceEngine.scores` gives them.

        Args:
            masks: bool (m, n), True = present.

        Raises:
            InputError: one mask on one prompt is more than the memory holds.
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

    def _row_shape(self) -> tuple[int, ...]:
        answers = self._prompts.answers
        return (len(self._prompts),) if answers is None else answers.shape

    def _within_memory(self) -> list[list[PromptBatch]]:
        """Batches in parts whose entries and fills fit in the memory that may be kept."""
        size = cost.bytes_a_token(
            self._decoder, self._model.shape, len(self._sites) if self._own_fill else 0
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

    def _make_ready(self, part: Sequence[PromptBatch]) -> list[_Ready]:
        if self._kept is not None:
            return self._kept
        ready = [piece for batch in part for piece in self._ready(batch)]
        if len(self._parts) == 1:
            self._kept = ready
        return ready

    def _ready(self, batch: PromptBatch) -> list[_Ready]:
        """A batch's entries; in halves where memory runs out."""
        try:
            return [self._enter(batch)]
        except Exception as error:
            if not cost.is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise self._too_large(error, batch) from error
        self._shrink()
        middle = len(batch) // 2
        return self._ready(batch[:middle]) + self._ready(batch[middle:])

    def _enter(self, batch: PromptBatch) -> _Ready:
        past = self._begin()[0] if self._prefix else []
        where = self._forward.frame(batch.layout, self._prefix)
        entry = self._forward.enter(batch.ids, where, self._first, gated=self._gated, past=past)
        if self._filler is None:
            record = forward_recorder(self._forward)
            self._filler = self._ablation.filler(record, self._prompts, self._sites)
        rows = [int(r) for r in batch.prompt]
        like = self._decoder.head
        fills = at_sites(self._filler, self._sites, rows, batch.layout, like)
        return _Ready(batch, where, entry, fills)

    def _piece(self, ready: _Ready, start: int, stop: int) -> _Ready:
        """Some prompts of a batch."""
        if stop - start == len(ready.batch):
            return ready
        batch, starts = ready.batch[start:stop], ready.batch.layout.starts
        tokens = slice(int(starts[start]), int(starts[stop]))
        written = tokens
        if self._first == self._model.shape.n_layers - 1:  # its entry has the tokens that are read
            reads = ready.batch.layout.reads
            each = 0 if reads is None else reads.shape[1]
            written = slice(start * each, stop * each)
        fills = ready.fills
        if self._own_fill:
            fills = {site: x[tokens] for site, x in fills.items()}
        where = self._forward.frame(batch.layout, self._prefix)
        return _Ready(batch, where, ready.entry[written], fills)

    def _begin(self) -> tuple[list[KeyValue | None], Entry]:
        """Keys, values and entry of the shared prefix."""
        if self._beginning is None:
            tokens = self._prompts.tokens[0][: self._prefix]
            ids = torch.tensor(tokens, device=self._device)
            made: list[KeyValue | None] = []
            entry = self._forward.enter(
                ids, self._prefix_frame(), self._first, gated=self._gated, keep=made
            )
            self._beginning = made, entry
        return self._beginning

    def _prefix_frame(self) -> Frame:
        return self._forward.frame(Layout(np.array([self._prefix])))

    def _blocks(self, gates: Gates, order: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """Masks that run together: one by one, or as many as fill a batch, whichever is less work."""
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
        ready: Sequence[_Ready],
        start: int,
        out: npt.NDArray[np.float32],
    ) -> None:
        """Score a block of masks on the batches from ``start``; in halves where memory runs out."""
        done = start
        try:
            tree = grow(
                gates[block],
                self._model.shape,
                self._first,
                rescale=self._ablation.rescale,
                parallel=self._parallel,
                device=self._device,
            )
            past = self._prefix_keys(tree) if self._prefix else []
            for batch in ready[start:]:
                self._score_batch(tree, batch, past, block, out)
                done += 1
            return
        except Exception as error:
            if not cost.is_out_of_memory(error):
                raise
            if len(block) == 1:
                raise self._too_large(error, ready[min(done, len(ready) - 1)].batch) from error
        self._shrink()
        middle = len(block) // 2
        self._score(gates, block[:middle], ready, done, out)
        self._score(gates, block[middle:], ready, done, out)

    def _prefix_keys(self, tree: Tree) -> list[KeyValue | None]:
        made: list[KeyValue | None] = []
        _, entry = self._begin()
        if self._first == self._model.shape.n_layers - 1:
            return [None]
        fills = self._kept_mean()
        self._forward.run(self._first, tree.steps, entry, fills, self._prefix_frame(), keep=made)
        return made

    def _kept_mean(self) -> dict[str, torch.Tensor]:
        if self._filler is None:
            return {}
        layout = Layout(np.array([self._prefix]))
        return at_sites(self._filler, self._sites, [0], layout, self._decoder.head)

    def _score_batch(
        self,
        tree: Tree,
        ready: _Ready,
        past: Sequence[KeyValue | None],
        block: npt.NDArray[np.int64],
        out: npt.NDArray[np.float32],
    ) -> None:
        """Score a block on a batch, as many prompts at once as there is room for."""
        start = 0
        layout = ready.batch.layout
        while start < len(layout):
            stop = layout.room(start, self.tokens // tree.widest)
            piece = self._piece(ready, start, stop)
            try:
                stream = self._forward.run(
                    self._first, tree.steps, piece.entry, piece.fills, piece.where, past=past
                )
                found = reading.scores(self._decoder, self._prompts, piece.batch, stream)
                out[block[:, None], piece.batch.rows] = found[tree.leaf]
                start = stop
                continue
            except Exception as error:
                if not cost.is_out_of_memory(error) or stop - start == 1:
                    raise
            self._shrink(below=tree.widest * piece.batch.layout.tokens)

    def _shrink(self, below: int | None = None) -> None:
        """Halve the batch for good, and let go of what a failed one held."""
        self.tokens = max(1, min(self.tokens, below or self.tokens) // 2)
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _too_large(self, error: Exception, batch: PromptBatch) -> InputError:
        name = int(batch.prompt[-1])
        return InputError(
            f"memory ran out on {self._device} with a single mask and prompt (row {name}, "
            f"{len(self._prompts.tokens[name])} tokens) in a batch. "
            "Use a smaller dtype, fewer shots or shorter prompts, a larger device, or leave "
            f"more memory free ({error})"
        )


def obstacle(model: Model, prompts: Prompts) -> str | None:
    """Why the fast engine cannot run a model on prompts; None where it can."""
    try:
        decoder = read_decoder(model.hf)
    except Unknown as why:
        return str(why)
    longest = max(len(t) for t in prompts.tokens)
    if decoder.window is not None and longest > decoder.window:
        return f"prompts of {longest} tokens are longer than its attention window, {decoder.window}"
    return None
