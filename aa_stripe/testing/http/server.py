"""The offline Stripe as an HTTP server on 127.0.0.1."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aa_stripe.testing.http import control
from aa_stripe.testing.http.api import Api
from aa_stripe.testing.http.faults import ConnectionLost
from aa_stripe.testing.http.request import Request
from aa_stripe.testing.http.response import Response

HOST = "127.0.0.1"

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "authorization, content-type, idempotency-key, stripe-version",
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
}
"""Pages of the site under test call this server from another origin."""


class Server(ThreadingHTTPServer):
    """A threaded HTTP server. Port 0 selects any free port."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, api: Api, port: int = 0) -> None:
        super().__init__((HOST, port), _Handler)
        self.api = api

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://{HOST}:{self.server_port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve in a background thread for the block."""
        thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print an error unless the client disconnected, which a test may do on purpose."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def do_OPTIONS(self) -> None:
        self._send(Response(204, b""))

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            request = Request.parse(self.command, self.path, dict(self.headers.items()), body)
            api = self.server.api
            self._send(control.respond(api.account, request) or api.handle(request))
        except ConnectionLost:
            self.close_connection = True

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in {**CORS, **response.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(response.content)))
        self.end_headers()
        self.wfile.write(response.content)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing; ``FakeStripe.requests`` is the log."""
