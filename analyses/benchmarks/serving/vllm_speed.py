"""Speed and memory of checkpoints on servers of vLLM, which are asked in turns.

All servers run at once, each on one thread, and only one is asked at a time. Seconds are those that the
processes of a server had the processor, so that other jobs on the machine do not count. The environment
has vLLM and, for the intervals and the form ``own``, spex-mech.

    python vllm_speed.py OUT.json DENSE PRUNED [MORE ...]
"""

from __future__ import annotations

import argparse
import json
import os
import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from vllm_serve import PORT, complete, serving

from spex_mech.core.estimates import bootstrap_mean

VOCABULARY = 40_000  # token ids below it are in every checkpoint's vocabulary
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Start the servers, ask them in turns, and write what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--prompts", type=int, default=4, help="asked at once")
    parser.add_argument("--prompt", type=int, default=256, help="tokens of each")
    parser.add_argument("--new", type=int, default=64, help="tokens decoded after each")
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rng = random.Random(0)
    prompts = [
        [rng.randrange(100, VOCABULARY) for _ in range(options.prompt)]
        for _ in range(options.prompts)
    ]
    told: dict[str, dict[str, Any]] = {}
    with ExitStack() as servers:
        sessions = {}
        for i, checkpoint in enumerate(options.checkpoints):
            log = options.out.with_suffix(f".{checkpoint.name}.log")
            context = options.prompt + options.new + 1
            server = servers.enter_context(serving(checkpoint, log, context, PORT + i))
            complete(prompts, 1 + options.new, PORT + i)  # warms up
            sessions[checkpoint.name] = server.pid
            told[checkpoint.name] = {"prefill": [], "decode": []}
        for _ in range(options.rounds):
            for i, (name, session) in enumerate(sessions.items()):
                read = seconds_of(session, prompts, 1, PORT + i)
                both = seconds_of(session, prompts, 1 + options.new, PORT + i)
                tokens = options.prompts * options.prompt, options.prompts * options.new
                told[name]["prefill"].append(tokens[0] / read)
                told[name]["decode"].append(tokens[1] / (both - read))
        for name, session in sessions.items():
            told[name]["memory"] = memory(session)
    options.out.write_text(json.dumps(told, indent=1) + "\n")
    report(told)


def report(told: dict[str, dict[str, Any]]) -> None:
    """Print a Markdown table; ratios are to the first checkpoint, with an interval over the rounds."""
    first = next(iter(told.values()))
    print("| checkpoint | prefill, tokens/s | times | decode, tokens/s | times | memory, MB |")
    print("|---|---|---|---|---|---|")
    for name, row in told.items():
        cells = [name]
        for key in ("prefill", "decode"):
            logs = bootstrap_mean(np.log(row[key]) - np.log(first[key]), seed=0)
            mean, low, high = np.exp([logs.mean, logs.low, logs.high])
            cells += [f"{np.median(row[key]):.1f}", f"{mean:.2f} [{low:.2f}, {high:.2f}]"]
        print(f"| {' | '.join(cells)} | {row['memory'] / 1e6:.0f} |")


def seconds_of(session: int, prompts: list[list[int]], tokens: int, port: int) -> float:
    """Seconds of the processor that a server takes for a request."""
    before = processor_seconds(session)
    complete(prompts, tokens, port)
    return processor_seconds(session) - before


def processor_seconds(session: int) -> float:
    """Seconds that the processes of a session have had the processor, so far."""
    total = 0
    for process in processes(session):
        user, system = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
        total += int(user) + int(system)
    return total / TICKS


def memory(session: int) -> int:
    """Bytes of a session's processes, shared pages divided among those that share them."""
    lines = [
        line
        for process in processes(session)
        for line in (process / "smaps_rollup").read_text().splitlines()
    ]
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def processes(session: int) -> list[Path]:
    """The processes of a session, as Linux lists them."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[3]) == session:
            found.append(path)
    return found


if __name__ == "__main__":
    main()
