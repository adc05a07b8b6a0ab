"""Show the page of a running sweep over HTTP: to browsers of this machine that know the address, read-only, from memory.

Nothing of the file system is served: a request names the page or its script, or gets 404. The address holds a random token; the
name of the host must be this machine's own, so that no web site can reach the page by a name of its making (DNS rebinding).
"""

from __future__ import annotations

import contextlib
import hmac
import http
import http.server
import secrets
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.live.page import INTERVAL, SCRIPT, LivePage, script

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost")  # of this machine; with any port, which a tunnel may have changed
MOST_CONNECTIONS = 32  # at a time
PATIENCE = 10.0  # [s] with a browser that sends or takes nothing
FAREWELL = 4.0  # [s] for open pages to load the final one
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
WAITING = "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=1><title>sweep</title><p>The page is being made ..."


@contextlib.contextmanager
def served(folder: Path, port: int | None, say: Callable[[str], None]) -> Iterator[None]:
    """Serve the page of a folder while the block runs a sweep and writes its report; None = serve nothing. Raise InputError."""
    if port is None:
        yield
        return
    with Server(folder, port) as server:
        say(f"Page of this sweep, for browsers of this machine, until the sweep ends: {server.url}")
        yield
        server.finish(folder / "report.html")
    say("The page is no longer served: the sweep has ended.")


class Server:
    """HTTP server of one folder's live page, in threads of its own. Use as a context manager around the sweep.

    Raise InputError if the port is taken; 0 is any free one.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.live = LivePage(folder)
        self.token = secrets.token_urlsafe(24)
        self._began = time.time()
        self._final: str | None = None
        self._polled = self._taken = float("-inf")  # times of the latest request for the script, and for the final page
        self._over = threading.Event()
        try:
            self._http = _Http((ADDRESS, port), _handler(self))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            fix = "Choose another, or 0 for any free one."
            raise InputError("--serve-port", expected="a free port of this machine", found=f"{port} ({reason})", fix=fix) from error
        self._threads = [threading.Thread(target=target, daemon=True) for target in (lambda: self._http.serve_forever(0.2), self._look)]

    @property
    def url(self) -> str:
        """Address of the page, token included."""
        return f"http://{ADDRESS}:{self._http.server_address[1]}/{self.token}/"

    def __enter__(self) -> Server:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()
        for thread in self._threads:
            thread.join(INTERVAL)
        self.live.settle(PATIENCE)

    def finish(self, path: Path) -> None:
        """Show the finished page from now on, if this sweep has written it to a file; give open pages a moment to load it."""
        with contextlib.suppress(OSError):
            self._final = path.read_text(encoding="utf-8") if path.stat().st_mtime >= self._began else None
        if self._final is None:
            return
        deadline = time.monotonic() + FAREWELL
        while time.monotonic() < deadline and time.monotonic() - self._polled < FAREWELL and self._taken < self._polled:
            time.sleep(0.05)
        time.sleep(0.2 if self._taken > 0 else 0)  # for the last bytes

    def answer(self, name: str) -> tuple[str, str] | None:
        """Return type and text of what is served under a name below the token; None for any other name."""
        if name == "":
            if self._final is not None:
                self._taken = time.monotonic()
            return "text/html", self._final or self.live.page or WAITING
        if name == SCRIPT:
            self._polled = time.monotonic()
            return "text/javascript", script({"ended": True}) if self._final is not None else self.live.script
        return None

    def _look(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError):  # of a folder that is not there yet, or no more
                self.live.look()
            self._over.wait(INTERVAL)


class _Http(http.server.ThreadingHTTPServer):
    """Server with a bounded number of threads, none of which outlives the program."""

    daemon_threads = True
    allow_reuse_address = False  # a port in use is an error, on every system

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of browsers that went away."""


def _handler(server: Server) -> type[socketserver.BaseRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = PATIENCE
        server_version, sys_version = "benchmark", ""

        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
            if host not in NAMES:
                return self._send(http.HTTPStatus.FORBIDDEN)
            _, token, *rest = self.path.partition("?")[0].split("/", 2) + [""]
            found = server.answer(rest[0]) if hmac.compare_digest(token.encode(), server.token.encode()) else None
            if found is None or self.path.count("/") < 2:
                return self._send(http.HTTPStatus.NOT_FOUND)
            return self._send(http.HTTPStatus.OK, *found)

        do_HEAD = do_GET

        def do_POST(self) -> None:
            self._send(http.HTTPStatus.METHOD_NOT_ALLOWED)

        do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = do_POST

        def _send(self, status: http.HTTPStatus, kind: str = "text/plain", text: str = "") -> None:
            data = (text or f"{status.phrase}\n").encode("utf-8", "replace")
            self.send_response(status)
            headers = {**HEADERS, "Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(data))}
            for name, value in headers.items():
                self.send_header(name, value)
            if status == http.HTTPStatus.METHOD_NOT_ALLOWED:
                self.send_header("Allow", "GET, HEAD")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def send_error(self, code: int, *arguments: Any, **named: Any) -> None:
            """Answer malformed requests as briefly as all others."""
            self.command = getattr(self, "command", "") or ""
            self._send(http.HTTPStatus(code))

        def log_message(self, *arguments: Any) -> None:
            """Keep the terminal for the sweep."""

    return Handler
