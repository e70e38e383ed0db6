"""A web server on this machine that does what servers do to downloads."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Web:
    """What the server serves, how, and what it was asked. ``faults`` are taken by one request each, in turn.

    By path: ``kinds`` of content, ``answers`` (status and headers) that stand for as long as they are there, how many
    bytes more are promised than there are (``missing``), seconds between the bytes of what drips, and what is sent
    again and again without a length (``endless``).
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    wrong_ranges: bool = False
    version: dict[str, str] = field(default_factory=lambda: {"ETag": '"1"'})
    kind: str = "application/octet-stream"
    faults: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    answers: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    drips: dict[str, float] = field(default_factory=dict)
    endless: set[str] = field(default_factory=set)
    sent: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    def cut(self, after: int) -> None:
        """The next answer ends ``after`` bytes of what it promised."""
        self.faults.append(("cut", after, {}))

    def stall(self, after: int) -> None:
        """The next answer sends nothing more ``after`` bytes."""
        self.faults.append(("stall", after, {}))

    def refuse(self, status: int, **headers: str) -> None:
        """The next answer is ``status``."""
        self.faults.append(("refuse", status, {name.replace("_", "-"): value for name, value in headers.items()}))


class _Handler(http.server.BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        web = self.web
        path = self.path.removeprefix("/")
        web.asked.append(dict(self.headers))
        web.paths.append(path)
        fault, value, headers = web.faults.pop(0) if web.faults else ("", 0, {})
        body = web.files.get(path)
        if path in web.answers:
            status, headers = web.answers[path]
            self.answer(status, headers | {"Content-Length": "0"})
            return
        if fault == "refuse" or body is None:
            self.answer(value or 404, headers | {"Content-Length": "0"})
            return
        if path in web.endless:
            self.answer(200, web.version)
            with contextlib.suppress(ConnectionError):
                while not web.closing.is_set():
                    web.sent += self.wfile.write(body)
            return
        start, given = 0, self.headers.get("Range")
        if given and web.ranges and self.headers.get("If-Range") in web.version.values():
            start = int(given.removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(body):
            self.answer(416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"})
            return
        start = 0 if web.wrong_ranges else start
        promised = len(body) - start + web.missing.get(path, 0)
        length = {"Content-Length": str(promised), "Content-Type": web.kinds.get(path, web.kind)}
        if start or (web.wrong_ranges and given):
            length["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self.answer(206 if "Content-Range" in length else 200, length | web.version)
        part = body[start : start + value] if fault else body[start:]
        if path in web.drips:
            for byte in part:
                self.wfile.write(bytes([byte]))
                if web.closing.wait(web.drips[path]):
                    return
        else:
            self.wfile.write(part)
        self.wfile.flush()
        web.sent += len(part)
        if fault == "stall":
            web.closing.wait(60)

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve() -> Iterator[Web]:
    """A server while the context lasts."""
    web = Web()
    handler = type("Handler", (_Handler,), {"web": web})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.daemon_threads = True
        web.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield web
        web.closing.set()
        running.shutdown()
