"""Parity with lm-evaluation-harness: the same model, the same MMLU files, the same numbers.

For every subject, number of shots and model: each question's prompt (byte for byte), its four
log-probabilities (within 1e-4 in float32), its being right and the accuracy (exactly). Ends with exit
code 1 if anything differs.
"""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from harness import Harness
from models import tiny_model

import spex_mech as sm
from spex_mech.chats import render
from spex_mech.prompts import fitting
from spex_mech.task import ChoiceTask

TOLERANCE = 1e-4
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One comparison: which model folder is asked what, and the game that should give the same."""

    label: str
    folder: Path
    model: sm.Model
    mask: np.ndarray
    subject: str
    shots: int
    chat: bool | str = False


@dataclass(frozen=True)
class Outcome:
    """What a case gave.

    Attributes:
        case: the case.
        questions: number of questions compared.
        prompts: how many of their prompts are the same byte for byte.
        absolute: number of questions whose log-probabilities are compared as they are.
        worst: largest difference there (answers scored as continuations).
        worst_logit: largest difference, over all questions, of a letter's logit from its
            log-probability, less what a question's four letters share.
        accuracy: theirs.
        ours: ours, counted as they do.
        same: number of questions that both have right or both wrong.
        close: questions whose two best answers are within 1e-4, on which equality is luck.
    """

    case: Case
    questions: int
    prompts: int
    absolute: int
    worst: float
    worst_logit: float
    accuracy: float
    ours: float
    same: int
    close: int

    @property
    def agrees(self) -> bool:
        """Whether everything that is promised holds."""
        return (
            self.prompts == self.same == self.questions
            and self.worst <= TOLERANCE
            and self.worst_logit <= TOLERANCE
            and self.accuracy == self.ours
        )


def main() -> int:
    """Run all cases and write the table."""
    args = arguments()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        outcomes = [compare(case, args) for case in cases(args, folder)]
    lines = [
        f"spex_mech {version('spex-mech') if installed() else 'from a checkout'}, "
        f"lm-evaluation-harness {version('lm_eval')}, transformers {version('transformers')}, "
        f"torch {version('torch')}; {time.monotonic() - started:.0f} s on the CPU",
        "",
        "| model | subject | shots | questions | same prompt | same verdict | accuracy, theirs | ours | "
        "largest difference: log-probability (questions) | logit | within 1e-4 of a tie |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for o in outcomes:
        chat = f", chat ({o.case.chat})" if o.case.chat else ""
        lines.append(
            f"| {o.case.label}{chat} | {o.case.subject} | {o.case.shots} | {o.questions} | {o.prompts} | "
            f"{o.same} | {o.accuracy:.6f} | {o.ours:.6f} | {o.worst:.1e} ({o.absolute}) | "
            f"{o.worst_logit:.1e} | {o.close} |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    if args.write:
        (HERE / "results.md").write_text(text, encoding="utf-8")
    wrong = [o for o in outcomes if not o.agrees]
    print(f"{len(outcomes) - len(wrong)} of {len(outcomes)} cases agree")
    return 1 if wrong else 0


def cases(args: argparse.Namespace, scratch: Path):
    """Every model, subject and number of shots."""
    random = scratch / "random"
    tiny_model(random, args.data, args.subjects, context=args.context)
    sources = [("random Llama", str(random))]
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
                yield Case(label, folder, model, full, subject, shots)
        if label == "random Llama":
            for chat in ("turns", "single"):
                yield Case(label, folder, model, full, args.subjects[0], 2, chat)
        mask = pruned(model, players, args)
        out = sm.export(model, players, mask, scratch / f"{folder.name}-pruned", mode="dense")
        for shots in args.shots:
            where = f"{label}, {int(mask.sum())} of {players.n} heads, exported"
            yield Case(where, out, model, mask, args.subjects[0], shots)


def pruned(model: sm.Model, players: sm.PlayerSet, args: argparse.Namespace) -> np.ndarray:
    """A mask of kept heads, chosen by the library on a few search questions."""
    task = asked(model, args.subjects[0], 0, None, args).first(4)
    game = sm.TaskGame(model, task, players)
    design = sm.designs.biased(players.n, 16, keep_rate=(0.5, 0.9), seed=0)
    run = sm.evaluate(game, design, progress=False)
    spectrum = sm.decode(design, run.values, method="lasso", seed=0)
    return sm.prune(game, spectrum, keep=3 * players.n // 4, validate=4, seed=0).mask


def asked(
    model: sm.Model,
    subject: str,
    shots: int,
    chat: bool | str | None,
    args: argparse.Namespace,
    form: str = "letters",
) -> ChoiceTask:
    """Our task, without questions that are too long (the harness would cut them silently)."""
    task = sm.load_task(f"mmlu/{subject}", data=args.data, shots=shots, chat=chat, form=form)
    limits = [limit(args, shots), args.absolute if form == "continuations" else None]
    most = min((n for n in limits if n is not None), default=len(task.examples))
    task = task.without([x.id for x in task.examples[most:]])
    return fitting(task, model.tokenizer, model.context)


def limit(args: argparse.Namespace, shots: int) -> int | None:
    """Number of questions of a case."""
    return args.limit_shots if shots and args.limit_shots is not None else args.limit


def compare(case: Case, args: argparse.Namespace) -> Outcome:
    """Ask both."""
    players = sm.select_players(case.model, "heads")
    harness = Harness(case.folder, args.data)
    theirs = harness.ask(case.subject, case.shots, chat=case.chat, limit=limit(args, case.shots))

    def ask(form: str) -> tuple[ChoiceTask, sm.TaskGame, np.ndarray, list[int]]:
        task = asked(case.model, case.subject, case.shots, case.chat or None, args, form)
        game = sm.TaskGame(case.model, task, players, split="all")
        numbers = [int(x.id.rsplit("/", 1)[1]) for x in task.examples]
        return task, game, game.scores(case.mask[None]), numbers

    task, game, letters, numbers = ask("letters")
    expected = np.array([theirs.logprobs[i] for i in numbers])
    right = game.per_example(letters, metric="accuracy_first")[0]
    verdict = np.array([theirs.right[i] for i in numbers])
    tokenizer = case.model.tokenizer
    prompts = [render(x.prompt, x.turns, task.chat, tokenizer) for x in task.examples]
    _, _, summed, few = ask("continuations")
    absolute = np.array([theirs.logprobs[i] for i in few])
    best = np.sort(expected, axis=1)
    outcome = Outcome(
        case=case,
        questions=len(numbers),
        prompts=sum(theirs.prompts[i] == p for i, p in zip(numbers, prompts, strict=True)),
        absolute=len(few),
        worst=float(np.abs(summed[0] - absolute).max()),
        worst_logit=float(np.abs(centred(letters[0]) - centred(expected)).max()),
        accuracy=theirs.accuracy if len(numbers) == len(theirs.right) else float(verdict.mean()),
        ours=float(right.mean()),
        same=int((right == verdict).sum()),
        close=int((best[:, -1] - best[:, -2] < TOLERANCE).sum()),
    )
    print(case.label, case.subject, case.shots, case.chat or "", outcome.agrees, flush=True)
    return outcome


def centred(x: np.ndarray) -> np.ndarray:
    """Without what all four answers share: log-probabilities are logits up to that."""
    x = x.astype(np.float64)
    return x - x.mean(axis=1, keepdims=True)


def installed() -> bool:
    """Whether the library is installed, not only importable."""
    from importlib.metadata import PackageNotFoundError

    try:
        version("spex-mech")
    except PackageNotFoundError:
        return False
    return True


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=HERE.parents[3] / "shared" / "mmlu" / "hf")
    parser.add_argument(
        "--subjects",
        nargs="+",
        default=["high_school_us_history", "high_school_european_history"],
    )
    parser.add_argument("--shots", nargs="+", type=int, default=[0, 5])
    parser.add_argument("--models", nargs="*", default=[], help="more: folders, or 'embedded'")
    parser.add_argument("--limit", type=int, help="the first so many questions of a subject")
    parser.add_argument("--limit-shots", type=int, help="the same where there are shots")
    parser.add_argument(
        "--absolute", type=int, help="compare so many as continuations; default all"
    )
    parser.add_argument("--context", type=int, default=8192, help="of the random model")
    parser.add_argument("--write", action="store_true", help="write results.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
