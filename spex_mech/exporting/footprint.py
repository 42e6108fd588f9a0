"""What a model costs, measured: parameters, file size, key/value cache, prefill and decode speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate, bootstrap_mean


@dataclass(frozen=True)
class Footprint:
    """One model's measured costs.

    Attributes:
        parameters: numbers that are stored; tied weights count once.
        weight_bytes: bytes they take in memory.
        file_bytes: bytes of the checkpoint's weights files; None where no folder was given.
        kv_bytes_per_token: bytes that the key/value cache held for each token of the prompt.
        batch: prompts run at once.
        prompt_tokens: tokens of each prompt.
        new_tokens: tokens decoded after each prompt.
        prefill_seconds: time of each round's prompt.
        decode_seconds: time of each round's new tokens, one at a time on the cache.
    """

    parameters: int
    weight_bytes: int
    file_bytes: int | None
    kv_bytes_per_token: float
    batch: int
    prompt_tokens: int
    new_tokens: int
    prefill_seconds: tuple[float, ...]
    decode_seconds: tuple[float, ...]

    @property
    def prefill_speed(self) -> float:
        """Prompt tokens per second, the median round."""
        return self.batch * self.prompt_tokens / float(np.median(self.prefill_seconds))

    @property
    def decode_speed(self) -> float:
        """New tokens per second, the median round."""
        return self.batch * self.new_tokens / float(np.median(self.decode_seconds))


def footprints(
    models: Mapping[str, Any],
    *,
    seed: int,
    folders: Mapping[str, str | Path] | None = None,
    batch: int = 1,
    prompt_tokens: int = 128,
    new_tokens: int = 32,
    rounds: int = 7,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Footprint]:
    """Measure models side by side.

    Every round runs all models one after the other, so that whatever else the machine does falls on
    all of them; the first round warms up and is not counted. Threads and device are the caller's.

    Args:
        models: name to Hugging Face model; they need one vocabulary.
        seed: seed of the token ids they read.
        folders: name to checkpoint folder, for the sizes of files.
        batch: prompts at once.
        prompt_tokens: tokens of a prompt.
        new_tokens: tokens to decode.
        rounds: rounds that count, two or more.
        clock: seconds since any moment. `time.process_time` does not count the time in which other jobs
            have the processor; on several threads it adds them up.

    Returns:
        Name to `Footprint`, in the order of ``models``.

    Raises:
        InputError: fewer than two rounds, no tokens, a folder without weights, or a sequence that is
            longer than a model's context.
    """
    if rounds < 2 or min(batch, prompt_tokens, new_tokens) < 1:
        raise InputError(
            f"got rounds={rounds}, batch={batch}, prompt_tokens={prompt_tokens}, new_tokens="
            f"{new_tokens}; expected two rounds or more, and one or more of the others"
        )
    sizes = {name: _file_bytes(folder) for name, folder in (folders or {}).items()}
    for name, hf in models.items():
        context = getattr(hf.config, "max_position_embeddings", None)
        if context is not None and prompt_tokens + new_tokens > context:
            raise InputError(
                f"{prompt_tokens} + {new_tokens} tokens do not fit the context of {name!r}, "
                f"{context}; ask for fewer"
            )
    vocabulary = min(hf.config.vocab_size for hf in models.values())
    ids = np.random.default_rng(seed).integers(0, vocabulary, (batch, prompt_tokens))
    times: dict[str, list[tuple[float, float, int]]] = {name: [] for name in models}
    for _ in range(rounds + 1):
        for name, hf in models.items():
            times[name].append(_round(hf, torch.from_numpy(ids), new_tokens, clock))
    measured = {}
    for name, hf in models.items():
        prefill, decode, cached = zip(*times[name][1:], strict=True)
        weights = list(hf.parameters())  # tied weights come once
        measured[name] = Footprint(
            parameters=sum(p.numel() for p in weights),
            weight_bytes=sum(p.numel() * p.element_size() for p in weights),
            file_bytes=sizes.get(name),
            kv_bytes_per_token=cached[0] / ids.size,
            batch=batch,
            prompt_tokens=prompt_tokens,
            new_tokens=new_tokens,
            prefill_seconds=prefill,
            decode_seconds=decode,
        )
    return measured


def speedup(before: Footprint, after: Footprint, *, seed: int) -> tuple[Estimate, Estimate]:
    """How many times faster ``after`` is, for prefill and decoding, each with an interval.

    The geometric mean of the rounds' ratios, with a bootstrap interval over the rounds (pairs that
    ran one after the other).

    Raises:
        InputError: footprints that were not measured together.
    """
    shapes = {
        (f.batch, f.prompt_tokens, f.new_tokens, len(f.prefill_seconds)) for f in (before, after)
    }
    if len(shapes) > 1:
        raise InputError(
            "footprints of different batches, lengths or rounds; measure them together"
        )

    def ratio(slow: tuple[float, ...], fast: tuple[float, ...]) -> Estimate:
        logs = bootstrap_mean(np.log(slow) - np.log(fast), seed=seed)
        mean, low, high = (float(np.exp(x)) for x in (logs.mean, logs.low, logs.high))
        return Estimate(mean, low, high, logs.n, logs.level)

    return (
        ratio(before.prefill_seconds, after.prefill_seconds),
        ratio(before.decode_seconds, after.decode_seconds),
    )


def _round(
    hf: Any, ids: torch.Tensor, new_tokens: int, clock: Callable[[], float]
) -> tuple[float, float, int]:
    """Seconds for the prompt, seconds for the new tokens, bytes cached after the prompt."""
    device = hf.get_input_embeddings().weight.device
    ids = ids.to(device)
    wait: Callable[[], Any] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    with torch.inference_mode():
        wait()
        start = clock()
        out = hf(ids, use_cache=True, logits_to_keep=1)
        wait()
        prefill = clock() - start
        cached = _cached_bytes(out.past_key_values)
        start = clock()
        for _ in range(new_tokens):
            token = out.logits[:, -1:].argmax(dim=-1)
            out = hf(token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
        wait()
        return prefill, clock() - start, cached


def _cached_bytes(cache: Any) -> int:
    """Bytes of all keys and values; layers that never stored any have none."""
    held = [x for layer in cache.layers for x in (layer.keys, layer.values) if x is not None]
    return sum(x.numel() * x.element_size() for x in held)


def _file_bytes(folder: str | Path) -> int:
    sizes = [path.stat().st_size for path in Path(folder).glob("*.safetensors")]
    if not sizes:
        raise InputError(f"{str(folder)!r} has no *.safetensors; give the folder of a checkpoint")
    return sum(sizes)
