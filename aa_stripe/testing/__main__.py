"""``python -m aa_stripe.testing``: serve a fake Stripe on 127.0.0.1 until Ctrl-C."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence

from aa_stripe.testing.fake import FakeStripe
from aa_stripe.testing.http.server import HOST, Server

DEFAULT_PORT = 12111


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C; return the exit status, 1 if the port is unavailable."""
    options = _parser().parse_args(arguments)
    fake = FakeStripe(allow_card_tokens=options.allow_card_tokens)
    try:
        server = fake.server(options.port)
    except (OSError, OverflowError) as error:
        sys.stderr.write(f"{_reason(error, options.port)}\n")
        return 1
    _serve(server)
    return 0


def _serve(server: Server) -> None:
    with server:
        sys.stdout.write(f"Fake Stripe at {server.url} (Ctrl-C ends it)\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stdout.write("\n")


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
    return parser


if __name__ == "__main__":
    sys.exit(main())
