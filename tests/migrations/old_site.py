"""A site with the real aa-stripe 0.13.0 from PyPI, which has the schema of 0.14."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent / "site_0_13"

REQUIREMENTS = [
    "aa-stripe==0.13.0",
    "Django~=4.2.0",
    "psycopg[binary]",
    "pymysql",
    # aa-stripe 0.13.0 needs it without declaring it.
    "python-dateutil",
    # Replaces the old copy in stripe.
    "six",
]

JSON_COLUMNS = {
    "aa_stripe_stripecustomer": ["stripe_response", "stripe_js_response", "sources"],
    "aa_stripe_stripecoupon": ["stripe_response", "metadata"],
    "aa_stripe_stripesubscriptionplan": ["stripe_response", "source", "metadata"],
    "aa_stripe_stripecharge": ["stripe_response"],
    "aa_stripe_stripesubscription": ["stripe_response", "metadata"],
    "aa_stripe_stripewebhook": ["raw_data"],
}


class OldSite:
    """A runner of the scripts of ``site_0_13``, in a virtualenv that is built once and kept."""

    def __init__(self, cache: Path) -> None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        self._venv = cache / f"aa-stripe-0.13.0-python{version}"
        self._build()

    def run(
        self,
        *arguments: str,
        database: dict[str, object],
        cwd: Path = HERE,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python *arguments`` with ``database``; raise if it fails."""
        ran = subprocess.run(
            [self._python, *arguments],
            cwd=cwd,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONIOENCODING": "utf-8",
                "SITE_DATABASE": json.dumps(database, default=str),
                "JSON_COLUMNS": json.dumps(JSON_COLUMNS),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran

    @property
    def _python(self) -> Path:
        return self._venv / "bin" / "python"

    def _build(self) -> None:
        self._venv.parent.mkdir(parents=True, exist_ok=True)
        complete = self._venv / "complete"
        # Of several processes of one run, the first one builds it and the others wait.
        with self._venv.with_name(f"{self._venv.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if complete.exists():
                return
            subprocess.run([sys.executable, "-m", "venv", "--clear", self._venv], check=True)
            pip = [self._python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *REQUIREMENTS], check=True)
            complete.touch()
