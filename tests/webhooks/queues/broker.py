"""How the site of a test and its workers use Celery."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

QUEUE = "aa_stripe"


@dataclass
class Site:
    broker_url: str
    #: How long a message may be with a worker before it is taken for lost.
    visibility_timeout: float = 3600
    #: Keeps all that Celery has in Redis apart from what others have there.
    prefix: str = field(default_factory=lambda: f"aa-stripe-{uuid.uuid4().hex}:")

    @property
    def settings(self):
        """Celery's settings."""
        return {
            "broker_url": self.broker_url,
            "broker_transport_options": {
                "global_keyprefix": self.prefix,
                # Without it, a Redis that does not answer is waited for without end.
                "socket_timeout": 1,
                "visibility_timeout": self.visibility_timeout,
            },
            "result_backend": self.broker_url,
            "result_backend_transport_options": {"global_keyprefix": self.prefix},
            "task_default_queue": QUEUE,
            "worker_enable_remote_control": False,
        }
