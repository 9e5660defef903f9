"""``python -m tests.webhooks.busy.server PORT``: serve the site, several requests at once.

A child process serves. When it dies, the parent starts the next one and prints its process id.
The parent has loaded the site, so a restart takes no time. It never connects to the database.
"""

from __future__ import annotations

import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.wsgi import get_wsgi_application


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format, *args):
        """Log nothing."""


def serve_forever(application, port):
    with make_server("127.0.0.1", port, application, Server, QuietHandler) as server:
        server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    application = get_wsgi_application()
    while True:
        child = os.fork()
        if child == 0:
            serve_forever(application, int(sys.argv[1]))
        print(child, flush=True)
        os.waitpid(child, 0)
