"""How Sphinx builds these pages; ``make docs`` treats its warnings as errors."""

from __future__ import annotations

import aa_stripe

project = "aa-stripe"
author = "The aa_stripe maintainers"
copyright = f"2026, {author}"
version = release = aa_stripe.__version__

html_theme = "furo"
html_title = f"aa-stripe {release}"
exclude_patterns = ["_build"]
nitpicky = True
