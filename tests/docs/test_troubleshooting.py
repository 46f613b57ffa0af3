"""docs/troubleshooting.md quotes what the packages say, and says what to do about it."""

import ast
import functools
import re
from itertools import chain
from pathlib import Path

import pytest

from keras_resnet import errors

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
HEADING = re.compile(r"^### `(.+)`$", re.MULTILINE)
# What differs from one time to the next.
HOLE = "…"


def template(node):
    """A string as written, each computed part of it a HOLE, but for nouns and verbs beside counts: they stand as of
    several. None for what is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) or HOLE for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return of_several(node.value)
    return None


def of_several(node):
    """What a call of `plurals.counted` or `plurals.verb` gives of several; None for what is none."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return None
    given = {keyword.arg: template(keyword.value) for keyword in node.keywords}
    if node.func.id == "counted":
        return f"{HOLE} {given.get('plural') or (template(node.args[1]) or HOLE) + 's'}"
    if node.func.id == "verb":
        return template(node.args[2]) if len(node.args) > 2 else "are"
    return None


def said_in(source):
    """Every string in Python `source`."""
    return [text for node in ast.walk(ast.parse(source)) if (text := template(node))]


@functools.cache
def said():
    """Every string of the packages. To parse them all takes seconds."""
    files = chain((ROOT / "keras_resnet").rglob("*.py"), (ROOT / "export").rglob("*.py"))
    return [text for file in files for text in said_in(file.read_text())]


def fixed_parts(heading):
    """The words of a heading between what differs."""
    return [part for part in heading.split(HOLE) if part.strip(" .:,")]


def quotes(heading, text):
    """Whether the fixed parts of `heading` stand in `text`, in order and whole."""
    parts = fixed_parts(heading)
    # A search for parts that are not there takes long.
    return all(part in text for part in parts) and re.search(".*?".join(map(re.escape, parts)), text, re.DOTALL)


HEADINGS = HEADING.findall(PAGE)


def test_there_are_messages():
    assert len(HEADINGS) >= 30
    assert len(HEADINGS) == len(set(HEADINGS)) == PAGE.count("\n### ")


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_message_is_in_the_source(heading):
    assert sum(map(len, fixed_parts(heading))) >= 12, "too few fixed words to tell one message from another"
    assert any(quotes(heading, text) for text in said())


def test_every_message_says_what_to_do():
    for heading, text in zip(HEADINGS, HEADING.split(PAGE)[2::2], strict=True):
        assert len(text.partition("\n## ")[0].split()) >= 8, heading


def test_the_exit_codes_are_those_of_the_errors():
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    raised = {each.exit_code for each in vars(errors).values() if hasattr(each, "exit_code")}
    assert listed == raised


@pytest.mark.parametrize(
    ("heading", "source", "expected"),
    [
        ("cannot read image …: no such file", 'f"cannot read image {name}: no such file"', True),
        ("cannot read image …: no such file", 'f"cannot read image {name}: not an image"', False),
        ("lost more than … points", 'f"lost more" f" than {drop} points"', True),
        ("left out … files: …", """f"left out {counted(total, 'file')}: {kinds}\"""", True),
        ("left out … files: …", """f"left out {counted(total, 'image')}: {kinds}\"""", False),
        (
            "… of … classes are left",
            """f"{count} of {counted(3, 'class', plural='classes')} {verb(count)} left\"""",
            True,
        ),
        ("… images show no object", """f"{counted(count, 'image')} {verb(count, 'shows', 'show')} no object\"""", True),
        ("lost more than … points", 'f"points lost: more than {drop}"', False),
    ],
)
def test_the_check_sees_other_words(heading, source, expected):
    assert any(quotes(heading, text) for text in said_in(source)) == expected
