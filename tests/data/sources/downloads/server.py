"""A server on this machine that has a few files and fails as it is told to; not a test file."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """A file, and how it is served.

    Attributes:
        content, headers: what is sent; ``ETag`` or ``Last-Modified`` tell versions apart.
        ranges: whether a part can be asked for.
        shift: bytes by which a part begins behind the place that was asked for.
        checks: whether ``If-Range`` is heeded, as the standard wants.
        faults: what goes wrong in one answer after the other: a number cuts the body off after as many bytes, a
            negative one goes silent there instead, a text is a status.
        pace: seconds before each thousand bytes.
        to: where a request is sent on to.
    """

    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    shift: int = 0
    checks: bool = True
    faults: list = field(default_factory=list)
    pace: float = 0.0
    to: str = ""


class Server:
    """The files by path, the address, and the headers of each request by path."""

    def __init__(self, address: str):
        self.address = address
        self.files: dict[str, Served] = {}
        self.asked: dict[str, list[dict[str, str]]] = {}
        self.over = threading.Event()

    def ranges(self, path: str) -> list[str | None]:
        """The ranges that were asked for, None for the whole."""
        return [headers.get("Range") for headers in self.asked.get(path, [])]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_side: Server

    def do_GET(self) -> None:
        side = self.server_side
        side.asked.setdefault(self.path, []).append(dict(self.headers))
        served = side.files.get(self.path)
        if served is None:
            return self.send_error(404)
        fault = served.faults.pop(0) if served.faults else None
        if isinstance(fault, str):
            return self.send_error(int(fault)) if fault[0] in "45" else self._headers(int(fault), 0, {})
        if served.to:
            return self._headers(302, 0, {"Location": served.to})
        return self._body(served, self._start(served), fault)

    def _start(self, served: Served) -> int | None:
        """Where the answer begins; None for an answer that is no part."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        known = self.headers.get("If-Range")
        fits = not served.checks or known is None or known in served.headers.values()
        return int(asked[1]) + served.shift if asked and served.ranges and fits else None

    def _body(self, served: Served, start: int | None, fault: int | None) -> None:
        total = len(served.content)
        if start is not None and start >= total:
            return self._headers(416, 0, {"Content-Range": f"bytes */{total}"})
        rest = served.content[start or 0 :]
        part = {} if start is None else {"Content-Range": f"bytes {start}-{total - 1}/{total}"}
        self._headers(200 if start is None else 206, len(rest), {**served.headers, **part})
        if fault is None:
            return self._write(rest, served.pace)
        self._write(rest[: abs(fault)], served.pace)
        if fault < 0:
            self.server_side.over.wait(30)
        self.close_connection = True

    def _write(self, content: bytes, pace: float) -> None:
        with contextlib.suppress(OSError):  # the client was killed
            if not pace:
                self.wfile.write(content)
                return
            for at in range(0, len(content), 1000):
                time.sleep(pace)
                self.wfile.write(content[at : at + 1000])

    def _headers(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args) -> None:
        """Tests are silent."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is what is tested."""


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server for as long as the block runs."""
    handler = type("Handler", (_Handler,), {})
    listener = _Listener(("127.0.0.1", 0), handler)
    handler.server_side = side = Server(f"http://127.0.0.1:{listener.server_address[1]}")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield side
    finally:
        side.over.set()
        listener.shutdown()
        thread.join()
        listener.server_close()
