"""``python -m tests.webhooks.busy.server PORT``: serve the site, several requests at once."""

from __future__ import annotations

import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.wsgi import get_wsgi_application


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format, *args):
        """Log nothing."""


if __name__ == "__main__":
    application = get_wsgi_application()
    port = int(sys.argv[1])
    with make_server("127.0.0.1", port, application, Server, QuietHandler) as server:
        server.serve_forever(poll_interval=0.05)
