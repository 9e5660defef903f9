"""The package that is built from the sources, and the guards of the test suite."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import docutils.core
import pytest

import aa_stripe

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that is built from the sources, as an open archive."""
    sources = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "setup.py", "README.rst", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, sources)
    for name in ("aa_stripe", "tests", "docs"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=sources, check=True, capture_output=True)
    with zipfile.ZipFile(next(sources.glob("*.whl"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    return Parser().parsestr(wheel.read("aa_stripe-1.0.0.dist-info/METADATA").decode())


def collect_tests(**environment):
    """Collect the tests of this file with pytest in another process."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", __file__],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_built_package_has_the_name_and_version_of_the_module(metadata):
    assert metadata["Name"] == "aa-stripe"
    assert metadata["Version"] == aa_stripe.__version__ == aa_stripe.VERSION


def test_the_built_package_requires_only_the_packages_that_it_imports(metadata):
    lines = [it for it in metadata.get_all("Requires-Dist") if "extra ==" not in it]
    required = {re.match(r"[\w-]+", line)[0].lower() for line in lines}

    assert required == {"django", "django-model-utils", "djangorestframework", "stripe", "tqdm"}


def test_the_wheel_contains_every_file_of_the_package(wheel):
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "aa_stripe").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    packed = {name for name in wheel.namelist() if name.startswith("aa_stripe/")}

    assert packed == files
    assert "aa_stripe/py.typed" in packed


def test_the_wheel_installs_nothing_but_the_package(wheel):
    installed = {name.partition("/")[0] for name in wheel.namelist()}

    assert installed == {"aa_stripe", "aa_stripe-1.0.0.dist-info"}


@pytest.mark.parametrize("page", ["README.rst", "CHANGELOG.rst"])
def test_a_page_shown_on_the_package_index_renders_without_a_warning(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    warnings = io.StringIO()

    docutils.core.publish_doctree(text, settings_overrides={"warning_stream": warnings})

    assert warnings.getvalue() == ""


def test_the_changelog_begins_with_this_version():
    changelog = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")

    newest = re.search(r"^(\S+).*\n-{3,}$", changelog, re.MULTILINE)

    assert newest[1] == aa_stripe.__version__


@pytest.mark.parametrize("key", ["sk_live_51abc", "rk_live_51abc"])
def test_the_suite_does_not_start_with_a_live_key(key):
    stopped = collect_tests(STRIPE_API_KEY=key)

    assert stopped.returncode != 0
    assert "The tests refuse to run" in stopped.stdout + stopped.stderr
    assert key not in stopped.stdout + stopped.stderr


def test_the_suite_starts_with_a_test_key():
    accepted = collect_tests(STRIPE_API_KEY="sk_test_51abc")

    assert accepted.returncode == 0


@pytest.mark.parametrize("host", ["192.0.2.1", "api.stripe.com"])
def test_a_test_cannot_reach_another_machine(host):
    with pytest.raises(RuntimeError, match=re.escape(host)):
        socket.create_connection((host, 443), timeout=1)
