"""The function for ``STRIPE_PAYER_FROM_REQUEST``."""

from __future__ import annotations

from tests.matrix.accounts.models import Office


def office_of(request):
    return Office.objects.get(user_id=request.user.pk)
