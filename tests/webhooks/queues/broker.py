"""The Celery settings of a test's site and of its workers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

QUEUE = "aa_stripe"


@dataclass
class Site:
    broker_url: str
    #: Seconds after which an unacknowledged message is delivered again.
    visibility_timeout: float = 3600
    #: Separates this test's keys in Redis from all others.
    prefix: str = field(default_factory=lambda: f"aa-stripe-{uuid.uuid4().hex}:")

    @property
    def settings(self):
        """Celery's settings."""
        return {
            "broker_url": self.broker_url,
            "broker_transport_options": {
                "global_keyprefix": self.prefix,
                # Without it, a Redis that does not respond blocks for ever.
                "socket_timeout": 1,
                "visibility_timeout": self.visibility_timeout,
            },
            "result_backend": self.broker_url,
            "result_backend_transport_options": {"global_keyprefix": self.prefix},
            "task_default_queue": QUEUE,
            "worker_enable_remote_control": False,
        }
