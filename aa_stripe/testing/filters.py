"""Lists that are narrowed down: of a customer, of a charge."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import no_such


def matching(
    account: Account, kind: str, params: dict[str, Any], *, by: tuple[str, ...]
) -> list[JSON]:
    """Return the objects that name what ``params`` name, oldest first.

    ``by`` are the kinds that may be named. What never was is refused; what was deleted is not.
    """
    wanted = {name: params[name] for name in by if name in params}
    for name, id in wanted.items():
        if account.find(name, id) is None:
            raise no_such(name, id, param=name)
    return [
        item for item in account.all(kind) if all(item[name] == id for name, id in wanted.items())
    ]
