"""Settings of the sites that receive webhooks: those of the benchmark, and of a server."""

from bench.settings import *  # noqa: F403
from bench.settings import DATABASES

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "bench.site_urls"
DATABASES["default"]["CONN_MAX_AGE"] = None
