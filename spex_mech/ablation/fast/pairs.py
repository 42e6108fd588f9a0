"""Single pairs of a mask and a prompt: each mask is asked some prompts only.

Prompts of one mask run together where they fill a batch, so that heads which it removes are not computed,
and where prompts share a beginning, which is then computed once for the mask. Other pairs stand in one row,
whatever their masks: every token has the gates of its own mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spex_mech.ablation.fast import batches as reading
from spex_mech.ablation.fast import cost
from spex_mech.ablation.fast.attention import KeyValue
from spex_mech.ablation.fast.batches import PromptBatch
from spex_mech.ablation.fast.forward import Forward
from spex_mech.ablation.fast.layout import Layout
from spex_mech.ablation.fast.plan import Planner
from spex_mech.ablation.fast.prepared import Preparation, PreparedBatch
from spex_mech.ablation.gates import Gates
from spex_mech.tasks.prompts import Prompts


@dataclass(frozen=True)
class PairRuns:
    """Different runs of a mask on a prompt, in the order of the prompts, and the pairs that they answer.

    Attributes:
        mask: int64 (u,), the mask of each run.
        batch, prompt: int64 (u,), its batch, and the place of its prompt there.
        widths: int64 (u,), its tokens, padding included.
        pair, row, run: int64 (k,), the pairs, their rows of the task, and the runs that answer them.
    """

    mask: npt.NDArray[np.int64]
    batch: npt.NDArray[np.int64]
    prompt: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int64]
    pair: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    run: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, runs: npt.NDArray[np.int64]) -> PairRuns:
        """Some runs, in ascending order."""
        place = np.full(len(self), -1)
        place[runs] = np.arange(len(runs))
        inside = place[self.run] >= 0
        return PairRuns(
            self.mask[runs],
            self.batch[runs],
            self.prompt[runs],
            self.widths[runs],
            self.pair[inside],
            self.row[inside],
            place[self.run[inside]],
        )

    def groups(self, enough: int) -> Iterator[PairRuns]:
        """The runs of each mask that has at least ``enough`` tokens, and all others together."""
        tokens = np.bincount(self.mask, weights=self.widths)
        alone = tokens[self.mask] >= enough
        order = np.argsort(self.mask, kind="stable")
        order = order[alone[order]]
        ends = np.flatnonzero(np.diff(self.mask[order])) + 1
        for runs in [*np.split(order, ends), np.flatnonzero(~alone)]:
            if len(runs):
                yield self[runs]


def runs_of(pairs: npt.NDArray[np.int64], batches: Sequence[PromptBatch], rows: int) -> PairRuns:
    """The runs that answer those of some pairs (p, 2) of mask and row whose prompts stand in some batches.

    Args:
        pairs: int64 (p, 2), mask and row.
        batches: the batches, in the order of their widths.
        rows: number of rows of the task.
    """
    batch, prompt = np.full(rows, -1), np.full(rows, -1)
    for i, one in enumerate(batches):
        batch[one.rows], prompt[one.rows] = i, one.place
    pair = np.flatnonzero(batch[pairs[:, 1]] >= 0)
    mask, row = pairs[pair].T
    keys = np.column_stack([batch[row], prompt[row], mask])
    (found, place, masks), run = _unique(keys)
    widths = [batches[b].layout.widths[p] for b, p in zip(found, place, strict=True)]
    return PairRuns(masks, found, place, np.array(widths, dtype=np.int64), pair, row, run)


class PairScorer:
    """Scores pairs of a mask and a prompt.

    Args:
        forward: the model's forward pass.
        prompts: the task's rows.
        preparation: makes batches of prepared prompts.
        planner: plans what a row of pairs does in each layer.
        budget: tokens that go through a layer at once.
        prefix: tokens with which all prompts begin and which no batch holds; where there are any, the
            pairs that are scored together have one mask.
    """

    def __init__(
        self,
        forward: Forward,
        prompts: Prompts,
        preparation: Preparation,
        planner: Planner,
        budget: cost.Budget,
        prefix: int,
    ) -> None:
        self._forward, self._prompts, self._preparation = forward, prompts, preparation
        self._planner, self._budget, self._prefix = planner, budget, prefix

    def score(
        self,
        gates: Gates,
        asked: PairRuns,
        ready: Sequence[PreparedBatch],
        out: npt.NDArray[np.float32],
    ) -> None:
        """Write the scores of some runs to the places of their pairs in ``out``, (p, ...).

        Raises:
            InputError: one mask on one prompt does not fit into memory.
        """
        past: Sequence[KeyValue | None] | None = None
        start, layout = 0, Layout(asked.widths)
        while start < len(asked):
            stop = layout.room(start, self._budget.tokens)
            some = asked[np.arange(start, stop)]
            try:
                if past is None:
                    past = self._past(gates, asked)
                self._run(gates, some, ready, past, out)
                start = stop
                continue
            except Exception as error:
                if not cost.is_out_of_memory(error):
                    raise
                if stop - start == 1:
                    row = int(ready[some.batch[0]].batch.prompt[some.prompt[0]])
                    device = self._planner.device
                    raise cost.too_large(error, device, self._prompts, row) from error
            self._budget.shrink(below=int(some.widths.sum()))

    def _past(self, gates: Gates, asked: PairRuns) -> Sequence[KeyValue | None]:
        if not self._prefix:
            return []
        return self._preparation.prefix_keys(self._planner.tree(gates[asked.mask[:1]]))

    def _run(
        self,
        gates: Gates,
        asked: PairRuns,
        ready: Sequence[PreparedBatch],
        past: Sequence[KeyValue | None],
        out: npt.NDArray[np.float32],
    ) -> None:
        gathered = self._preparation.gather(
            [(ready[b], asked.prompt[asked.batch == b]) for b in np.unique(asked.batch)]
        )
        reads = np.asarray(gathered.batch.layout.reads).shape[1]
        steps = self._planner.row(gates[asked.mask], asked.widths, reads)
        stream = self._forward.run(
            self._planner.first, steps, gathered.entry, gathered.fills, gathered.frame, past=past
        )
        batch = replace(gathered.batch, rows=asked.row, place=asked.run)
        scores = reading.scores(self._forward.decoder, self._prompts, batch, stream)
        out[asked.pair] = scores[0]


def _unique(
    keys: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The different rows of keys (k, 3), in order, as columns (3, u); and the one of each row (k,)."""
    order = np.lexsort(keys.T[::-1])
    new = np.ones(len(keys), dtype=bool)
    new[1:] = (np.diff(keys[order], axis=0) != 0).any(axis=1)
    run = np.empty(len(keys), dtype=np.int64)
    run[order] = np.cumsum(new) - 1
    return keys[order[new]].T, run
