"""Shows the page of a fit that is over, at the address where it was: a server of the driver's.

Python's own HTTP server, in threads that end with the program: there is nothing here but a finished
text and its story, and few who look at it. Who sends or takes slowly is cut off after `SECONDS`, so
that nobody can hold it shut.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from elephas_torch import page
from elephas_torch.parameter.process import listen
from elephas_torch.parameter.tls import Identity, server_context

logger = logging.getLogger(__name__)

#: Requests at once, and seconds that one may take in all, TLS's handshake too.
MOST, SECONDS = 16, 30.0


class Showing:
    """Serves a story until `close()`, or the program's end.

    Args:
        story: of a fit that is over.
        token: what who asks for it must bring, as a bearer token.
        host, port: where.
        identity: speak TLS as this one; None: without.

    Raises:
        ServerError: the port is taken.
    """

    def __init__(
        self, story: dict[str, Any], token: str, host: str, port: int, identity: Identity | None
    ) -> None:
        told = {**page.plain(story)}
        for name in ("epochs", "moments"):
            told[name] = {"from": 0, "rows": told.get(name, [])}
        news = json.dumps(told, allow_nan=False, separators=(",", ":"))
        made = _Server((host, port), _Handler, bind_and_activate=False)
        made.socket.close()
        made.socket = listen(host, port)
        made.news, made.page = f"data: {news}\n\n".encode(), page.document().encode()
        made.authorization = f"Bearer {token}"
        made.context = None if identity is None else server_context(identity)
        self._server = made
        self._thread = threading.Thread(
            target=made.serve_forever, args=(0.1,), name="elephas-page", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Ends it, and frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(SECONDS)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    news = page = b""
    authorization = ""
    context: ssl.SSLContext | None = None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._free = threading.BoundedSemaphore(MOST)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        end = threading.Timer(SECONDS, lambda: _cut(request))
        end.daemon = True
        try:
            request.settimeout(SECONDS)
            if self.context is not None:
                request = self.context.wrap_socket(
                    request, server_side=True, do_handshake_on_connect=False
                )
            end.start()
            if isinstance(request, ssl.SSLSocket):
                request.do_handshake()
            super().process_request_thread(request, client_address)
        except (OSError, ValueError):  # cut in the middle of a handshake, say
            self.shutdown_request(request)
        finally:
            end.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("A page could not be shown.", exc_info=True)


def _cut(request: socket.socket) -> None:
    """Ends a connection that another thread waits at."""
    with contextlib.suppress(OSError):  # it has ended
        socket.socket.shutdown(request, socket.SHUT_RDWR)  # leaves TLS's own state alone


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        given = self.headers.get("authorization", "").encode()
        if self.path == "/":
            self._answer(200, page.headers(), self.server.page)
        elif self.path != "/watch":
            self._answer(404, [], b"")
        elif not hmac.compare_digest(given, self.server.authorization.encode()):
            self._answer(401, [], b"")
        else:
            self._answer(200, [("content-type", "text/event-stream")], self.server.news)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in [*headers, ("content-length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: who looks on is nobody's business."""
