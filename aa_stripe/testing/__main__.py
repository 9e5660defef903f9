"""``python -m aa_stripe.testing``: serve a fake Stripe on 127.0.0.1 until Ctrl-C."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from urllib.parse import urlsplit

from aa_stripe.testing.base.ids import random_text
from aa_stripe.testing.deliveries import Deliveries
from aa_stripe.testing.fake import FakeStripe
from aa_stripe.testing.http.server import HOST, Server

DEFAULT_PORT = 12111
ENVIRONMENT = "STRIPE_WEBHOOK_ENDPOINT_SECRET"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C; return the exit status, 1 if the port is unavailable."""
    options = _parser().parse_args(arguments)
    fake = FakeStripe(allow_card_tokens=options.allow_card_tokens)
    try:
        server = fake.server(options.port)
    except (OSError, OverflowError) as error:
        sys.stderr.write(f"{_reason(error, options.port)}\n")
        return 1
    with server:
        _print(f"Fake Stripe at {server.url} (Ctrl-C ends it)")
        with _delivering(fake, options.deliver_to, options.webhook_secret):
            _serve(server)
    return 0


def _serve(server: Server) -> None:
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        _print("")


def _delivering(
    fake: FakeStripe, url: str | None, secret: str | None
) -> AbstractContextManager[None]:
    """Return a block in which each event is sent to ``url``, if there is one."""
    if url is None:
        return nullcontext()
    if not secret:
        secret = f"whsec_{random_text(32)}"
        _print(f"STRIPE_WEBHOOK_ENDPOINT_SECRET={secret}")
    return Deliveries(fake, url, secret, _print).running()


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _reason(error: Exception, port: int) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"Port {port} of {HOST} is in use; choose another one with --port, or 0 for any."
    return f"Cannot listen on port {port} of {HOST}: {error}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aa_stripe.testing", description=__doc__)
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        help=f"0 is any free port (default {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--allow-card-tokens",
        action="store_true",
        help="accept card tokens as source, as older Stripe accounts do",
    )
    parser.add_argument(
        "--deliver-to",
        metavar="URL",
        type=_url,
        help="send each event to this webhook, such as http://127.0.0.1:8000/aa-stripe/webhooks",
    )
    parser.add_argument(
        "--webhook-secret",
        metavar="SECRET",
        default=os.environ.get(ENVIRONMENT),
        help=f"sign the events with it (default: {ENVIRONMENT} of the environment, else a new "
        "one, which is printed)",
    )
    return parser


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address that begins with http://")
    return text


if __name__ == "__main__":
    sys.exit(main())
