"""Render the templates of pages: reports, comparisons, checks; what they show of numbers, sentences and charts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from keras_resnet import __version__
from keras_resnet.metrics.labels import metric_label
from keras_resnet.reporting.assets import read_assets
from keras_resnet.reporting.charts import Chart
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    from jinja2 import Environment

# A command in backticks, or an option, within a sentence: the part that is kept by `re.split`.
CODE = r"(`[^`]+`|(?<![\w-])--[a-z][a-z-]*[a-z])"


def draw_charts(charts: list[Chart]) -> dict[str, Any]:
    """Return what a template needs to show `charts`: static "figures" and the data of the interactive ones by name, and
    the page's "assets"."""
    from keras_resnet.reporting.figures import draw_chart

    return {
        "figures": {chart.name: draw_chart(chart) for chart in charts},
        "charts": {chart.name: chart.as_dict() for chart in charts},
        "assets": read_assets(bool(charts)),
    }


def render_template(template: str, values: dict[str, Any]) -> str:
    """Render one of the templates beside this file."""
    written = {"version": __version__, "written": datetime.now(UTC).date().isoformat()}
    return _create_environment().get_template(template).render(**written, **values)


@cache
def _create_environment() -> Environment:
    """Create what compiles templates, and keeps them: a script may write many reports."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("keras_resnet.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


def _sentence(words: str) -> str:
    """A sentence with a capital letter, but for the name of a file, and a full stop where it is no question."""
    is_file = "." in words.split(maxsplit=1)[0]
    return f"{words[0] if is_file else words[0].upper()}{words[1:]}{'' if words.endswith('?') else '.'}"


def _mark_code(words: str) -> Markup:
    """Return text as HTML in which commands in backticks and options, `--class-weights`, are code: no line breaks
    within options."""
    return Markup("").join(
        _format_code(each) if place % 2 else escape(each) for place, each in enumerate(re.split(CODE, words))
    )


def _format_code(words: str) -> Markup:
    kind = "" if words.startswith("`") else ' class="option"'
    return Markup(f"<code{kind}>{{}}</code>").format(words.strip("`"))


FILTERS: dict[str, Callable[..., str | list[str]]] = {
    "percent": lambda share, places=2: "–" if share is None else f"{share:.{places}%}",
    "count": lambda number: f"{number:,}",
    "counted": lambda number, noun, plural="", form=",": counted(number, noun, form, plural),
    "metric": metric_label,
    "sentence": _sentence,
    "marked": _mark_code,
    "options": lambda command: re.split(" (?=--)", command),
}
