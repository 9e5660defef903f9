"""Workers: processes that use this test's database and its fake Stripe."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from celery import Celery, _state

from tests.support.processes import kill_group
from tests.webhooks.effects import TYPE, write_effect
from tests.webhooks.queues import TYPE_THAT_HANGS
from tests.webhooks.queues.broker import Site


@pytest.fixture
def hanging(tmp_path):
    """The file that a hanging handler creates; it contains the process id."""
    return tmp_path / "hanging"


@pytest.fixture
def environment(child_environment, served, hanging):
    return child_environment | {
        "DJANGO_SETTINGS_MODULE": "tests.webhooks.queues.settings",
        "SERVED_STRIPE": served.url,
        "QUEUES_HANGING": str(hanging),
    }


@pytest.fixture
def start(environment):
    """A function that starts a Python module as a process that leads a group."""
    processes = []

    def start(*words, **more):
        process = subprocess.Popen(
            [sys.executable, "-m", *words], env=environment | more, start_new_session=True
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        kill_group(process)


@pytest.fixture
def handled_here(on):
    """A handler in this process, which notes the events that this process applies."""

    @on(TYPE, TYPE_THAT_HANGS)
    def note(webhook):
        write_effect(webhook, by="here")


# Celery


@pytest.fixture
def site(redis):
    site = Site(redis.url)
    yield site
    for key in redis.scan_iter(f"{site.prefix}*"):
        redis.delete(key)


@pytest.fixture
def celery(settings, monkeypatch):
    """A function that makes this process send its tasks to the broker of a ``Site``."""
    settings.STRIPE_WEBHOOK_PROCESSOR = "celery"
    # A new app replaces the current app of this thread and the default app of all threads.
    # monkeypatch restores both.
    monkeypatch.setattr(_state._tls, "current_app", None)
    monkeypatch.setattr(_state, "default_app", None)
    apps = []

    def celery(site):
        apps.append(Celery("queues"))
        apps[-1].conf.update(site.settings)
        return apps[-1]

    yield celery
    for app in apps:
        app.close()


@pytest.fixture
def celery_queue(celery, site):
    """The queue that workers of this test read."""
    return celery(site)


@pytest.fixture
def start_celery(start, site):
    """A function that starts a Celery worker; ``more`` adds to its environment."""

    def start_celery(**more):
        return start(
            *("celery", "--app", "tests.webhooks.queues.worker", "worker", "--loglevel=INFO"),
            *("--concurrency=1", "--without-gossip", "--without-mingle", "--without-heartbeat"),
            **{
                "QUEUES_PROCESSOR": "celery",
                "QUEUES_CELERY": json.dumps(site.settings),
                **more,
            },
        )

    return start_celery
