"""``python run.py test``: the ``manage.py`` of the site in the working directory.

The site knows nothing of what this machine lacks: a compiler for mysqlclient, and a Python that
is old enough for stripe 2.
"""

import os
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec

import pymysql

# stripe 2 contains an old copy of six that Python 3.12 cannot import, so six itself replaces it.
if find_spec("simplejson"):  # a requirement of 0.13.0 only
    for name in ("", ".moves", ".moves.urllib", ".moves.urllib.parse"):
        sys.modules[f"stripe.six{name}"] = import_module(f"six{name}")
    warnings.simplefilter("ignore")

pymysql.version_info = (2, 2, 1, "final", 0)
pymysql.install_as_MySQLdb()

sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "barn.settings"

from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
