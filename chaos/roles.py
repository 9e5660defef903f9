"""The processes of the site: each does one thing over and over, until it is killed.

They are forked from one process that has imported this module, so that a new one starts at once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django

from chaos import clock

clock.install()
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import close_old_connections  # noqa: E402

import aa_stripe.api_urls  # noqa: E402, F401 (a new site finds it imported)
from aa_stripe.models import StripeCharge, StripeCustomer  # noqa: E402
from chaos import mutants, payers, witness  # noqa: E402
from chaos.parent import end_with_parent  # noqa: E402

logger = logging.getLogger("chaos")


@dataclass(frozen=True)
class Orders:
    """What every process needs to know: Stripe's URL, the site's port, and the mutant's name."""

    url: str
    port: int
    mutant: str


def work(role: str, orders: Orders, seed: int) -> None:
    """Do the work of ``role`` until the process is killed."""
    chance = Random(seed)
    end_with_parent()
    clock.shift(chance.uniform(-clock.SKEW, clock.SKEW))
    _prepare(orders, witness.fate_of(chance))
    while True:
        attempt(lambda: ROLES[role](orders, chance))


def finish(orders: Orders) -> None:
    """Run every job once, as cron would."""
    _prepare(orders, witness.peace)
    attempt(run_charges)
    attempt(run_webhooks)


def count_refunds(orders: Orders) -> None:
    """Count the refunds that were made in the Dashboard and whose event was lost."""
    _prepare(orders, witness.peace)
    for charge in StripeCharge.objects.filter(is_charged=True):
        attempt(charge.refresh_from_stripe)


def _prepare(orders: Orders, fate: Callable[[], None]) -> None:
    clock.shorten()
    settings.STRIPE_API_BASE = orders.url
    settings.STRIPE_API_KEY = f"sk_test_{os.getpid()}"  # so that Stripe knows whose request it is
    mutants.apply(orders.mutant)
    witness.listen(fate)
    witness.watch_terms()


def attempt(act: Callable[[], object]) -> None:
    """Call ``act()``; log what it raises, as a site would."""
    try:
        act()
    except SystemExit:  # a command that some rows failed in
        pass
    except Exception:
        logger.exception("An attempt failed.")
        close_old_connections()


# Each role does one thing.


def charge(orders: Orders, chance: Random) -> None:
    run_charges()
    time.sleep(chance.uniform(0, 0.5))


def run_charges() -> None:
    _run("charge_stripe")


def apply_events(orders: Orders, chance: Random) -> None:
    _run("process_webhooks", f"--workers={chance.choice([0, 1, 3])}")
    time.sleep(chance.uniform(0, 1))


def run_webhooks() -> None:
    _run("process_webhooks")


def _run(command: str, *options: str) -> None:
    with open(os.devnull, "w") as nowhere:
        call_command(command, *options, stdout=nowhere, stderr=nowhere)


def retry(orders: Orders, chance: Random) -> None:
    """Charge a row explicitly, also one that has failed."""
    found = _any(StripeCharge.objects.filter(is_charged=False), chance)
    if found is not None:
        found.charge()
    time.sleep(chance.uniform(0, 0.2))


def refund(orders: Orders, chance: Random) -> None:
    found = _any(StripeCharge.objects.filter(is_charged=True, is_refunded=False), chance)
    if found is not None:
        found.refund(chance.choice([None, chance.randrange(1, 20_00)]))
    time.sleep(chance.uniform(0, 0.2))


def edit(orders: Orders, chance: Random) -> None:
    """Change the terms of an unpaid row, of one that is claimed if there is one."""
    unpaid = StripeCharge.objects.filter(is_charged=False)
    found = _any(unpaid.exclude(claim=""), chance) or _any(unpaid, chance)
    if found is not None:
        name = chance.choice(["amount", "amount", "currency", "user"])
        if name == "amount":
            found.amount = payers.an_amount(chance)
        elif name == "currency":
            found.currency = payers.a_currency(chance)
        else:
            found.user = _any(get_user_model().objects.all(), chance)
        found.save()
    time.sleep(chance.uniform(0, 0.2))


def change_card(orders: Orders, chance: Random) -> None:
    customer = _any(StripeCustomer.objects.all(), chance)
    customer.add_new_source(payers.a_card(chance))
    time.sleep(chance.uniform(0, 0.5))


def _any(rows: Any, chance: Random) -> Any:
    keys = list(rows.values_list("pk", flat=True))
    return rows.filter(pk=chance.choice(keys)).first() if keys else None


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def serve(orders: Orders, chance: Random) -> None:
    """Be the site that Stripe sends its events to."""
    application = get_wsgi_application()
    make_server(
        "127.0.0.1", orders.port, application, server_class=_Server, handler_class=_Handler
    ).serve_forever()


ROLES: dict[str, Callable[[Orders, Random], None]] = {
    "charge": charge,
    "retry": retry,
    "refund": refund,
    "edit": edit,
    "card": change_card,
    "events": apply_events,
    "site": serve,
}

#: The processes of a run.
CAST = ["charge"] * 3 + ["retry", "refund", "refund", "edit", "card", "events", "site"]
