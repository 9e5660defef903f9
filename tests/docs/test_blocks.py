"""Every Python block of the README and of the pages in docs/ runs, on an offline Stripe."""

from __future__ import annotations

import pytest

from aa_stripe.testing import FakeStripe
from tests.docs.blocks import PAGES, ROOT, count_of_python_blocks, python_blocks, run

pytest_plugins = ["aa_stripe.testing.fixtures"]

#: Its blocks change the package; ``test_contributing_page.py`` applies and runs them.
CHANGE = "contributing.rst"

BLOCKS = [block for page in PAGES if page.name != CHANGE for block in python_blocks(page)]


@pytest.fixture
def account(db, block):
    """The Stripe that a block runs on.

    A customer can have a card token as its source only on an account that allows card tokens.
    """
    with FakeStripe(allow_card_tokens="source=" in block.code) as fake:
        yield fake


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_python_block_is_found(page):
    assert len(python_blocks(page)) == count_of_python_blocks(page)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_runs(block, account, request):
    run(block, request)
