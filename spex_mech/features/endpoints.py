"""`Endpoint`: a chat model behind an OpenAI-compatible address."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from spex_mech.core.errors import InputError

_CONFIDENTIAL = ("extra_headers", "extra_query")  # options that may hold keys
_PAUSE, _LONGEST = 0.5, 30.0  # seconds before a request with an unusable reply is sent again


class EndpointError(InputError):
    """An endpoint failed, or gave unusable replies, in all its retries."""


@dataclass(frozen=True)
class Reply:
    """A reply of an endpoint.

    Attributes:
        text: the message.
        first: likeliest first tokens and their log-probabilities; empty where none were requested.
    """

    text: str
    first: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Endpoint:
    """A chat model behind an OpenAI-compatible address, reached through the ``openai`` package.

    Attributes:
        model: the model's name at the address.
        base_url: the address, such as ``"http://localhost:8000/v1"``; None for OpenAI's own. Credentials in
            it (``user:password@``, ``?token=...``) are moved to ``credentials``.
        api_key: the key; None reads ``OPENAI_API_KEY``, which another address may not need.
        credentials: user information and query that belong to the address. They are sent, and never
            written or shown: where they decide the answers, a salted hash stands for them.
        concurrency: requests sent at once.
        retries: how often a request that fails (connection, time-out, 408, 409, 429, 5xx) or gets an
            unusable reply is sent again, after pauses that grow.
        timeout: seconds to wait for an answer.
        max_tokens: longest reply.
        top_logprobs: number of likeliest first tokens whose log-probabilities are requested.
        options: further fields of the request, such as ``{"seed": 0}``; the temperature is 0 unless
            given.
        replies: file that keeps every reply as it comes, one JSON line each, and answers equal requests
            in later runs too; None keeps replies in memory, with the game.
    """

    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    concurrency: int = 8
    retries: int = 5
    timeout: float = 60.0
    max_tokens: int = 64
    top_logprobs: int = 20
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    replies: str | os.PathLike[str] | None = None
    credentials: tuple[str, str] = field(default=("", ""), repr=False)

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.retries < 0 or self.max_tokens < 1:
            raise InputError(
                f"concurrency is {self.concurrency}, retries {self.retries} and max_tokens "
                f"{self.max_tokens}; expected at least 1, 0 and 1"
            )
        if not 1 <= self.top_logprobs <= 20:
            raise InputError(f"top_logprobs is {self.top_logprobs}, expected 1 to 20")
        if self.base_url is not None:
            address, user, query = _split(self.base_url)
            object.__setattr__(self, "base_url", address)
            before = self.credentials
            object.__setattr__(self, "credentials", (user or before[0], query or before[1]))

    @property
    def name(self) -> str:
        """The model and its address."""
        return f"{self.model} at {self.base_url or 'OpenAI'}"

    @property
    def fingerprint(self) -> str:
        """Address, model and options: what decides its replies. Of what may be secret there is a hash."""
        public = {k: v for k, v in self.options.items() if k not in _CONFIDENTIAL}
        facts = [self.base_url, self.model, self.max_tokens, public]
        hidden = {k: v for k, v in self.options.items() if k in _CONFIDENTIAL}
        if hidden or any(self.credentials):
            facts.append(
                _hash(str(self.base_url), json.dumps([self.credentials, hidden], sort_keys=True))
            )
        return json.dumps(facts, sort_keys=True)

    def request(self, text: str, system: str | None, *, logprobs: bool) -> dict[str, Any]:
        """The fields of a request about a text."""
        messages = [{"role": "system", "content": system}] if system else []
        fields: dict[str, Any] = {
            "model": self.model,
            "messages": [*messages, {"role": "user", "content": text}],
            "max_tokens": 1 if logprobs else self.max_tokens,
            "temperature": 0,
        }
        if logprobs:
            fields |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        return fields | dict(self.options)

    def digest(self, request: Mapping[str, Any]) -> str:
        """The key that a request's reply is kept under."""
        text = json.dumps([self.base_url, request], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def ask(
        self, requests: Sequence[Mapping[str, Any]], keep: Callable[[int, Reply], None]
    ) -> None:
        """Send requests, several at once, and hand over every reply as it comes.

        Args:
            requests: fields of each.
            keep: called with the number of a request and its reply, in this thread.

        Raises:
            EndpointError: a request that failed in all retries; the replies of the others that had been
                sent have been handed over.
            InputError: the package ``openai`` is not installed.
        """
        failure: BaseException | None = None
        with self._client() as client, ThreadPoolExecutor(self.concurrency) as pool:
            futures = {pool.submit(self._one, client, r): i for i, r in enumerate(requests)}
            try:
                for future in as_completed(futures):
                    if future.cancelled():
                        continue
                    if (error := future.exception()) is None:
                        keep(futures[future], future.result())
                    elif failure is None:
                        failure = error
                        _cancel(futures)
            except BaseException:
                _cancel(futures)
                raise
        if failure is not None:
            raise failure

    def _one(self, client: Any, request: Mapping[str, Any]) -> Reply:
        """One reply; the request is sent again while the reply is unusable."""
        import openai  # pyright: ignore[reportMissingImports]

        attempt = 0
        while True:
            try:
                answer = client.chat.completions.create(**request)
                return _reply(answer, bool(request.get("logprobs")))
            except (openai.OpenAIError, json.JSONDecodeError) as error:
                raise EndpointError(
                    f"{self.name} failed after {self.retries} retries: "
                    f"{error}; what it has answered is kept, run again to go on"
                ) from error
            except _UnusableReply as error:
                if attempt == self.retries:
                    raise EndpointError(
                        f"{self.name} answers {error} to "
                        f"{request['messages'][-1]['content'][:60]!r}, {attempt + 1} times; what it "
                        "has answered otherwise is kept, run again to go on"
                    ) from error
                time.sleep(min(_LONGEST, _PAUSE * 2**attempt))
                attempt += 1

    @property
    def _address(self) -> str | None:
        """The address with its user information."""
        user, url = self.credentials[0], urlsplit(self.base_url or "")
        if self.base_url is None or not user:
            return self.base_url
        return urlunsplit(url._replace(netloc=f"{user}@{url.netloc}"))

    def _client(self) -> Any:
        try:
            import openai  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise InputError(
                "an Endpoint needs the package openai, which is not installed; install it with "
                "pip install 'spex_mech[features]'"
            ) from error
        key = self.api_key or os.environ.get("OPENAI_API_KEY")
        if key is None and self.base_url is None:
            raise InputError("OpenAI needs a key; pass api_key=, or set OPENAI_API_KEY")
        return openai.OpenAI(
            api_key=key or "none",
            base_url=self._address,
            default_query=dict(parse_qsl(self.credentials[1], keep_blank_values=True)),
            max_retries=self.retries,
            timeout=self.timeout,
        )


def _split(address: str) -> tuple[str, str, str]:
    """An address without user information and query, and these.

    Raises:
        InputError: not an address; what was given is not repeated, because it may hold a password.
    """
    try:
        url = urlsplit(address)
        host = url.hostname
        _ = url.port
    except ValueError:
        host, url = None, urlsplit("")
    if url.scheme not in ("http", "https") or not host:
        raise InputError(
            "the endpoint's address cannot be read; expected one such as http://localhost:8000/v1, with "
            "special characters of a password in percent-encoding"
        )
    user, _, place = url.netloc.rpartition("@")
    return urlunsplit((url.scheme, place, url.path, "", "")), user, url.query


def _hash(salt: str, secret: str) -> str:
    """A hash that is slow to guess from; the same secret at another address has another one."""
    return hashlib.scrypt(secret.encode(), salt=salt.encode(), n=2**14, r=8, p=1, dklen=16).hex()


class _UnusableReply(Exception):
    """A reply without what was requested."""


def _cancel(futures: Iterable[Future[Reply]]) -> None:
    for future in futures:
        future.cancel()


def _reply(answer: Any, logprobs: bool) -> Reply:
    choices = getattr(answer, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        raise _UnusableReply(f"{str(answer)[:120]!r}, without a message,")
    text = choices[0].message.content
    if not isinstance(text, str):
        raise _UnusableReply(f"a message of {text!r}, not a text,")
    if not logprobs:
        return Reply(text)
    content = getattr(choices[0].logprobs, "content", None)
    if not content or not content[0].top_logprobs:
        raise _UnusableReply("without log-probabilities (choose value='match' or 'similarity')")
    first = tuple((c.token, float(c.logprob)) for c in content[0].top_logprobs)
    if not all(-float("inf") < p <= 1e-3 for _, p in first):
        raise _UnusableReply(f"log-probabilities {first[:3]}")
    return Reply(text, first)
