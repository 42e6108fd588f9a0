"""A run in rounds whose masks are asked some questions each, as a process that can be killed.

``python -m tests.evaluation.sparse_runs FOLDER WORKERS LAST`` goes on with the run in FOLDER and kills its
own process in the batch number LAST, whichever worker has it; 0 never does. It prints a digest of results.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import cloudpickle

from spex_mech.evaluation.executors import LocalExecutor
from spex_mech.evaluation.games import as_game
from spex_mech.run.folder import RunFolder
from spex_mech.run.opening import claim
from spex_mech.run.rounds import ROUNDS, take_rounds
from spex_mech.run.spec_file import with_settings
from tests.shared import quiz

# Workers do not have the tests' folder: what is defined here travels with the game.
cloudpickle.register_pickle_by_value(quiz)
cloudpickle.register_pickle_by_value(sys.modules[__name__])

DESIGN = {"budget": "auto", "max_budget": 25, "check": 8, "keep_rate": [0.3, 0.9], "seed": 1}
SPEC = with_settings({"design": DESIGN, "decode": {"method": "walsh_gp"}}, ())


class Mortal(quiz.Quiz):
    """Leaves a file for every batch, and kills the process that made it in the batch number ``last``."""

    def __init__(self, log: Path, last: int) -> None:
        super().__init__(10, 24, own=0.6, seed=3)
        self.log, self.last, self.home = log, last, os.getpid()
        self.batch = 1  # as many as 24 questions

    def asked_scores(self, masks, questions):
        if len(masks) and self.last and len(list(self.log.iterdir())) + 1 >= self.last:
            os.kill(self.home, signal.SIGKILL)
            while os.getppid() == self.home:
                time.sleep(0.01)
            os._exit(0)  # it holds the output that whoever started the process waits for
        self.asked = []
        scores = super().asked_scores(masks, questions)
        (self.log / f"{os.getpid()}-{time.monotonic_ns()}").write_text(
            "".join(f"{mask.hex()} {q}\n" for mask, q in self.asked)
        )
        return scores


def asked(log: Path) -> list[str]:
    """Every mask and question that a finished batch has answered."""
    return [line for file in sorted(log.iterdir()) for line in file.read_text().splitlines()]


def go_on(folder: Path, log: Path, workers: int, last: int) -> str:
    """Take the rounds, or what is left of them; a digest of answers, rounds and spec."""
    log.mkdir(exist_ok=True)
    run = claim(folder, SPEC)
    game = as_game(Mortal(log, last))
    executor = LocalExecutor(workers=workers)
    options = {"executor": executor, "progress": False, "batch": 1}
    taken = take_rounds(RunFolder(run.path, SPEC), game, SPEC, 0.999, **options)
    assert taken.run.answers is not None and len(taken.rounds) > 1
    parts = [taken.run.answers.values.tobytes(), taken.run.answers.question.tobytes()]
    parts += [(run.path / name).read_bytes() for name in (ROUNDS, "spec.json", "questions.json")]
    return hashlib.sha256(b"".join(parts)).hexdigest()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print(go_on(place / "run", place / "log", int(sys.argv[2]), int(sys.argv[3])))
