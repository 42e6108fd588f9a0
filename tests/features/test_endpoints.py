"""An OpenAI-compatible server of our own: concurrency, retries, failures, nonsense, and what is kept."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter

import numpy as np
import pytest
from endpoint_server import Server, said
from typer.testing import CliRunner

import spex_mech as sm
from spex_mech import cli, features
from spex_mech.core.errors import InputError
from spex_mech.features.endpoint_source import first_logprob
from spex_mech.features.endpoints import Reply
from spex_mech.report import write_report

TEXT = "the trolley needs the lever"


@pytest.fixture
def serve():
    pytest.importorskip("openai", reason="the client of endpoints is an extra")
    servers = []

    def start(reply):
        servers.append(Server(reply))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("spex_mech.features.endpoints._PAUSE", 0.001)


def share(text):
    """A made-up probability that depends on which words are there."""
    return 0.1 + 0.3 * ("trolley" in text) + 0.4 * ("trolley" in text and "lever" in text)


def test_margins_from_the_first_tokens(serve):
    both = threading.Barrier(2)

    def reply(text, attempt):
        if text in (TEXT, "needs the lever"):  # each waits for the other: they must come together
            both.wait(timeout=20)
        return said("Yes", {"Yes": share(text), " No": 0.15, "Maybe": 0.02})

    server = serve(reply)
    endpoint = features.Endpoint("m", base_url=server.url)
    game = features.text(
        endpoint,
        TEXT,
        level="word",
        target=["Yes", "No"],
        template=features.Chat(system="Say yes or no."),
    )
    design = sm.designs.exhaustive(5)
    values = sm.evaluate(game, design).values
    texts = [" ".join(w for w, k in zip(TEXT.split(), x, strict=True) if k) for x in design.masks]
    np.testing.assert_allclose(values, [math.log(share(t) / 0.15) for t in texts], atol=1e-9)
    assert max(server.asked.values()) == 1 and len(server.asked) == len(set(texts))
    body = server.bodies[0]
    assert body["temperature"] == 0 and body["max_tokens"] == 1 and body["top_logprobs"] == 20
    assert body["messages"][0] == {"role": "system", "content": "Say yes or no."}


def test_values_of_replies(serve):
    server = serve(lambda t, a: said("Pull the lever!" if "lever" in t else "Do nothing."))
    endpoint = features.Endpoint("m", base_url=server.url, concurrency=2, options={"seed": 3})
    masks = sm.designs.exhaustive(5).masks
    lever = masks[:, 4]
    match = features.text(endpoint, TEXT, level="word", target="lever")
    np.testing.assert_array_equal(match(masks), lever)
    alike = features.text(endpoint, TEXT, level="word")
    np.testing.assert_array_equal(alike(masks), lever)
    size = features.text(endpoint, TEXT, level="word", value=len)
    np.testing.assert_array_equal(size(masks), np.where(lever, 15, 11))
    assert server.most <= 2 and server.bodies[0]["seed"] == 3
    assert len({g.fingerprint for g in (match, alike, size)}) == 3


def test_failures_are_retried(serve):
    server = serve(lambda t, a: 503 if a < 3 else said("lever"))
    game = features.text(
        features.Endpoint("m", base_url=server.url, retries=2), TEXT, level="word", target="lever"
    )
    masks = sm.designs.uniform(5, 6, seed=0).masks
    np.testing.assert_array_equal(game(masks), 1)
    assert set(server.asked.values()) == {3}


def test_nothing_scored_is_lost_when_an_endpoint_fails(serve, tmp_path):
    down = [True]
    server = serve(lambda t, a: 500 if down[0] and t.startswith("needs") else said(t))
    endpoint = features.Endpoint(
        "m", base_url=server.url, retries=1, concurrency=1, replies=tmp_path / "r" / "replies.jsonl"
    )
    make = lambda: features.text(endpoint, TEXT, level="word", value=len)  # noqa: E731
    design = sm.designs.exhaustive(5)
    with pytest.raises(features.EndpointError, match=r"failed after 1 retries.*run again to go on"):
        sm.evaluate(make(), design, store=tmp_path / "store")
    down[0] = False
    answered = {t for t in server.asked if not t.startswith("needs")}
    before = Counter(server.asked)
    run = sm.evaluate(make(), design, store=tmp_path / "store")  # as another process would
    assert all(server.asked[t] == before[t] for t in answered)
    texts = [" ".join(w for w, k in zip(TEXT.split(), x, strict=True) if k) for x in design.masks]
    np.testing.assert_array_equal(run.values, [len(t) for t in texts])
    # A line that was cut off is asked for again, and the file goes on behind it.
    path = tmp_path / "r" / "replies.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    total = sum(server.asked.values())
    np.testing.assert_array_equal(make()(design.masks), run.values)
    assert sum(server.asked.values()) == total + 1
    np.testing.assert_array_equal(make()(design.masks), run.values)
    assert sum(server.asked.values()) == total + 1


def test_a_failing_endpoint_costs_the_run_store_one_batch(serve, tmp_path):
    down = [True]
    server = serve(lambda t, a: 500 if down[0] and t == TEXT else said(t))
    endpoint = features.Endpoint("m", base_url=server.url, retries=0, concurrency=1)
    make = lambda: features.text(endpoint, TEXT, level="word", value=len)  # noqa: E731
    masks = sm.designs.exhaustive(5).masks[:0:-1].copy()
    masks[[0, 20]] = masks[[20, 0]]  # the whole text is the 21st that is asked
    design = sm.MaskDesign(masks=masks, seed=0)
    with pytest.raises(features.EndpointError):
        sm.evaluate(make(), design, store=tmp_path / "store")
    answered = {t for t in server.asked if t != TEXT}
    assert len(answered) >= 15
    down[0] = False
    before = Counter(server.asked)
    run = sm.evaluate(make(), design, store=tmp_path / "store")  # as another process would
    assert sum(server.asked[t] > before[t] for t in answered) <= 1  # batches are of two
    np.testing.assert_array_equal(run.values, [len(make().shown(x)) for x in masks])


@pytest.mark.usefixtures("undrawn")
def test_a_run_from_the_command_line_goes_on_where_its_endpoint_failed(serve, tmp_path):
    down, failed = [True], set()

    def reply(text, attempt):
        if down[0] and sum(server.asked.values()) > 20:
            failed.add(text)
            return 400
        return said(text)

    server = serve(reply)
    told = ["explain", "--text", TEXT, "--level", "word", "--target", "lever", "--model", "m"]
    told += ["--url", server.url, "--out", str(tmp_path / "run")]
    stopped = CliRunner().invoke(cli.app, told)
    assert isinstance(stopped.exception, features.EndpointError) and failed
    down[0] = False
    before = Counter(server.asked)
    done = CliRunner().invoke(cli.app, told)
    assert done.exit_code == 0 and "match of lever" in done.output
    again = {t for t in before if server.asked[t] > before[t]}
    assert failed < set(before) and len(again) <= 16  # a batch: two for each of eight requests
    run = sm.open_run(tmp_path / "run" / "masks")
    np.testing.assert_array_equal(run(run.masks), run.masks[:, 4])
    page = write_report(tmp_path / "run").read_text()
    assert f"m at {server.url}" in page and page.count("<span data-part") == 5


NONSENSE = {
    "no choices": ({"id": "x", "object": "chat.completion", "choices": []}, "without a message"),
    "no text": (said(None), "a message of None, not a text"),
    "an array": ([1, 2], "without a message"),
    "a refused key": (401, "failed after 1 retries"),
}


@pytest.mark.parametrize("case", list(NONSENSE))
def test_nonsense_is_asked_for_again_and_then_named(serve, case):
    body, message = NONSENSE[case]
    server = serve(lambda t, a: body)
    endpoint = features.Endpoint("m", base_url=server.url, retries=1)
    game = features.text(endpoint, TEXT, level="word", target="lever")
    with pytest.raises(features.EndpointError, match=message):
        game(np.ones((1, 5), dtype=bool))
    assert sum(server.asked.values()) == (1 if case == "a refused key" else 2)


def test_no_logprobs(serve):
    server = serve(lambda t, a: said("Yes"))
    endpoint = features.Endpoint("m", base_url=server.url, retries=0)
    game = features.text(endpoint, TEXT, level="word", target=["Yes", "No"])
    with pytest.raises(features.EndpointError, match="choose value='match'"):
        game(np.ones((1, 5), dtype=bool))


def test_a_judgement_that_fails_keeps_the_replies(serve):
    server = serve(lambda t, a: said("seven"))
    endpoint = features.Endpoint("m", base_url=server.url)
    game = features.text(endpoint, TEXT, level="word", value=lambda reply: reply)
    masks = sm.designs.uniform(5, 8, seed=1).masks
    for _ in range(2):
        with pytest.raises(InputError, match="a reply is 'seven', expected a number"):
            game(masks)
    assert set(server.asked.values()) == {1}


def test_nobody_listens():
    pytest.importorskip("openai", reason="the client of endpoints is an extra")
    endpoint = features.Endpoint("m", base_url="http://127.0.0.1:9/v1", retries=0, timeout=2)
    game = features.text(endpoint, TEXT, level="word", target="x")
    with pytest.raises(features.EndpointError, match="Connection error"):
        game(np.ones((1, 5), dtype=bool))


def test_first_tokens_by_hand():
    reply = Reply("", ((" Par", math.log(0.5)), ("paris", math.log(0.2)), ("Paris", math.log(0.1))))
    assert first_logprob(reply, "Paris", ["Paris", "Rome"]) == pytest.approx(math.log(0.6))
    # " Par" begins both: it counts for neither.
    assert first_logprob(reply, "Paris", ["Paris", "Parma"]) == pytest.approx(math.log(0.1))
    # What is left over is 0.2, the least likely token has 0.1.
    assert first_logprob(reply, "Rome", ["Paris", "Rome"]) == pytest.approx(math.log(0.1))
    sure = Reply("", (("a", math.log(0.9)), ("b", math.log(0.08))))
    assert first_logprob(sure, "c", ["c"]) == pytest.approx(math.log(0.02))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"value": "margin"}, "needs target="),
        ({"value": "margin", "target": "a"}, "there is one answer"),
        ({"target": ["a", " a"]}, "the same answer twice"),
        ({"target": [3]}, "expected an answer"),
        ({"removal": "mask"}, "which have no such token"),
        ({"value": "match"}, "needs target="),
        ({"text": features.TextPair("a", "b")}, "not for an endpoint"),
    ],
)
def test_bad_questions(options, message):
    endpoint = features.Endpoint("m", base_url="http://x")
    with pytest.raises(InputError, match=message):
        features.text(**{"model": endpoint, "text": TEXT, "level": "word", **options})


def test_bad_endpoints(monkeypatch):
    for options in ({"concurrency": 0}, {"retries": -1}, {"top_logprobs": 0}):
        with pytest.raises(InputError, match="expected"):
            features.Endpoint("m", **options)
    pytest.importorskip("openai", reason="the client of endpoints is an extra")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    game = features.text(features.Endpoint("m"), TEXT, level="word", target="x")
    with pytest.raises(InputError, match="OpenAI needs a key"):
        game(np.ones((1, 5), dtype=bool))


SECRETS = ("hunter2", "t0ken", "h3ader", "k3y")


def test_no_secret_reaches_a_file_the_terminal_or_a_repr(serve, tmp_path, capsys, monkeypatch):
    server = serve(lambda t, a: said(t))
    monkeypatch.setenv("OPENAI_API_KEY", "k3y")
    address = server.url.replace("://", "://me:hunter2@") + "?token=t0ken"
    line = ["explain", "--text", TEXT, "--level", "word", "--target", "lever", "--model", "m"]
    done = CliRunner().invoke(cli.app, [*line, "--url", address, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0
    assert server.queries and set(server.queries) == {"token=t0ken"}
    assert {header.split()[0] for header in server.authorizations} <= {"Basic", "Bearer"}
    write_report(tmp_path / "run")
    endpoint = features.Endpoint(
        "m",
        base_url=address,
        api_key="k3y",
        options={"extra_headers": {"x-key": "h3ader"}},
        replies=tmp_path / "replies.jsonl",
    )
    game = features.text(endpoint, TEXT, level="word", value=len)
    sm.explain_features(game, tmp_path / "python", budget=32, method="exact")
    written = "".join(p.read_bytes().decode("latin-1") for p in tmp_path.rglob("*") if p.is_file())
    shown = done.output + "".join(capsys.readouterr()) + repr(endpoint) + repr(game) + endpoint.name
    for secret in SECRETS:
        assert secret not in written and secret not in shown
    assert server.url in written  # the report still says where
    for name in ("run/input.json", "run/report.html", "replies.jsonl"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_other_credentials_are_another_games_and_the_hash_is_salted():
    def key(address, **options):
        return features.Endpoint("m", base_url=address, options=options).fingerprint

    plain = key("http://x/v1")
    assert json.loads(plain) == ["http://x/v1", "m", 64, {}]
    keys = [
        key("http://me:a@x/v1"),
        key("http://me:b@x/v1"),
        key("http://me:a@y/v1"),
        key("http://x/v1?token=a"),
        key("http://x/v1", extra_headers={"key": "a"}),
    ]
    assert len({json.loads(k)[-1] for k in keys}) == len(keys)
    assert key("http://me:a@x/v1") == keys[0]


@pytest.mark.parametrize(
    "address", ["localhost:8000", "ftp://x", "http://", "http://[::1", "http://x:a"]
)
def test_an_address_that_cannot_be_read_is_refused_without_repeating_it(address):
    with pytest.raises(sm.InputError, match="address cannot be read; expected") as told:
        features.Endpoint("m", base_url=address + "/hunter2")
    assert "hunter2" not in str(told.value)
