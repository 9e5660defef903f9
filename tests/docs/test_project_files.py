"""The files for contributors and for services agree with the project."""

from __future__ import annotations

import configparser
import re

import pytest
import yaml

from tests.docs.blocks import ROOT

YAML_FILES = [
    ".pre-commit-config.yaml",
    ".readthedocs.yaml",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / ".github").rglob("*.yml"))),
]


def text_of(path):
    return (ROOT / path).read_text("utf-8")


def lines_of(path):
    return text_of(path).splitlines()


def loaded(path):
    return yaml.safe_load(text_of(path))


def expanded(line):
    """Return the environments of one line: ``a{1,2}`` is ``a1`` and ``a2``."""
    braces = re.search(r"\{([^}]*)\}", line)
    if braces is None:
        return [line]
    parts = [part.strip() for part in braces[1].split(",")]
    before, after = line[: braces.start()], line[braces.end() :]
    return [environment for part in parts for environment in expanded(before + part + after)]


def tox_environments():
    tox = configparser.RawConfigParser()
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    lines = tox["tox"]["env_list"].split()
    return [environment for line in lines for environment in expanded(line)]


def workflow_jobs():
    return loaded(".github/workflows/ci.yml")["jobs"]


@pytest.mark.parametrize("path", YAML_FILES)
def test_the_file_is_yaml(path):
    assert isinstance(loaded(path), dict)


def test_the_workflow_runs_each_environment_of_tox_once():
    named = [it["tox"] for it in workflow_jobs()["versions"]["strategy"]["matrix"]["include"]]

    assert sorted(named) == sorted(tox_environments())


def test_the_workflow_runs_each_environment_with_its_python():
    for it in workflow_jobs()["versions"]["strategy"]["matrix"]["include"]:
        major, minor = it["python"].split(".")
        assert it["tox"].startswith(f"py{major}{minor}-")


def test_every_database_is_tested_with_the_newest_python():
    [setup] = [it for it in workflow_jobs()["databases"]["steps"] if "setup-python" in str(it)]
    version = setup["with"]["python-version"]

    assert max(tox_environments()).startswith(f"py{version.replace('.', '')}-")
    assert f"export PYTHON=python{version}" in lines_of(".ci/run")
    assert "step make test" in lines_of(".ci/run")


def test_the_suite_is_run_with_the_oldest_versions():
    assert f"\t$(BIN)/tox run -e {min(tox_environments())}" in lines_of("Makefile")
    assert "step make tox-oldest" in lines_of(".ci/run")


def test_the_workflow_has_each_server_that_the_suite_needs():
    job = workflow_jobs()["databases"]

    assert set(job["services"]) == {"postgres", "mariadb", "redis"}
    assert {"TEST_DATABASES_REQUIRED", "TEST_BROKER_REQUIRED"} <= set(job["env"])


def test_the_hooks_run_the_ruff_of_the_lint_group():
    [wanted] = re.findall(r'^    "(ruff[^"]*)",$', text_of("pyproject.toml"), re.MULTILINE)

    hooks = [hook for repo in loaded(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]

    assert {hook["id"] for hook in hooks} == {"ruff-check", "ruff-format"}
    assert all(hook["additional_dependencies"] == [wanted] for hook in hooks)


def test_the_links_for_reports_lead_to_the_projects_repository():
    [home] = re.findall(r'^Source = "(.*)"$', text_of("pyproject.toml"), re.MULTILINE)
    advisory = f"{home}/security/advisories/new"

    assert f"({advisory})" in text_of("SECURITY.md")
    links = loaded(".github/ISSUE_TEMPLATE/config.yml")["contact_links"]
    assert advisory in [link["url"] for link in links]
    assert f"git clone {home}\n" in text_of("CONTRIBUTING.rst")


@pytest.mark.parametrize("path", ["CONTRIBUTING.rst", "SECURITY.md"])
def test_the_source_distribution_includes_the_file(path):
    included = re.findall(r"^include (.*)$", text_of("MANIFEST.in"), re.MULTILINE)

    assert path in " ".join(included).split()
