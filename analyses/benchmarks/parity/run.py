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
from cases import Case, asked, cases
from harness import Harness

import spex_mech as sm
from spex_mech.tasks.chats import render
from spex_mech.tasks.task import ChoiceTask

TOLERANCE = 1e-4
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Outcome:
    """What a case gave.

    Attributes:
        case: the case.
        questions: number of questions compared.
        asked: number that the harness was asked, those that it cut among them.
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
    asked: int
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
    outcomes, left_out = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for case in cases(args, Path(scratch)):
            try:
                asked(case, args.data)
            except sm.InputError as error:
                left_out.append(f"- {case.name}: {error}")
                print(left_out[-1], flush=True)
            else:
                outcomes.append(compare(case, args.data))
    text = table(outcomes, left_out, time.monotonic() - started)
    print(text)
    if args.write:
        (HERE / "results.md").write_text(text, encoding="utf-8")
    wrong = [o for o in outcomes if not o.agrees]
    print(f"{len(outcomes) - len(wrong)} of {len(outcomes)} cases agree")
    return 1 if wrong else 0


def table(outcomes: list[Outcome], left_out: list[str], seconds: float) -> str:
    """The outcomes as Markdown."""
    lines = [
        f"spex_mech {version('spex-mech') if installed() else 'from a checkout'}, "
        f"lm-evaluation-harness {version('lm_eval')}, transformers {version('transformers')}, "
        f"torch {version('torch')}; {seconds:.0f} s on the CPU",
        "",
        "| model | subject | shots | questions | same prompt | same verdict | accuracy, theirs | ours | "
        "largest difference: log-probability (questions) | logit | within 1e-4 of a tie |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for o in outcomes:
        chat = f", chat ({o.case.chat})" if o.case.chat else ""
        count = str(o.questions) if o.questions == o.asked else f"{o.questions} of {o.asked}"
        lines.append(
            f"| {o.case.label}{chat} | {o.case.subject} | {o.case.shots} | {count} | {o.prompts} | "
            f"{o.same} | {o.accuracy:.6f} | {o.ours:.6f} | {o.worst:.1e} ({o.absolute}) | "
            f"{o.worst_logit:.1e} | {o.close} |"
        )
    if left_out:
        lines += ["", "Left out, because the library refuses to cut prompts:", "", *left_out]
    return "\n".join(lines) + "\n"


def compare(case: Case, data: Path) -> Outcome:
    """Ask both."""
    began = time.monotonic()
    players = sm.select_players(case.model, "heads")
    theirs = Harness(case.folder, data).ask(
        case.subject, case.shots, chat=case.chat, limit=case.limit
    )
    asking = time.monotonic() - began

    def ask(form: str) -> tuple[ChoiceTask, sm.TaskGame, np.ndarray, list[int]]:
        task = asked(case, data, form)
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
        asked=len(theirs.right),
        prompts=sum(theirs.prompts[i] == p for i, p in zip(numbers, prompts, strict=True)),
        absolute=len(few),
        worst=float(np.abs(summed[0] - absolute).max()),
        worst_logit=float(np.abs(centred(letters[0]) - centred(expected)).max()),
        accuracy=theirs.accuracy if len(numbers) == len(theirs.right) else float(verdict.mean()),
        ours=float(right.mean()),
        same=int((right == verdict).sum()),
        close=int((best[:, -1] - best[:, -2] < TOLERANCE).sum()),
    )
    seconds = f"theirs {asking:.0f} s, ours {time.monotonic() - began - asking:.0f} s"
    print(f"{case.name}: {outcome.agrees} ({seconds})", flush=True)
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
