"""Settings of the documentation: ``sphinx-build -W docs docs/_build/html``."""

import re
import socket
from pathlib import Path

import mathjax

import skbq

project = "skbq"
author = "The skbq developers"
copyright = author
release = version = skbq.__version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "myst_parser",
]
# Equations are numbered by the page of the theory chapter that they stand on: the code
# cites these numbers, and tests/theory/test_theory_equations.py holds them together.
numfig = True
# The library that draws formulas comes with the pages, as one file, from the package
# django-static-mathjax: nothing is fetched from elsewhere.
mathjax_path = "tex-svg.js"
_MATHJAX = Path(mathjax.__file__).parent / "static" / "mathjax" / "es5" / mathjax_path

exclude_patterns = ["_build", "_templates", "errors_table.md"]
templates_path = ["_templates"]
default_role = "literal"

# One page for every public name; packages list what their __all__ says.
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_member_order = "groupwise"
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("skbq",),
    # API pages show the examples that use them.
    "backreferences_dir": "generated/backreferences",
    "show_memory": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
}


def reachable(host):
    """Whether links to other projects can be resolved here."""
    try:
        socket.create_connection((host, 443), timeout=3).close()
    except OSError:
        return False
    return True


# Without a network the same names are shown without links, and the build passes.
intersphinx_mapping = {
    name: (url, None)
    for name, url in {
        "python": "https://docs.python.org/3/",
        "numpy": "https://numpy.org/doc/stable/",
        "scipy": "https://docs.scipy.org/doc/scipy/",
        "sklearn": "https://scikit-learn.org/stable/",
        "pandas": "https://pandas.pydata.org/docs/",
    }.items()
    if reachable(url.split("/")[2])
}

plot_formats = [("png", 120)]
plot_html_show_formats = False
plot_html_show_source_link = False

html_theme = "pydata_sphinx_theme"
html_title = f"skbq {release}"
html_static_path = ["_static", str(_MATHJAX)]
html_css_files = ["skbq.css"]
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
# Only the reference is deep enough for a list of pages at its side.
html_sidebars = {
    page: []
    for page in (
        "install",
        "user_guide",
        "out_of_core",
        "theory/*",
        "design_guide",
        "benchmarks",
        "exports",
        "laws",
        "errors",
        "changes",
        "auto_examples/*",
    )
}
html_theme_options = {
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_align": "left",
    "show_nav_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def escape_fitted_names(app, what, name, obj, options, lines):
    """Keep ``n_features_in_`` in the type of a parameter from becoming a link."""
    for i, line in enumerate(lines):
        parameter, colon, kind = line.partition(" : ")
        lines[i] = parameter + colon + re.sub(r"(?<=\w)_(?=[,)])", r"\_", kind)


def setup(app):
    # Before numpydoc, whose priority is 500.
    app.connect("autodoc-process-docstring", escape_fitted_names, priority=400)
