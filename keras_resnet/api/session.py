"""Surround a call from Python with what a command has: quiet native libraries, progress, messages in its own words.

A message of the command line names options as they are typed there; `in_python_words` names them as keywords.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from keras_resnet import progress
from keras_resnet.api.notebook import NotebookDisplay, in_notebook
from keras_resnet.config.provenance import Provenance, use_provenance
from keras_resnet.errors import KresnetError
from keras_resnet.native_logs import is_main_thread, silence_native_logs
from keras_resnet.progress_bar import show_bar

P = ParamSpec("P")
T = TypeVar("T")
# Whether the command line, or a call further out, has done what `session` does.
_is_surrounded: ContextVar[bool] = ContextVar("is_surrounded", default=False)
# A whole command stays one; of options alone, those that switch something off stand for False.
_TYPED = re.compile(
    r"List them with: (?P<list>kresnet [a-z]+)"
    r"|kresnet train --resume (?P<run>\S+)|(?P<find>kresnet train --find-lr)|kresnet (?:--)?[a-z]+(?: [\w./-]+)*"
    r"|--no-(?P<off>[a-z][a-z-]*)|--set (?P<key>[A-Za-z_.]+)=(?P<set>\[[^\]]*\]|[\w.]*\w)"
    r"|--set (?P<bare>[a-z_]+\.[a-z_.]*[a-z])"
    r"|(?P<use>Use )?--(?!set )(?P<option>[a-z][a-z-]*)(?: (?P<value>[\w:./-]*\w))?"
)

# Options of a command that are a method, or a keyword of another call than the one that says so.
CALLS = {"forget": "run.forget_calibration()", "reject": "reject=True"}


def in_python_words(message: str) -> str:
    """Return a message with the keywords of Python in place of options: `--image-size` is `image_size`."""
    return _TYPED.sub(_to_python, message)


def _to_python(match: re.Match[str]) -> str:
    if match["list"]:
        return f"In a terminal, {match['list']} lists them."
    if match["run"]:
        return f"keras_resnet.train(resume={match['run']!r})"
    if match["find"]:
        return "keras_resnet.find_learning_rate"
    if match["off"]:
        return f"{match['off'].replace('-', '_')}=False"
    if match["key"] or match["bare"]:
        return f"set={{{_stand_in(match['key'] or match['bare'])}: {_stand_in(match['set'] or '…')}}}"
    return _name_keyword(match) if match["option"] else match[0]


def _name_keyword(match: re.Match[str]) -> str:
    """Return an option as a keyword: with its value, where what follows it is one and not the next word."""
    from keras_resnet.config.given_options import SETTINGS  # imports pydantic, which --help does without

    name, value, use = match["option"].replace("-", "_"), match["value"], match["use"] or ""
    if call := CALLS.get(name):
        return f"{use}{call}{f' {value}' if value else ''}"
    if value and (use or _is_value(name, value)):
        return f"{use}{name}={_read_value(value)!r}"
    if name in SETTINGS and SETTINGS[name].kind is bool:
        name = f"{name}=True"
    if value and value.isupper():  # the name of a value, as in --run RUN
        return f"{use}{name}=…"
    return f"{use}{name}{f' {value}' if value else ''}"


def _is_value(name: str, value: str) -> bool:
    """Return whether a word behind an option is its value."""
    from keras_resnet.config.given_options import SETTINGS
    from keras_resnet.config.settings import iterate_settings
    from keras_resnet.config.task_rules import TASK_RULES
    from keras_resnet.export.confidence_settings import CalibrationSettings

    settings = {**SETTINGS, **{each.key: each for each in iterate_settings(CalibrationSettings)}}
    choices = {"task": tuple(TASK_RULES)} | {key: each.choices for key, each in settings.items()}
    is_source = name == "weights" and (":" in value or value == "none")
    return value in choices.get(name, ()) or is_source or not isinstance(_read_value(value), str)


def _stand_in(text: str) -> str:
    """Return a key or a value as Python writes it, and a name that stands for one, such as N, as it is."""
    return text if text == "…" or text.isupper() else repr(_read_value(text))


def _read_value(text: str) -> str | int | float | bool | list[object]:
    """Return what a value of the command line is in Python."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float, list)) else text


def from_python(function: Callable[P, T]) -> Callable[P, T]:
    """Let `function` run in a `session`."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with session():
            return function(*args, **kwargs)

    return call


@contextmanager
def session() -> Iterator[None]:
    """Show progress, log in Python's words and keep native libraries quiet while the block runs; a KresnetError says
    its sentence in Python's words too. Within a command, or within another session, do nothing."""
    if _is_surrounded.get():
        yield
        return
    token = _is_surrounded.set(True)
    try:
        # What follows is the whole process's, which threads would take from each other.
        with _surround() if is_main_thread() else nullcontext():
            yield
    except KresnetError as error:
        error.args = (in_python_words(str(error)),)
        raise
    finally:
        _is_surrounded.reset(token)


@contextmanager
def _surround() -> Iterator[None]:
    display = progress.set_display(NotebookDisplay().show if in_notebook() else show_bar)
    writer = progress.set_writer(_write)
    try:
        with silence_native_logs(), use_provenance(Provenance("as the run was trained")):
            yield
    finally:
        progress.set_writer(writer)
        progress.set_display(display)


@contextmanager
def within_command() -> Iterator[None]:
    """Leave messages as the command line has them while the block runs, which one of its commands is."""
    token = _is_surrounded.set(True)
    try:
        yield
    finally:
        _is_surrounded.reset(token)


def _write(message: str) -> None:
    """Write a line: in a notebook to its output, which standard error is not, and elsewhere to standard error."""
    progress.write_line(in_python_words(message), sys.stdout if in_notebook() else sys.stderr)
