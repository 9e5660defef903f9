"""The rows that dj-stripe has after it was synchronised: the account, its key and the endpoint.

``python -m bench.djstripe_rows`` makes them. Without them dj-stripe would ask Stripe for the
account at the first event.
"""

import django

django.setup()

from django.conf import settings  # noqa: E402
from djstripe.models import Account, APIKey, WebhookEndpoint  # noqa: E402

from bench.settings import STRIPE_WEBHOOK_ENDPOINT_SECRET  # noqa: E402


def main() -> None:
    account = Account.objects.create(id="acct_bench", livemode=False)
    APIKey.objects.create(
        secret=settings.STRIPE_TEST_SECRET_KEY,
        type="secret",
        livemode=False,
        djstripe_owner_account=account,
    )
    WebhookEndpoint.objects.create(
        id="we_bench",
        livemode=False,
        url=f"https://shop.example{settings.ENDPOINT_PATH}",
        status="enabled",
        enabled_events=["*"],
        secret=STRIPE_WEBHOOK_ENDPOINT_SECRET,
        djstripe_uuid=settings.ENDPOINT_UUID,
        djstripe_validation_method="verify_signature",
        djstripe_owner_account=account,
    )


if __name__ == "__main__":
    main()
