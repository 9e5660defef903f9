"""How Sphinx builds these pages; ``make docs`` treats its warnings as errors."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import aa_stripe

# autodoc imports the models, which need a configured Django. Nothing is read or sent.
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "aa_stripe"],
    STRIPE_API_KEY="sk_test_docs",
)
django.setup()

project = "aa-stripe"
author = "The aa_stripe maintainers"
copyright = f"2026, {author}"
version = release = aa_stripe.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.graphviz"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"aa-stripe {release}"
html_static_path = ["_static"]
html_css_files = ["diagrams.css"]

graphviz_output_format = "svg"

autodoc_class_signature = "separated"
autodoc_default_options = {"member-order": "bysource", "exclude-members": "__init__, __new__"}
# Short names in signatures: "StripeCharge" for "aa_stripe.models.charge.StripeCharge".
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 120

nitpicky = True
# Types of other packages: the build has no network, hence no inventories to link to.
nitpick_ignore_regex = [
    (r"py:.*", r"(collections|datetime|decimal|random|types|typing|uuid)\b.*"),
    (r"py:.*", r"(django|rest_framework|stripe|models)\b.*"),
    # The SDK's classes under the gateway's names.
    (r"py:class", r"(aa_stripe\.)?gateway\..*"),
    # Internals that a public signature names: a type variable, the parts of the offline Stripe.
    (r"py:class", r"aa_stripe\.webhooks\.H"),
    (r"py:class", r"aa_stripe\.models\.claims\.Claim"),
    (r"py:class", r"aa_stripe\.testing\..*\.(Server|Request|Response|Client)"),
]


def link_to_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Resolve a class that autodoc names by the module it is defined in.

    The reference lists each class under the name that a project imports.
    """
    is_class = (node.get("refdomain"), node.get("reftype")) == ("py", "class")
    if not is_class or not node["reftarget"].startswith("aa_stripe."):
        return None
    name = node["reftarget"].rpartition(".")[2]
    public = [it for it in env.domains.python_domain.objects if it.endswith(f".{name}")]
    if len(public) != 1:
        return None
    return env.domains.python_domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], public[0], node, content
    )


def setup(app: Sphinx) -> dict[str, Any]:
    # ".. setting:: STRIPE_API_KEY" and ":setting:`STRIPE_API_KEY`", and so on.
    app.add_object_type("setting", "setting", "pair: %s; setting")
    app.add_object_type("check", "check", "pair: %s; system check")
    app.add_object_type("djcommand", "djcommand", "pair: %s; management command")
    app.connect("missing-reference", link_to_public_name)
    return {"parallel_read_safe": True}
