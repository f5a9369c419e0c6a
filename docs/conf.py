"""The site: ``make docs`` writes it to ``docs/_build``; a warning is an error."""

from __future__ import annotations

from moo_mtl import __version__

project = "moo_mtl"
author = "The moo_mtl authors"
copyright = "The moo_mtl authors, MIT licence"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx_copybutton"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository that are no pages
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"moo_mtl {__version__}"
html_theme_options = {"navigation_with_keys": True}
