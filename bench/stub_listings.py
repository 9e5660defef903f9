"""The listings of the stand-in for Stripe: events and customers, numbered, the newest first.

A page is composed of texts: to encode its objects would take longer than to read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: What stands for the number in an object's ids.
NUMBER = "{number}"

#: The digits of a number, so that the number of an id can be found.
DIGITS = 8


def numbered(text: str, number: int) -> str:
    return text.replace(NUMBER, f"{number:0{DIGITS}}")


class Listing:
    """``count`` objects that differ in the number in their ids only."""

    def __init__(self, path: str, template: Mapping[str, Any], count: int) -> None:
        self.path = path
        self.template = json.dumps(template)
        self.count = count

    def page(self, form: Mapping[str, str]) -> bytes:
        """Return the body of the response to a request with these parameters."""
        after = form.get("starting_after", "")
        newest = int(after[-DIGITS:]) - 1 if after else self.count
        oldest = max(newest - int(form["limit"]), 0)
        data = ",".join(numbered(self.template, it) for it in range(newest, oldest, -1))
        return (
            f'{{"object":"list","url":"{self.path}","has_more":{json.dumps(oldest > 0)},'
            f'"data":[{data}]}}'
        ).encode()
