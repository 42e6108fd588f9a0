"""A hub of this machine: folders served as the Hugging Face hub serves repositories, at one commit each."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c30699e8356da336a370243923dbaf21066bb9fe"  # that of MMLU which its card names


@contextmanager
def hub(repositories: Mapping[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Serve folders for a while.

    Args:
        repositories: a folder for each id, such as ``org/model``, or ``datasets/org/name``.

    Yields:
        The hub's address, for ``HF_ENDPOINT``, and a list of what it was asked for, which grows.
    """
    asked: list[str] = []
    handler = type("Handler", (_Handler,), {"repositories": dict(repositories), "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    repositories: Mapping[str, Path]
    asked: list[str]

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.asked.append(f"{self.command} {path}")
        for name, folder in self.repositories.items():
            kind = "" if name.startswith("datasets/") else "models/"
            if path.startswith(f"{name}/resolve/"):
                return self._file(folder / path.removeprefix(f"{name}/resolve/").split("/", 1)[1])
            if path == f"api/{kind}{name}" or path.startswith(f"api/{kind}{name}/"):
                return self._about(name, folder, path.removeprefix(f"api/{kind}{name}").strip("/"))
        self._nothing()

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """``paths-info``: which of the paths that are asked for exist."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = unquote(urlsplit(self.path).path).strip("/")
        self.asked.append(f"POST {path} {body}")
        for name, folder in self.repositories.items():
            kind = "" if name.startswith("datasets/") else "models/"
            if path.startswith(f"api/{kind}{name}/paths-info/"):
                found = [e for e in _entries(folder) if e["path"] in body["paths"]]
                return self._json(found)
        self._nothing()

    def _about(self, name: str, folder: Path, what: str) -> None:
        if what.startswith("tree/"):
            below = what.split("/", 2)[2] if what.count("/") > 1 else ""
            if below and not (folder / below).is_dir():
                return self._nothing("EntryNotFound")
            return self._json([e for e in _entries(folder) if e["path"].startswith(below)])
        files = [{"rfilename": e["path"]} for e in _entries(folder) if e["type"] == "file"]
        self._json(
            {
                "id": name.removeprefix("datasets/"),
                "sha": COMMIT,
                "private": False,
                "gated": False,
                "disabled": False,
                "tags": [],
                "siblings": files,
            }
        )

    def _file(self, path: Path) -> None:
        if not path.is_file():
            return self._nothing("EntryNotFound")
        self._send(200, path.read_bytes(), _etag(path))

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), kind="application/json")

    def _nothing(self, code: str = "RepoNotFound") -> None:
        self._send(404, b"{}", kind="application/json", error=code)

    def _send(
        self, status: int, body: bytes, etag: str = "", kind: str = "", error: str = ""
    ) -> None:
        self.send_response(status)
        headers = {"X-Repo-Commit": COMMIT, "ETag": etag and f'"{etag}"', "X-Error-Code": error}
        headers |= {"Content-Type": kind or "application/octet-stream"}
        for key, value in headers.items():
            if value:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


def _entries(folder: Path) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = []
    for path in sorted(folder.rglob("*")):
        shown = {"path": path.relative_to(folder).as_posix(), "oid": _etag(path)}
        if path.is_dir():
            entries.append({"type": "directory", **shown})
        else:
            entries.append({"type": "file", "size": path.stat().st_size, **shown})
    return entries


def _etag(path: Path) -> str:
    content = path.read_bytes() if path.is_file() else str(path).encode()
    return hashlib.sha1(content).hexdigest()
