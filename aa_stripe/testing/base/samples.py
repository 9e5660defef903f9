"""Stripe's sample objects."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any


def sample(kind: str) -> dict[str, Any]:
    """Return a copy of the sample of that ``kind``; it has no id and no creation time."""
    return copy.deepcopy(_samples()[kind])


@functools.cache
def _samples() -> dict[str, dict[str, Any]]:
    text = Path(__file__).with_name("samples.json").read_text(encoding="utf-8")
    samples: dict[str, dict[str, Any]] = json.loads(text)
    return samples
