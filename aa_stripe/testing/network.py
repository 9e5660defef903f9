"""Blocking of Stripe's own addresses while tests run."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import urlsplit

import stripe

HOSTS = frozenset(
    urlsplit(address).hostname
    for address in (
        stripe.DEFAULT_API_BASE,
        stripe.DEFAULT_CONNECT_API_BASE,
        stripe.DEFAULT_METER_EVENTS_API_BASE,
        stripe.DEFAULT_UPLOAD_API_BASE,
    )
)
"""The hosts of Stripe's API."""

_Socket = socket.socket


class Guard:
    """Blocks this process from reaching Stripe's API, from ``install()`` to ``uninstall()``.

    ``block`` is called with the host instead of a look-up of its address, a tunnel of a proxy to
    it, and a request on a connection that is open. It has to raise. Nothing above the network is
    replaced, so libraries that mock HTTP requests work as before. While ``is_lifted`` is true,
    nothing is blocked.
    """

    def __init__(self, block: Callable[[str], NoReturn]) -> None:
        self.is_lifted = False
        self._block = block
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    def install(self) -> None:
        """Block from now on."""
        look_up = socket.getaddrinfo
        tunnel = http.client.HTTPConnection.set_tunnel
        begin = http.client.HTTPConnection.putrequest

        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            self._check(host)
            return look_up(host, *args, **kwargs)

        def set_tunnel(connection: Any, host: str, *args: Any, **kwargs: Any) -> None:
            self._check(host)
            tunnel(connection, host, *args, **kwargs)

        def putrequest(connection: Any, *args: Any, **kwargs: Any) -> None:
            if isinstance(connection.sock, _Socket):  # it was opened while the guard was lifted
                self._check(connection.host)
                self._check(connection._tunnel_host)
            begin(connection, *args, **kwargs)

        self._put(socket, "getaddrinfo", getaddrinfo)
        self._put(http.client.HTTPConnection, "set_tunnel", set_tunnel)
        self._put(http.client.HTTPConnection, "putrequest", putrequest)

    def _put(self, holder: Any, name: str, value: Any) -> None:
        self._replaced.append((holder, name, getattr(holder, name), value))
        setattr(holder, name, value)

    def uninstall(self) -> None:
        """Undo ``install()``, except where other code has replaced our function since then."""
        while self._replaced:
            holder, name, before, ours = self._replaced.pop()
            if getattr(holder, name) is ours:
                setattr(holder, name, before)

    def _check(self, host: Any) -> None:
        if not self.is_lifted and _name(host) in HOSTS:
            self._block(_name(host))


def _name(host: Any) -> str:
    """Return a host in lower case; an empty text for ``None``, which is this machine."""
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
    return text.lower().rstrip(".")
