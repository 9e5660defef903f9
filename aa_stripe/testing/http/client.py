"""The HTTP client for the SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import stripe

from aa_stripe.testing.http.api import Api
from aa_stripe.testing.http.faults import ConnectionLost
from aa_stripe.testing.http.request import Request


class FakeHTTPClient(stripe.HTTPClient):
    """An HTTP client that calls the offline Stripe. The SDK retries as usual, but at once."""

    name = "fake"

    def __init__(self, api: Api) -> None:
        super().__init__()
        self._api = api

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        **options: Any,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Return the body, the status and the headers of the response."""
        try:
            response = self._api.handle(Request.parse(method, url, headers, post_data))
        except ConnectionLost as error:
            raise stripe.APIConnectionError(str(error), should_retry=True) from error  # type: ignore[no-untyped-call]
        lower_case = {name.lower(): value for name, value in response.headers.items()}
        return response.content.decode(), response.status, {**response.headers, **lower_case}

    def _sleep_time_seconds(self, *args: Any, **kwargs: Any) -> float:
        return 0

    def close(self) -> None:
        """Do nothing: there is no connection."""
