"""Surround a call from Python with what a command has: quiet native libraries, progress, messages in its own words.

A message of the command line names options as they are typed there; `in_python_words` names them as keywords.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from keras_resnet import progress
from keras_resnet.api.notebook import NotebookDisplay, in_notebook
from keras_resnet.config.provenance import Provenance, use_provenance
from keras_resnet.errors import KresnetError
from keras_resnet.native_logs import silence_native_logs
from keras_resnet.progress_bar import show_bar

P = ParamSpec("P")
T = TypeVar("T")
# Whether the command line, or a call further out, has done what `session` does.
_is_surrounded: ContextVar[bool] = ContextVar("is_surrounded", default=False)
# A whole command stays one; of options alone, those that switch something off stand for False.
_TYPED = re.compile(
    r"kresnet train --resume (?P<run>\S+)|kresnet [a-z]+(?: [\w./-]+)*|--no-(?P<off>[a-z][a-z-]*)"
    r"|Use --(?P<name>[a-z][a-z-]*) (?P<value>[\w:]+)|--(?P<option>[a-z][a-z-]*)"
)


def in_python_words(message: str) -> str:
    """Return a message with the keywords of Python in place of options: `--image-size` is `image_size`."""
    return _TYPED.sub(_to_python, message)


def _to_python(match: re.Match[str]) -> str:
    words = {name: value.replace("-", "_") for name, value in match.groupdict().items() if value}
    if "run" in words:
        return f"keras_resnet.train(resume={match['run']!r})"
    if "off" in words:
        return f"{words['off']}=False"
    if "value" in words:
        return f"Use {words['name']}={match['value']!r}"
    return words.get("option", match[0])


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
        with _surround() if threading.current_thread() is threading.main_thread() else nullcontext():
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
