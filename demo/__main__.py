"""The command ``python -m demo``: charges, a decline, refunds, a subscription and webhooks.

It uses an offline Stripe, or the real one if ``STRIPE_API_KEY`` is a test key.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import django
import stripe

import aa_stripe
from aa_stripe.testing import TEST_KEY, FakeStripe

TEST_KEYS = ("sk_test_", "rk_test_")

OFFLINE = "with an offline Stripe. No data leaves this machine, and all data is deleted at the end."

REAL = """with the Stripe account of your test key. In test mode, it creates:
   2 customers, each with one of Stripe's test cards
   3 payments (20.00, 35.00 and 12.50 USD), of which the second is declined
   2 refunds (5.00 and 15.00 USD)
   1 plan of 40.00 USD a month, with its product
   1 coupon (25 % off, once)
   1 subscription with that coupon, which pays 30.00 USD and is canceled: it ends with its month"""

NOT_A_TEST_KEY = """STRIPE_API_KEY is not a test key. The demo accepts only test keys.
Use a key that begins with sk_test_, or unset it to use an offline Stripe."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit status: 1 for an unexpected result, 2 for a rejected key."""
    options = _parser().parse_args(arguments)
    key = os.environ.get("STRIPE_API_KEY", "")
    if key and not key.startswith(TEST_KEYS):
        print(NOT_A_TEST_KEY, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="aa-stripe-demo-") as directory:
        if key:
            return _run(directory, REAL, serve=options.serve)
        with offline_stripe():
            return _run(directory, OFFLINE, serve=options.serve)


@contextmanager
def offline_stripe() -> Iterator[None]:
    """Serve a fake Stripe, which the site calls over HTTP like the real one."""
    with FakeStripe().serve() as url:
        os.environ["STRIPE_API_KEY"] = TEST_KEY
        os.environ["STRIPE_API_BASE"] = url
        # A proxy of this machine cannot reach the local server.
        os.environ["no_proxy"] = ",".join(filter(None, [os.environ.get("no_proxy"), "127.0.0.1"]))
        yield


def _run(directory: str, where: str, *, serve: bool) -> int:
    os.environ["DJANGO_SETTINGS_MODULE"] = "demo.settings"
    os.environ["DEMO_DATABASE"] = str(Path(directory, "demo.sqlite3"))
    django.setup()
    from django.core.management import call_command
    from django.db import connections

    from demo.story import Unexpected, run

    print(f"aa_stripe {aa_stripe.__version__} {where}")
    call_command("migrate", verbosity=0)
    try:
        run()
        if serve:
            _serve()
    except (Unexpected, stripe.StripeError) as error:
        print(f"\nThe demo ends here. {error}", file=sys.stderr)
        return 1
    finally:
        connections.close_all()
    return 0


def _serve() -> None:
    """Create an admin user and keep the site running."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    password = secrets.token_urlsafe(9)
    get_user_model().objects.create_superuser("admin", password=password)
    print(f'\nSign in at http://127.0.0.1:8000/admin/ as "admin" with the password "{password}".')
    call_command("runserver", "127.0.0.1:8000", use_reloader=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--serve", action="store_true", help="keep the site and its admin running")
    return parser


if __name__ == "__main__":
    sys.exit(main())
