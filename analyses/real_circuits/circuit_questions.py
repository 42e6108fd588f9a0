"""The questions: IOI, subject-verb agreement, and greater-than cut down to one digit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import spex_mech as sm
from spex_mech.tasks.task import ChoiceTask, Example

_CARDS = Path(__file__).parents[1] / "real_models" / "tasks"
NAMES = ("ioi", "agreement", "greater_than")


def load(name: str) -> ChoiceTask:
    """A task with a corrupted partner for every question, and one token for every answer."""
    if name == "ioi":
        return sm.load_task("circuits/ioi")
    task = sm.load_task(_CARDS / f"{name}.toml")
    return task if name == "agreement" else one_digit(task)


def one_digit(task: ChoiceTask) -> ChoiceTask:
    """Greater-than with the century given and the next digit asked for: "… 1483 to the year 14" → 9, not 3.

    Tokenizers that cut years into digits need four tokens for a whole year. Questions whose right answer
    does not have a higher digit there than the first year, or whose wrong one does not have a lower one, are
    left out.
    """
    examples = []
    for x in task.examples:
        _, digit = _start(x.prompt)
        right, wrong = (x.options[i].strip()[2] for i in (x.answer, 1 - x.answer))
        if wrong < digit < right:
            partners = tuple(_asked(p, right, wrong) for p in x.partners)
            examples.append(replace(_asked(x, right, wrong), partners=partners))
    return replace(task, name="greater_than, one digit", form="pairs", examples=tuple(examples))


def _asked(example: Example, right: str, wrong: str) -> Example:
    prompt = f"{example.prompt} {_start(example.prompt)[0]}"
    return replace(example, prompt=prompt, options=(right, wrong), answer=0, turns=())


def _start(prompt: str) -> tuple[str, str]:
    """The century and the next digit of the year that a prompt names."""
    year = re.findall(r"\d{4}", prompt)[-1]
    return year[:2], year[2]
