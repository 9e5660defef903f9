"""The sites that are compared, each with its database; see also ``bench.site_urls``."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import django
import gunicorn
import psycopg

from bench import databases, djstripe_settings
from bench.site import ROOT, Site

#: The last commit before charges, and then events, were written anew.
OLD_COMMIT = "cd73a5d"

# The names of the sites; that of the old code is its commit.
LIMIT = "limit"
CONSTRUCT_EVENT = "construct_event"
AA_STRIPE = "aa_stripe"
DJ_STRIPE = "dj-stripe"

DJ_STRIPE_VERSION = "2.11.0"
PIP = "install -qq --retries=1 --disable-pip-version-check"

BENCH_TABLE = (
    "CREATE TABLE bench_event (id varchar(255) PRIMARY KEY, body jsonb, created timestamptz)"
)


class Unavailable(Exception):
    """A site that cannot be made here; the message says why."""


def own(database: str, stripe_url: str) -> list[Site]:
    """Return the sites with the benchmark's own database and this code."""
    databases.execute(database, BENCH_TABLE)
    return [
        Site(LIMIT, "/limit", "bench_event", database, stripe_url),
        Site(CONSTRUCT_EVENT, "/construct-event", "bench_event", database, stripe_url),
        aa_stripe_site(database, stripe_url),
    ]


def aa_stripe_site(database: str, stripe_url: str) -> Site:
    return Site(AA_STRIPE, "/aa-stripe/webhooks", "aa_stripe_stripewebhook", database, stripe_url)


@contextmanager
def old_site(database: str, stripe_url: str) -> Iterator[Site]:
    """Yield aa_stripe's site with the code of ``OLD_COMMIT``. Raises ``Unavailable``."""
    with old_code() as folder, databases.created(f"{database}_old") as name:
        site = replace(aa_stripe_site(name, stripe_url), name=OLD_COMMIT, folder=folder)
        site.migrate()
        yield site


@contextmanager
def old_code() -> Iterator[Path]:
    """Write the package as it was at ``OLD_COMMIT`` into a folder, for the block."""
    archive = ["git", "archive", OLD_COMMIT, "aa_stripe"]
    packed = subprocess.run(archive, cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        raise Unavailable(f"The history has no commit {OLD_COMMIT}.")
    with TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
        files.extractall(folder, filter="data")
        yield Path(folder)


@contextmanager
def dj_stripe_site(database: str, stripe_url: str) -> Iterator[Site]:
    """Yield a site with dj-stripe. Raises ``Unavailable``."""
    with dj_stripe() as python, databases.created(f"{database}_djstripe") as name:
        site = Site(
            DJ_STRIPE,
            djstripe_settings.ENDPOINT_PATH,
            "djstripe_event, djstripe_webhookeventtrigger",
            name,
            stripe_url,
            settings="bench.djstripe_settings",
            created=200,
            python=python,
        )
        site.migrate()
        site.run("bench.djstripe_rows")
        yield site


@contextmanager
def dj_stripe() -> Iterator[str]:
    """Install dj-stripe for the block, next to the versions that aa_stripe runs with."""
    requirements = [
        f"{DJ_STRIPE}=={DJ_STRIPE_VERSION}",
        f"Django=={django.__version__}",
        f"gunicorn=={gunicorn.__version__}",
        f"psycopg[binary]=={psycopg.__version__}",
    ]
    with TemporaryDirectory() as folder:
        python = f"{folder}/bin/python"
        try:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([python, "-m", "pip", *PIP.split(), *requirements], check=True)
        except subprocess.CalledProcessError as error:
            raise Unavailable(
                f"{DJ_STRIPE} {DJ_STRIPE_VERSION} cannot be installed here."
            ) from error
        yield python
