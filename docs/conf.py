"""The documentation as a site: Sphinx reads the pages of this folder and the docstrings of the packages.

`scripts/docs` builds it. Nothing is fetched, neither by the build nor by the pages.
"""

import re
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().with_name("_extensions")))

from keras_resnet import __version__

project = "kresnet"
author = "the kresnet authors"
project_copyright = "the kresnet authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "command_lines", "notebooks"]
exclude_patterns = ["examples"]

# Headings are anchors, by the names that code hosts give them.
myst_heading_anchors = 4
highlight_language = "shell"
# What commands print is not for copying, and neither are prompts.
copybutton_selector = "div.highlight:not(.highlight-text *) pre"
copybutton_prompt_text = "$ "
# "--depth" is no dash.
smartquotes = False

# Docstrings say `name` for a piece of code.
default_role = "literal"
# Signatures and docstrings need none of these to be read, and a build without them takes seconds.
autodoc_mock_imports = ["ai_edge_litert", "faster_coco_eval", "keras", "sklearn", "tensorflow", "tensorflow_datasets"]
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

nitpicky = True
# Type variables, and protocols of one method.
_UNDOCUMENTED = (
    "api.calibrating.DocumentT",
    "api.predicting.AnImage",
    "data.dataset.Images",
    "data.dataset.PreparedImages",
    "models.layers.Tensor",
    "models.layers.KerasNamespace",
    "export.file_options.FileOptions",
    "export.flatbuffer.Contents",
    "export.pipeline.RangesCheck",
    "export.settings.ExportSettings",
    "training.methods.base.Model",
)
_VARIABLES = ("OutputsT", "GroundTruthT", "PredictionT")
nitpick_ignore = [
    *(("py:class", f"keras_resnet.{name}") for name in _UNDOCUMENTED),
    *(("py:class", f"keras_resnet.metrics.result.{name}") for name in _VARIABLES),
]
# Other projects' names: there is no network to look them up in.
nitpick_ignore_regex = [
    ("py:.*", r"(?!keras_resnet\.).*"),
    ("py:class", r"keras_resnet\.run\.((calibration|verdict)_)?documents\..*"),
]

# Two classes are called Run: the one for scripts, and the one that reads and writes the folder.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = f"kresnet {version}"
html_static_path = ["_static"]
html_css_files = ["kresnet.css"]
html_js_files = [("kresnet.js", {"defer": "defer"})]
# The search shows guides before the API and the list of modules.
html_search_scorer = str(Path(__file__).with_name("_static") / "scorer.js")
html_copy_source = False
html_show_sphinx = False

# An option of the command in a sentence.
_OPTION = re.compile(r"(?<![`\w-])--[a-z][a-z-]*[a-z]")
# The space between an option and its value, in code.
_BEFORE_VALUE = re.compile(r'(?<=<span class="pre">)(--[\w-]+)</span> <span class="pre">(?=[^-/<&][^<]{0,15}</span>)')
_PARAMETERS = re.compile(r"<dl>((?:\s|<dd>(?:(?!</?d[ldt]\b).)*</dd>)+)</dl>", re.DOTALL)


def as_list(lines: list[str], known: list[str]) -> list[str]:
    """`lines` of a docstring with what it says of the fields `known`, each as "name: text", as a list."""
    one = "|".join(known)
    marker = re.compile(rf"(?:^|(?<=[.;”)] ))((?:{one})(?:, (?:{one}))*): ")
    made = []
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines).strip()):
        before, *parts = marker.split(" ".join(paragraph.split()))
        made += [before.strip(), ""] if before.strip() else []
        made += [
            f"- ``{name}``: {text.strip().rstrip(';')}" for name, text in zip(parts[::2], parts[1::2], strict=True)
        ]
        made += [""] if parts else []
    return made


def lay_out(app: object, what: str, name: str, documented: object, options: object, lines: list[str]) -> None:
    """Lay out the docstring of a dataclass."""
    if is_dataclass(documented) and isinstance(documented, type):
        lines[:] = as_list(lines, [field.name for field in fields(documented)])
        # Settings carry their description themselves.
        described = [(field.name, getattr(field.default, "description", None)) for field in fields(documented)]
        marked = [(name, _OPTION.sub(r"``\g<0>``", words)) for name, words in described if words]
        lines += [f"- ``{name}``: {words}" for name, words in marked]


def link_beside(app: object, name: str, source: list[str]) -> None:
    """Make links to Markdown files outside of this folder, which are no pages here, links to the files."""
    source[0] = re.sub(r"\]\((\.\./[^)#]+\.md)(?:#[^)]*)?\)", r"](path:\1)", source[0])


def make_accessible(app: object, page: str, template: str, context: dict[str, object], tree: object) -> None:
    """Mend two things for screen readers: headings of the navigation without a level, which furo makes, and lists of
    definitions without terms, which Sphinx makes of long signatures."""
    navigation = str(context.get("furo_navigation_tree", ""))
    context["furo_navigation_tree"] = navigation.replace('role="heading"', 'role="heading" aria-level="2"')
    context["body"] = _PARAMETERS.sub(
        lambda found: f"<div>{found[1].replace('<dd>', '<div>').replace('</dd>', '</div>')}</div>",
        str(context.get("body", "")),
    )


def keep_options_whole(app: object, page: str, template: str, context: dict[str, object], tree: object) -> None:
    """Put an option and its value in one piece of code, so that no line breaks between them (see kresnet.css)."""
    context["body"] = _BEFORE_VALUE.sub(r"\1 ", str(context.get("body", "")))


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", lay_out)
    app.connect("source-read", link_beside)
    app.connect("html-page-context", keep_options_whole)
    # After furo has made the navigation.
    app.connect("html-page-context", make_accessible, priority=900)
