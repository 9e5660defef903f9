"""API keys and their permissions."""

from __future__ import annotations

import base64
import binascii
import hmac

from aa_stripe.testing.account import Account
from aa_stripe.testing.base.refusals import Refusal, unauthorized
from aa_stripe.testing.http.request import Request
from aa_stripe.testing.http.routes import Route

SECRET = ("sk_test_", "rk_test_")
PUBLISHABLE = ("pk_test_",)
LIVE = ("sk_live_", "rk_live_", "pk_live_")


def check(account: Account, request: Request, route: Route, ids: tuple[str, ...]) -> None:
    """Raise ``Refusal`` if the key is missing, invalid, live, or lacks the permission."""
    key = _key(request)
    if not key:
        raise unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if key.startswith(LIVE):
        raise unauthorized("FakeStripe rejects live API keys: do not use them in tests.")
    if key.startswith(PUBLISHABLE):
        _check_publishable(account, request, route, ids)
    elif not key.startswith(SECRET):
        raise unauthorized(f"Invalid API Key provided: {key[:7]}")


def _key(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        return _user(value)
    return ""


def _user(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _check_publishable(
    account: Account, request: Request, route: Route, ids: tuple[str, ...]
) -> None:
    if not route.publishable:
        raise Refusal(
            403,
            "invalid_request_error",
            "This API call cannot be made with a publishable API key. Please use a secret API key.",
            code="secret_key_required",
            kept=False,
        )
    intent = _intent(account, ids)
    if intent is None:
        return
    secret = str(request.params.pop("client_secret", ""))
    if not hmac.compare_digest(secret.encode(), intent["client_secret"].encode()):
        raise Refusal(
            400,
            "invalid_request_error",
            "The client_secret provided does not match any associated intent on this account.",
            param="client_secret",
            kept=False,
        )


def _intent(account: Account, ids: tuple[str, ...]) -> dict[str, str] | None:
    if not ids:
        return None
    return account.find("payment_intent", ids[0]) or account.find("setup_intent", ids[0])
