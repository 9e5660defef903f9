"""``POST /_fake/advance``: a path of the server that Stripe does not have."""

from __future__ import annotations

import math

from aa_stripe.testing.account import Account
from aa_stripe.testing.base.refusals import invalid
from aa_stripe.testing.billing import renewal
from aa_stripe.testing.http.request import Request
from aa_stripe.testing.http.response import Response

PATH = "/_fake/advance"


def respond(account: Account, request: Request) -> Response | None:
    """Advance the clock by the parameter ``seconds``; return ``None`` for all other requests.

    It needs no API key. The response has the account's time as ``now``, in seconds since 1970.
    """
    if (request.method, request.path) != ("POST", PATH):
        return None
    seconds = _seconds(request.params.get("seconds"))
    if seconds is None:
        message = "Send the number of seconds as seconds=86400; the clock cannot go back."
        return Response.of_refusal(invalid(message, param="seconds"))
    with account.held():
        renewal.pass_time(account, seconds)
        return Response.of(200, {"now": account.now})


def _seconds(sent: object) -> float | None:
    try:
        seconds = float(str(sent))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
