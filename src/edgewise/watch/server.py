"""Local server of the page: the standard library's, read-only, on 127.0.0.1 unless a token guards it."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edgewise.errors import ConfigError
from edgewise.watch.page import page
from edgewise.watch.pairs import paired
from edgewise.watch.prompts import history, search
from edgewise.watch.watcher import Watcher

LOCAL = ("127.0.0.1", "localhost", "::1")
COOKIE = "edgewise_token"


class Server:
    """Serves the page, `data`, `search` and `prompt` of a watcher.

    Args:
        watcher: reads the runs.
        host: interface; others than this machine's own need a token.
        port: 0: any that is free.
        token: every request has to carry it, as `?token=` once and as a cookie from then on.
        every: seconds between two questions of the page for news.

    Raises:
        ConfigError: another interface without a token, a short token, or an address that cannot be used.
    """

    def __init__(
        self, watcher: Watcher, host: str = "127.0.0.1", port: int = 0, token: str | None = None, every: float = 3.0
    ):
        if token is None and host not in LOCAL:
            raise ConfigError(
                f"--host {host} shows the run to other machines: guard it with --token, at least 16 characters"
            )
        if token is not None and (len(token) < 16 or not token.isascii() or not token.isalnum()):
            raise ConfigError("--token needs at least 16 letters and digits")
        self.watcher, self.token, self.every, self.host = watcher, token, every, host
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(self))
        except OSError as error:
            raise ConfigError(f"cannot serve on {host}:{port}: {error.strerror}; choose another --port") from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """Address to open, with the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    def start(self) -> None:
        """Serve from a thread of its own."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def allowed(self, host: str | None, cookie: str, query: dict[str, list[str]]) -> bool:
        """Whether a request may be answered: it carries the token or, without one, names this machine as its host.

        The check of the host keeps pages of other sites from reading the run through a name that they point at 127.0.0.1.
        """
        if self.token is None:
            name = (
                (host or "").rsplit(":", 1)[0].strip("[]")
                if host and not host.endswith("]")
                else (host or "").strip("[]")
            )
            return name in LOCAL
        given = [
            *query.get("token", []),
            *(part.partition("=")[2] for part in cookie.split("; ") if part.startswith(f"{COOKIE}=")),
        ]
        return any(hmac.compare_digest(value.encode(), self.token.encode()) for value in given)

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[str, bytes] | None:
        """Content type and body; None: no such thing."""
        watcher = self.watcher
        if path == "/":
            text = page(watcher.views, live=self.every, version=watcher.version)
            return "text/html; charset=utf-8", text.encode("utf-8", "replace")
        if path == "/data":
            if query.get("since") == [str(watcher.version)]:
                return _json({"version": watcher.version, "idle": [view["idle"] for view in watcher.views]})
            return _json({"version": watcher.version, "runs": watcher.views, "pairs": paired(watcher.views)})
        try:
            reader = watcher.readers[int(query.get("run", ["0"])[0])]
            with watcher.lock:
                if path == "/search":
                    return _json({"found": search(reader.log, query.get("q", [""])[0][:200])})
                if path == "/prompt":
                    row = int(query.get("row", [""])[0])
                    if 0 <= row < len(reader.log.ids):
                        return _json(history(reader, row))
        except (ValueError, IndexError):
            pass
        return None


def _json(value: Any) -> tuple[str, bytes]:
    return "application/json", json.dumps(value, allow_nan=False).encode("utf-8", "replace")


def _handler(server: Server) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "edgewise", ""
        timeout = 30

        def handle(self) -> None:
            # A page that is closed or loaded again does not wait for its answer.
            with suppress(ConnectionError):
                super().handle()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            if not server.allowed(self.headers.get("Host"), self.headers.get("Cookie", ""), query):
                self._send(403, "text/plain; charset=utf-8", b"forbidden: open the address that the command printed\n")
                return
            found = server.answer(parts.path, query)
            if found is None:
                self._send(404, "text/plain; charset=utf-8", b"not found\n")
            else:
                self._send(200, *found, cookie=bool(server.token and "token" in query))

        def _send(self, status: int, kind: str, body: bytes, cookie: bool = False) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("X-Frame-Options", "SAMEORIGIN")
            if cookie:
                self.send_header("Set-Cookie", f"{COOKIE}={server.token}; HttpOnly; SameSite=Strict; Path=/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are not logged: the terminal shows the address alone."""

    return Handler
