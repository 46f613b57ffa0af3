"""Text files are UTF-8 whatever the locale: read from the source, and tried under one that is ASCII."""

import ast
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Their `open` gives no text.
BINARY = {"Image", "PIL.Image", "archive", "os", "webbrowser"}
TEXT_METHODS = {"read_text": 0, "write_text": 1}


def sources():
    """Every Python file of the packages, and the scripts beside them."""
    scripts = [file for file in (ROOT / "scripts").iterdir() if file.read_bytes().startswith(b"#!/usr/bin/env python")]
    return sorted(chain((ROOT / "keras_resnet").rglob("*.py"), (ROOT / "export").rglob("*.py"), scripts))


def is_binary(call, mode_at):
    """Whether the mode of `call`, its argument at `mode_at` or by name, says so."""
    modes = [each.value for each in call.keywords if each.arg == "mode"] + call.args[mode_at : mode_at + 1]
    return any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)


def by_the_locale(source):
    """Lines of Python `source` that read or write text in the encoding of the locale."""
    lines = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or any(each.arg == "encoding" for each in call.keywords):
            continue
        given = {each.arg for each in call.keywords}
        if isinstance(call.func, ast.Name):
            odd = call.func.id == "open" and not is_binary(call, 1)
        elif isinstance(call.func, ast.Attribute):
            name, owner = call.func.attr, ast.unparse(call.func.value)
            # `Run.write_text(path, text)` has an argument more.
            is_click = owner in ("formatter", "super()")  # which writes a help
            odd = TEXT_METHODS.get(name) == len(call.args) and not is_click
            # The first argument of `Path.open` is its mode: what opens a dataset takes something else.
            mode = call.args[:1]
            opens_file = not mode or isinstance(mode[0], ast.Constant)
            odd |= name == "open" and owner not in BINARY and opens_file and not is_binary(call, 0)
            odd |= owner == "subprocess" and bool({"text", "universal_newlines"} & given)
        else:
            odd = False
        if odd:
            lines.append(call.lineno)
    return lines


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(ROOT)))
def test_text_has_an_encoding_of_its_own(file):
    assert by_the_locale(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("path.read_text()", [1]),
        ("path.read_text(errors='replace')", [1]),
        ("path.read_text(encoding='utf-8')", []),
        ("path.write_text(text)", [1]),
        ("run.write_text(path, text)", []),
        ("open(path)", [1]),
        ("open(path, 'w')", [1]),
        ("open(path, 'rb')", []),
        ("open(path, encoding='utf-8')", []),
        ("path.open()", [1]),
        ("path.open(mode='a')", [1]),
        ("path.open('rb+')", []),
        ("Image.open(path)", []),
        ("source.open(spec, log)", []),
        ("LayoutReader(*found).open(spec, log)", []),
        ("subprocess.run(command, text=True)", [1]),
        ("subprocess.run(command, text=True, encoding='utf-8')", []),
    ],
)
def test_the_check_sees_what_goes_by_the_locale(source, expected):
    assert by_the_locale(source) == expected
