"""Masked texts read by an endpoint: replies are kept as they come, and never paid for twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.evaluation.store.journal import append_entry
from spex_mech.features.endpoints import Endpoint, Reply
from spex_mech.features.functions import fingerprint_of
from spex_mech.features.values import Reading, answer_reading, judge_of, judged
from spex_mech.features.wording import Removal, Wording

_OF_TOKENS = ("logprob", "logodds", "margin")


class EndpointSource:
    """Masked texts as messages to a chat model.

    Args:
        wording: the text and its replacements.
        removal: how parts are removed.
        endpoint: the model.
        value: ``logprob``, ``logodds`` or ``margin`` of answers by the log-probabilities of the first
            token (of an answer that is not among the likeliest tokens, what these leave over, at most the
            least likely of them: an upper bound); ``match``: 1 where the reply has the target in it,
            else 0; ``similarity`` to the reply to the whole text; or a function from a reply's text to
            a number. By default ``margin`` with several answers, ``match`` with one, ``similarity``
            with none.
        target: an answer, or a list of answers of which the first is asked about.
        system: the chat's system message.

    Attributes:
        reading: the value.

    Raises:
        InputError: a removal by a token, answers with the same first word, or a value without what it
            needs.
    """

    def __init__(
        self,
        wording: Wording,
        removal: Removal,
        endpoint: Endpoint,
        *,
        value: str | Callable[[str], float] | None,
        target: Any,
        system: str | None,
    ) -> None:
        if removal.kind in ("mask", "unknown"):
            raise InputError(
                f"removal is {removal.kind!r}, but an endpoint reads texts, which have no such token; "
                "use removal='filler' with filler='[MASK]', or 'delete'"
            )
        self._wording, self._endpoint, self._system = wording, endpoint, system
        self._answers = _answers(target)
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
            one = self._answers[0] if self._answers else None
            judge = judge_of(value, one, lambda: self._whole)
            name = value if isinstance(value, str) else fingerprint_of(value)
            self.reading = Reading(name, one or "the reply", lambda outputs: outputs[:, 0])
        self._judge = judge
        self._known: dict[str, Reply] = {}
        self.counts = np.array([len(texts) for texts in removal.texts], dtype=np.int64)
        self.size = sum(len(v) for piece in wording.pieces for v in piece.versions)
        self.key = {
            "endpoint": endpoint.fingerprint,
            "system": str(system),
            "answers": json.dumps(self._answers),
            "text": hashlib.sha256(repr(wording).encode()).hexdigest(),
        }

    def inputs(self, choices: Int64[np.ndarray, "m n"]) -> list[str]:
        """See `Source`."""
        return [self._wording.compose(choice) for choice in choices]

    def outputs(self, inputs: Sequence[str]) -> Float64[np.ndarray, "u k"]:
        """Log-probabilities (u, answers), or one judgement (u, 1) a reply."""
        replies = self._ask(inputs)
        if self._judge is not None:
            return judged(self._judge, [reply.text for reply in replies])
        return np.array(
            [[first_logprob(r, a, self._answers) for a in self._answers] for r in replies]
        )

    def known(self, inputs: Sequence[str]) -> list[bool]:
        """Which texts the endpoint has answered already."""
        return [digest in self._known for _, digest in map(self._request, inputs)]

    def show(self, given: str) -> str:
        """The text itself."""
        return given

    @cached_property
    def _whole(self) -> str:
        return self._ask([self._wording.compose(np.zeros_like(self.counts))])[0].text

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
    mine = answer.strip()
    others = [other.strip() for other in answers if other != answer]
    found = [
        p
        for token, p in reply.first
        if (word := token.strip())
        and (
            mine == word or (mine.startswith(word) and not any(o.startswith(word) for o in others))
        )
    ]
    if found:
        return float(np.logaddexp.reduce(found))
    seen = np.array([p for _, p in reply.first])
    left = 1.0 - float(np.exp(seen).sum())
    return float(min(seen.min(), np.log(left) if left > 0 else seen.min()))


def _answers(target: Any) -> list[str]:
    answers = [] if target is None else [target] if isinstance(target, str) else list(target)
    if not all(isinstance(answer, str) and answer.strip() for answer in answers):
        raise InputError(f"target is {target!r}, expected an answer or a list of answers, as texts")
    if len({answer.strip() for answer in answers}) < len(answers):
        raise InputError(f"target has the same answer twice: {answers}; give each once")
    return answers


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size and not _ends_line(path):
            with path.open("ab") as file:
                file.write(b"\n")
        append_entry(path, {"request": digest, "text": reply.text, "first": reply.first})
    except OSError as error:
        raise InputError(
            f"cannot write replies to {path}: {error.strerror or error}; make room, or choose another "
            "file (what is there stays readable)"
        ) from error


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
