"""A site that receives webhooks: a gunicorn of its own, with one synchronous worker."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
SECONDS_TO_START = 30
WSGI = "django.core.wsgi:get_wsgi_application()"
QUIET = "--log-level=warning --no-control-socket"


@dataclass(frozen=True)
class Site:
    """Where events are delivered to, and which code and database are behind it."""

    name: str
    path: str
    #: The table of its events, which is emptied before a run.
    table: str
    database: str
    stripe_url: str
    settings: str = "bench.site_settings"
    #: The status of the response to a new event.
    created: int = 201
    python: str = sys.executable
    #: The folder of its code. Modules of the benchmark are found there, or in ``ROOT``.
    folder: Path = ROOT

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "BENCH_DATABASE": self.database,
            "BENCH_STRIPE_URL": self.stripe_url,
            "DJANGO_SETTINGS_MODULE": self.settings,
            "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}",
        }

    def run(self, module: str, *arguments: str) -> str:
        """Run a module with the site's code and settings; return its output."""
        return subprocess.run(
            [self.python, "-m", module, *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    def migrate(self) -> None:
        self.run("django", "migrate", "--verbosity=0")


@contextmanager
def serving(site: Site) -> Iterator[int]:
    """Run the site's gunicorn for the block; yield its port."""
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        gunicorn = start(site, listener.fileno())
    try:
        wait_until_ready(site, port)
        yield port
    finally:
        gunicorn.terminate()
        gunicorn.wait()


def start(site: Site, listener: int) -> subprocess.Popen[bytes]:
    options = f"--bind=fd://{listener} --workers=1 --worker-class=sync {QUIET}"
    return subprocess.Popen(
        [site.python, "-m", "gunicorn", *options.split(), WSGI],
        cwd=site.folder,
        env=site.environment(),
        pass_fds=[listener],
    )


def wait_until_ready(site: Site, port: int) -> None:
    """Wait for the response to a GET, which waits in the socket's queue for the worker."""
    try:
        with socket.create_connection((HOST, port), SECONDS_TO_START) as client:
            client.sendall(f"GET {site.path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            response = client.recv(12)
    except OSError as error:
        raise SystemExit(f"The site {site.name!r} does not start: {error}") from error
    if response != b"HTTP/1.1 405":
        raise SystemExit(f"The site {site.name!r} does not start: {response!r}")
