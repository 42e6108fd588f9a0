"""An OpenAI-compatible server of this machine, which answers what a test says."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Answers with what ``reply(text, attempt)`` says: a body, or a status to fail with."""

    def __init__(self, reply):
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict] = []
        self.queries: list[str] = []
        self.authorizations: list[str] = []
        self.most = self.now = 0
        lock, outer = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = body["messages"][-1]["content"]
                with lock:
                    outer.asked[text] += 1
                    outer.bodies.append(body)
                    outer.queries.append(self.path.partition("?")[2])
                    outer.authorizations.append(self.headers["Authorization"])
                    outer.now += 1
                    outer.most = max(outer.most, outer.now)
                    attempt = outer.asked[text]
                answer = reply(text, attempt)
                with lock:
                    outer.now -= 1
                status = answer if isinstance(answer, int) else 200
                content = json.dumps(
                    {"error": "no"} if isinstance(answer, int) else answer
                ).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("retry-after-ms", "1")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def said(text, first=None):
    logprobs = None
    if first is not None:
        top = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in first.items()]
        logprobs = {"content": [{**top[0], "top_logprobs": top}], "refusal": None}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": logprobs}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
