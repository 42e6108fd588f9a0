"""Masked texts read by an endpoint: replies are kept as they come, and never paid for twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.evaluation.store.journal import append_entry
from spex_mech.features.endpoints import Endpoint, Reply
from spex_mech.features.functions import TextSource, fingerprint_of
from spex_mech.features.parts import TextParts
from spex_mech.features.values import Reading, answer_reading, answer_texts, judge_of, judged

_OF_TOKENS = ("logprob", "logodds", "margin")


class EndpointSource(TextSource):
    """Masked texts as messages to a chat model.

    Args:
        parts: a text and its replacements.
        endpoint: the model.
        value: ``logprob``, ``logodds`` or ``margin`` of answers by the log-probabilities of the first
            token (an answer that is not among the likeliest tokens gets an upper bound: what these leave
            over, at most the least likely of them); ``match``: 1 where the reply contains the target,
            else 0; ``similarity`` to the reply to the whole text; or a function from a reply's text to
            a number. By default ``margin`` with several answers, ``match`` with one, ``similarity``
            with none.
        target: an answer, or a list of answers of which the first is asked about.
        system: the chat's system message.

    Attributes:
        reading: the value.
        batch: masks that are evaluated together: two for each request under way at once, so that little is
            paid for twice when the endpoint fails.

    Raises:
        InputError: a removal by a token, answers with the same first word, or a value without what it
            needs.
    """

    def __init__(
        self,
        parts: TextParts,
        endpoint: Endpoint,
        *,
        value: str | Callable[[str], float] | None,
        target: Any,
        system: str | None,
    ) -> None:
        super().__init__(parts, "an endpoint")
        self._endpoint, self._system = endpoint, system
        self._answers = [] if target is None else answer_texts(target, strip=True)
        default = ("similarity", "match", "margin")[min(2, len(self._answers))]
        value = value or default
        self._tokens = value in _OF_TOKENS
        if self._tokens and not self._answers:
            raise InputError(
                f"value is {value!r}, which needs target=, an answer or a list of answers"
            )
        if self._tokens:
            self.reading = answer_reading(str(value), self._answers)
            judge = None
        else:
            answer = self._answers[0] if self._answers else None
            judge = judge_of(value, answer, lambda: self._whole)
            name = value if isinstance(value, str) else fingerprint_of(value)
            self.reading = Reading(name, answer or "the reply", lambda outputs: outputs[:, 0])
        self._judge = judge
        self._known: dict[str, Reply] = {}
        self.batch = 2 * endpoint.concurrency
        self.key = {
            "endpoint": endpoint.fingerprint,
            "system": str(system),
            "answers": json.dumps(self._answers),
            "text": self.text_key,
        }

    def outputs(self, inputs: Sequence[str]) -> Float64[np.ndarray, "u k"]:
        """Log-probabilities (u, answers), or one judgement (u, 1) per reply."""
        replies = self._ask(inputs)
        if self._judge is not None:
            return judged(self._judge, [reply.text for reply in replies])
        return np.array(
            [[first_logprob(r, a, self._answers) for a in self._answers] for r in replies]
        )

    @cached_property
    def _whole(self) -> str:
        return self._ask([self.whole_text])[0].text

    def _ask(self, texts: Sequence[str]) -> list[Reply]:
        requests, digests = zip(*map(self._request, texts), strict=True)
        path = None if self._endpoint.replies is None else Path(self._endpoint.replies)
        if path is not None and not self._known:
            self._known.update(_read(path))
        todo = [i for i, digest in enumerate(digests) if digest not in self._known]

        def keep(k: int, reply: Reply) -> None:
            self._known[digests[todo[k]]] = reply
            if path is not None:
                _write(path, digests[todo[k]], reply)

        if todo:
            self._endpoint.ask([requests[i] for i in todo], keep)
        return [self._known[digest] for digest in digests]

    def _request(self, text: str) -> tuple[dict[str, Any], str]:
        request = self._endpoint.request(text, self._system, logprobs=self._tokens)
        return request, self._endpoint.digest(request)


def first_logprob(reply: Reply, answer: str, answers: Sequence[str]) -> float:
    """Log-probability that a reply begins as an answer does.

    Tokens count for an answer if they are it, or a beginning of it and of no other answer, white space at
    their ends aside. With none of them among the likeliest, it is what these leave over, at most the
    least likely of them.
    """
    text = answer.strip()
    others = [other.strip() for other in answers if other != answer]

    def counts(word: str) -> bool:
        return text == word or (
            text.startswith(word) and not any(other.startswith(word) for other in others)
        )

    matching = [p for token, p in reply.first if (word := token.strip()) and counts(word)]
    if matching:
        return float(np.logaddexp.reduce(matching))
    seen = np.array([p for _, p in reply.first])
    left = 1.0 - float(np.exp(seen).sum())
    return float(min(seen.min(), np.log(left) if left > 0 else seen.min()))


def _read(path: Path) -> dict[str, Reply]:
    """Replies on disk; a line that was cut off or damaged is passed over."""
    known: dict[str, Reply] = {}
    if not path.exists():
        return known
    for line in path.read_bytes().decode(errors="replace").split("\n"):
        try:
            entry = json.loads(line)
            first = tuple((str(token), float(p)) for token, p in entry["first"])
            known[str(entry["request"])] = Reply(str(entry["text"]), first)
        except (ValueError, TypeError, KeyError):
            continue
    return known


def _write(path: Path, digest: str, reply: Reply) -> None:
    entry = {"request": digest, "text": reply.text, "first": reply.first}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size and not _ends_line(path):
            with path.open("ab") as file:
                file.write(b"\n")
        append_entry(path, entry, private=True)
    except OSError as error:
        raise InputError(
            f"cannot write replies to {path}: {error.strerror or error}; make room, or choose another "
            "file (what is there stays readable)"
        ) from error


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
