"""The requests that a test's FakeStripe receives."""

from __future__ import annotations

import stripe

from aa_stripe.testing import TEST_KEY, Fault
from aa_stripe.testing.http import routes


def endpoint_of(request):
    """Return the method and the path with stars for ids, as ``fail_next()`` takes them."""
    route, _ = routes.find(request.method, request.path)
    return route.endpoint


def calls(fake):
    """Return the endpoints of all requests, oldest first."""
    return [endpoint_of(request) for request in fake.requests]


def requests_to(fake, endpoint):
    """Return the requests to one endpoint, oldest first."""
    return [request for request in fake.requests if endpoint_of(request) == endpoint]


def keys_of(fake, endpoint):
    """Return the idempotency keys of the requests to one endpoint, oldest first."""
    return [request.idempotency_key for request in requests_to(fake, endpoint)]


def before(fake, endpoint, act):
    """Call ``act()`` once, before such a request takes effect."""

    def hook(request):
        if endpoint_of(request) == endpoint:
            fake.before_request.remove(hook)
            act()

    fake.before_request.append(hook)


def when_done(fake, endpoint, act):
    """Call ``act()`` once, after such a request took effect and before its response is read."""

    def hook(request, response):
        if endpoint_of(request) == endpoint:
            fake.after_request.remove(hook)
            act()

    fake.after_request.append(hook)


def fail_second_page(fake, endpoint):
    """Fail the request for the second page of a listing."""

    def hook(request):
        if endpoint_of(request) == endpoint and "starting_after" in request.params:
            fake.fail_next(endpoint, Fault.ERROR_500_BEFORE)

    fake.before_request.append(hook)


def refuse_next(fake, endpoint):
    """Make Stripe refuse the next such request for its content, without storing the response."""

    def hook(request):
        if endpoint_of(request) == endpoint:
            fake.before_request.remove(hook)
            request.params["unknown"] = "1"

    fake.before_request.append(hook)


def arrive_late(fake, request):
    """Send a request that was lost: it reaches Stripe only now. Raise Stripe's error."""
    key = {"idempotency_key": request.idempotency_key} if request.idempotency_key else {}
    client = stripe.StripeClient(TEST_KEY, http_client=fake.http_client)
    client.raw_request(request.method.lower(), request.path, **key, **request.params)
