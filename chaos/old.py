"""``python -m chaos.old URL SEED``: the older version's ``charge_stripe``, again and again."""

from __future__ import annotations

import logging
import os
import sys
import time
from random import Random
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "chaos.settings"

import django

from chaos import clock

clock.install()
django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import close_old_connections  # noqa: E402

from aa_stripe.models import base  # noqa: E402
from aa_stripe.signals import stripe_charge_succeeded  # noqa: E402
from chaos.models import Success  # noqa: E402
from chaos.parent import end_with_parent  # noqa: E402

logger = logging.getLogger("chaos")


def main(url: str, seed: int) -> None:
    chance = Random(seed)
    end_with_parent()
    clock.shift(chance.uniform(-clock.SKEW, clock.SKEW))
    base.KEY_LIFETIME = clock.KEY_LIFETIME
    settings.STRIPE_API_BASE = url
    settings.STRIPE_API_KEY = "sk_test_old"
    stripe_charge_succeeded.connect(_note)
    while True:
        _charge()
        time.sleep(chance.uniform(0, 0.5))


def _note(instance: Any, **_: Any) -> None:
    Success.objects.create(charge_id=instance.pk)


def _charge() -> None:
    try:
        with open(os.devnull, "w") as nowhere:
            call_command("charge_stripe", stdout=nowhere, stderr=nowhere)
    except SystemExit:  # some rows failed
        pass
    except Exception:
        logger.exception("A run of the older version failed.")
        close_old_connections()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
