from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from aa_stripe.testing import __main__ as command

COMMAND = [sys.executable, "-m", "aa_stripe.testing"]


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_the_command_serves_until_it_is_interrupted():
    with subprocess.Popen(
        [*COMMAND, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        line = process.stdout.readline()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(line.split()[3] + "/v1/customers", timeout=10)
        caught.value.close()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)

    assert line.startswith("Fake Stripe at http://127.0.0.1:")
    assert caught.value.code == 401
    assert (process.returncode, errors) == (0, "")
    assert "Traceback" not in output


def test_a_port_in_use_is_reported(taken_port, capsys):
    status = command.main(["--port", str(taken_port)])

    assert status == 1
    assert capsys.readouterr().err == (
        f"Port {taken_port} of 127.0.0.1 is in use; choose another one with --port, or 0 for any.\n"
    )


def test_an_invalid_port_is_reported(capsys):
    assert command.main(["--port", "99999"]) == 1
    assert "Cannot listen on port 99999" in capsys.readouterr().err


def test_ctrl_c_exits_with_status_0(monkeypatch, capsys):
    def interrupted(server):
        assert server.api.account.allow_card_tokens
        raise KeyboardInterrupt

    monkeypatch.setattr(command.Server, "serve_forever", interrupted)

    assert command.main(["--port", "0", "--allow-card-tokens"]) == 0
    assert capsys.readouterr().out.startswith("Fake Stripe at ")
