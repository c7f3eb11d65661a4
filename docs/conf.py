"""The site: `make docs` builds it of these pages, the notebooks and the docstrings.

Sphinx reads the whole project, so that a link between pages is the same path here and on GitHub:
the pages of the site are those of the patterns below.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext import autosummary
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

import lenet_c
from lenet_c import cli

project = "lenet_c"
author = "the authors of lenet_c"
version = release = lenet_c.__version__
html_title = f"{project} {version}"
html_show_copyright = False

root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/*.rst", "docs/*/*"]
exclude_patterns = [".*", "build", "dist", "bench", "csrc", "lenet_c", "tests", "*.egg-info"]
html_theme = "furo"
templates_path = ["templates"]
html_additional_pages = {"index": "to_the_start.html"}
html_copy_source = False  # the pages are in the project
html_theme_options = {"navigation_with_keys": True}

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
highlight_language = "none"
default_role = "py:obj"  # `names` in docstrings: links where they are documented here

autosummary_generate = False
autosummary.WELL_KNOWN_ABBREVIATIONS += (" eq.",)  # a summary does not end there
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings have them, with shapes
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_rtype = False
maximum_signature_line_length = 88

myst_heading_anchors = 4  # as GitHub's
nb_execution_mode = "force"
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_merge_streams = True
html_math_renderer = "mathml"


def formula(translator: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML, which browsers draw without a script from elsewhere."""
    block = isinstance(node, nodes.math_block)
    translator.body.append(tex2mathml(node.astext(), as_block=block))
    raise nodes.SkipNode


def set_apart(app: Sphinx, docname: str, source: list[str]) -> None:
    """Leave pages of earlier days out of the lists of pages: docs/measured/README.md has them."""
    if re.match(r"docs/measured/\d", docname):
        source[0] = "---\norphan: true\n---\n" + source[0]


class Help(SphinxDirective):
    """What `lenet-c --help` prints, or that of the subcommand that is given."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Run the command."""
        os.environ["COLUMNS"] = "88"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            cli.main([*self.arguments, "--help"])
        text = printed.getvalue()
        return [nodes.literal_block(text, text, language="none")]


def find_public(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """Find a name that a docstring has without the package, as `LeNet5`."""
    if node["refdomain"] != "py":
        return None
    name, page = f"lenet_c.{node['reftarget']}", node["refdoc"]
    return env.domains["py"].resolve_xref(env, page, app.builder, "obj", name, node, text)


def skip(app: Sphinx, kind: str, name: str, value: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples: their class describes them."""
    return True if type(value).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> None:
    """Add what is the project's own."""
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.add_directive("help", Help)
    app.connect("source-read", set_apart)
    app.connect("missing-reference", find_public)
    app.connect("autodoc-skip-member", skip)
