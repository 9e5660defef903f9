"""Processes of an older version of the app, as there are some while a site is deployed anew."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

#: The last commit in which rows were locked while Stripe was asked, and not claimed.
BEFORE_CLAIMS = "98d1b8be9591f7f682d6ea246326b85514e61b26"

ROOT = Path(__file__).parent.parent


@contextmanager
def checked_out() -> Iterator[Path]:
    """Write that version of the package into a folder, for the block."""
    archive = ["git", "archive", BEFORE_CLAIMS, "aa_stripe"]
    packed = subprocess.run(archive, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    with TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(folder)
        yield Path(folder)


class OldProcess:
    """A process of that version, which runs ``chaos.old``; used like one of ``multiprocessing``."""

    def __init__(self, folder: Path, url: str, seed: int) -> None:
        # The current folder comes before PYTHONPATH, so the package is the older one.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "chaos.old", url, str(seed)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.pid = self._process.pid

    @property
    def exitcode(self) -> int | None:
        return self._process.poll()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()

    def join(self) -> None:
        self._process.wait()
