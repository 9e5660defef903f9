"""Work in threads that have connections of their own."""

from __future__ import annotations

import threading

from django.db import connections

TIMEOUT = 30  # seconds


class InThread(threading.Thread):
    """``work()`` in a thread that starts at once.

    ``join()`` returns the result of ``work()`` or raises its exception.
    """

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.result, self.error = work, None, None
        self.start()

    def run(self):
        try:
            self.result = self.work()
        except Exception as error:  # noqa: BLE001 (raised by join())
            self.error = error
        finally:
            connections.close_all()

    def join(self, timeout=TIMEOUT):
        super().join(timeout)
        if self.error is not None:
            raise self.error
        assert not self.is_alive()
        return self.result
