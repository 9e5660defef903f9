"""A process that sends prepared requests to a site, in four threads, as fast as it responds.

``python -m bench.client PORT STATUS`` reads the pickled list of the requests from its input and
prints the seconds that all responses took. A response with another status ends it with an error.
It imports nothing that takes time, and a request costs it as little as possible: it shares the
cores with the site.
"""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

HOST = "127.0.0.1"
CLIENTS = 4
TIMEOUT = 60  # seconds


# For the benchmark


def send(port: int, requests: list[bytes], status: int) -> float:
    """Send the requests from a process of its own; return the seconds."""
    client = subprocess.run(
        [sys.executable, "-m", "bench.client", str(port), str(status)],
        input=pickle.dumps(requests),
        stdout=subprocess.PIPE,
        check=False,
    )
    if client.returncode:
        raise SystemExit("Not every delivery had the expected response; see above.")
    return float(client.stdout)


# The process


def main(port: int, status: int) -> None:
    requests: list[bytes] = pickle.load(sys.stdin.buffer)
    expected = f"HTTP/1.1 {status} ".encode()
    with ThreadPoolExecutor(CLIENTS) as pool:
        start = time.perf_counter()
        shares = [requests[number::CLIENTS] for number in range(CLIENTS)]
        list(pool.map(lambda share: send_all(port, share, expected), shares))
        print(time.perf_counter() - start)


def send_all(port: int, requests: list[bytes], expected: bytes) -> None:
    for request in requests:
        response = respond_to(port, request)
        if not response.startswith(expected):
            raise SystemExit(f"Expected {expected!r}, got {response[:500]!r}")


def respond_to(port: int, request: bytes) -> bytes:
    """Return the whole response; a synchronous worker closes the connection after it."""
    with socket.create_connection((HOST, port), TIMEOUT) as connection:
        connection.sendall(request)
        response = b""
        while received := connection.recv(65536):
            response += received
        return response


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
