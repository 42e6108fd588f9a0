"""Greedy answers of a checkpoint by vLLM's server, through its OpenAI endpoint, and its speed.

Runs in an environment with vLLM and, for the form ``own``, spex-mech. No code of the checkpoint is trusted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PORT = 8431
WAIT = 900.0  # seconds for the server to start


def main() -> None:
    """Start the server, ask every prompt, and write its answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("job", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    job = json.loads(options.job.read_text())
    with serving(options.checkpoint, options.out.with_suffix(".log"), job["context"]):
        options.out.write_text(json.dumps(asked(job)))


@contextmanager
def serving(
    checkpoint: Path, log: Path, context: int, port: int = PORT
) -> Iterator[subprocess.Popen[bytes]]:
    """A server of a checkpoint, while it is needed; a session of processes of its own."""
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    # What ``vllm serve`` starts; the command itself asks for a distribution of the name vllm, not vllm-cpu.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", checkpoint]
    command += ["--dtype", "float32", "--enforce-eager", "--max-model-len", str(context)]
    command += ["--port", str(port), "--served-model-name", "m", "--no-enable-prefix-caching"]
    with log.open("w") as lines:
        server = subprocess.Popen(
            [str(part) for part in command],
            env=environment,
            stdout=lines,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(server, port)
            yield server
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    raise SystemExit("the server did not start; see its log")


def asked(job: dict[str, Any]) -> dict[str, Any]:
    """Answers to all prompts in one request, and the speed of reading them and of all together."""
    complete(job["prompts"][:2], 2)  # warms up
    began = time.monotonic()
    complete(job["prompts"], 1)
    read = time.monotonic()
    answers = complete(job["prompts"], job["tokens"])
    end = time.monotonic()
    tokens = sum(map(len, job["prompts"]))
    made = len(job["prompts"]) * (job["tokens"] - 1)
    decoding = (end - read) - (read - began)
    return {"answers": answers, "prefill": tokens / (read - began), "decode": made / decoding}


def complete(prompts: list[list[int]], tokens: int, port: int = PORT) -> list[list[int]]:
    """Greedy tokens after each prompt."""
    body = {
        "model": "m",
        "prompt": prompts,
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "return_token_ids": True,
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=900) as reply:
        choices = json.load(reply)["choices"]
    return [choice["token_ids"] for choice in sorted(choices, key=lambda choice: choice["index"])]


if __name__ == "__main__":
    main()
