"""Settings of a site with ``ATOMIC_REQUESTS``."""

from tests.matrix.settings_base import *  # noqa: F403
from tests.matrix.settings_base import DATABASES

DATABASES = {"default": {**DATABASES["default"], "ATOMIC_REQUESTS": True}}
