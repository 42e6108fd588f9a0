"""Which models are asked what."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from models import tiny_byte_model, tiny_model

import spex_mech as sm
from spex_mech.tasks.prompts import fitting
from spex_mech.tasks.task import ChoiceTask

BYTES = 12  # questions for the model that reads bytes, whose prompts are the longest


@dataclass(frozen=True)
class Case:
    """One comparison: which model folder is asked what, and the game that should give the same.

    Attributes:
        label: what the table calls it.
        folder: the model that the harness loads.
        model: the model that is loaded here.
        mask: the players that are present here; the folder holds all of its own.
        subject: of MMLU.
        shots: worked examples.
        chat: whether prompts go through the chat template, and how; see `load_task`.
        limit: the first so many questions; None for all.
        absolute: so many of them as continuations too; None for all.
    """

    label: str
    folder: Path
    model: sm.Model
    mask: np.ndarray = field(repr=False)
    subject: str
    shots: int
    chat: bool | str = False
    limit: int | None = None
    absolute: int | None = None

    @property
    def name(self) -> str:
        """What it is called in full."""
        chat = f", chat ({self.chat})" if self.chat else ""
        return f"{self.label}{chat}, {self.subject}, {self.shots} shots"


def cases(args: argparse.Namespace, scratch: Path) -> Iterator[Case]:
    """Every model, subject and number of shots."""
    tiny_model(scratch / "random", args.data, args.subjects, context=args.context)
    tiny_byte_model(scratch / "bytes", context=args.context)
    first = args.subjects[0]

    def case(label: str, folder: Path, model: sm.Model, mask, subject: str, shots: int, chat=False):
        limits = [args.limit, args.limit_shots if shots else None]
        limits += [BYTES if "bytes" in label else None]
        most = min((n for n in limits if n is not None), default=None)
        return Case(label, folder, model, mask, subject, shots, chat, most, args.absolute)

    sources = [("random Llama", str(scratch / "random"))]
    sources += [(Path(name).name, name) for name in args.models]
    for label, name in sources:
        model = sm.load_model(name, device="cpu")
        folder = Path(name)
        if name == "embedded":
            folder = scratch / "embedded"
            model.hf.save_pretrained(folder)
            model.tokenizer.save_pretrained(folder)
        players = sm.select_players(model, "heads")
        full = np.ones(players.n, dtype=bool)
        for subject in args.subjects:
            for shots in args.shots:
                yield case(label, folder, model, full, subject, shots)
        if label == "random Llama":
            for chat in ("turns", "single"):
                yield case(label, folder, model, full, first, 2, chat)
        mask = pruned(model, players, case(label, folder, model, full, first, 0), args.data)
        out = sm.export(model, players, mask, scratch / f"{folder.name}-pruned", mode="dense")
        where = f"{label}, {int(mask.sum())} of {players.n} heads, exported"
        for shots in args.shots:
            yield case(where, out, model, mask, first, shots)
    model = sm.load_model(scratch / "bytes", device="cpu")
    full = np.ones(sm.select_players(model, "heads").n, dtype=bool)
    yield case("random GPT-2 of bytes", scratch / "bytes", model, full, first, 0)


def asked(case: Case, data: Path, form: str = "letters") -> ChoiceTask:
    """Our task, without questions that are too long (the harness would cut them silently).

    Raises:
        InputError: none of them fits the model's context.
    """
    task = sm.load_task(
        f"mmlu/{case.subject}", data=data, shots=case.shots, chat=case.chat or None, form=form
    )
    limits = [case.limit, case.absolute if form == "continuations" else None]
    most = min((n for n in limits if n is not None), default=len(task.examples))
    task = task.without([x.id for x in task.examples[most:]])
    return fitting(task, case.model.tokenizer, case.model.context)


def pruned(model: sm.Model, players: sm.PlayerSet, case: Case, data: Path) -> np.ndarray:
    """A mask of kept heads, chosen by the library on a few search questions."""
    game = sm.TaskGame(model, asked(replace(case, limit=None), data).first(4), players)
    design = sm.designs.biased(players.n, 16, keep_rate=(0.5, 0.9), seed=0)
    run = sm.evaluate(game, design, progress=False)
    spectrum = sm.decode(design, run.values, method="lasso", seed=0)
    return sm.prune(game, spectrum, keep=3 * players.n // 4, validate=4, seed=0).mask
