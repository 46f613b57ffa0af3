"""Keywords of the functions for Python: which there are, what their values become, and what is said of unknown ones."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from keras_resnet.config.foreign_words import answer_option
from keras_resnet.config.given_options import SETTINGS
from keras_resnet.config.settings import iterate_settings
from keras_resnet.errors import UsageError, did_you_mean
from keras_resnet.export.settings import ExportSettings

# By keyword.
_DECLARED = {each.key: each for each in iterate_settings(ExportSettings)} | SETTINGS
# Options of the command that are something else in Python.
ELSEWHERE = {
    "find_lr": "Use keras_resnet.find_learning_rate.",
    "find_batch_size": "Use the command: kresnet train --find-batch-size.",
    "json": "What is returned has all that --json prints.",
    "settings": "Use set.",
}


def require_known(function: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raise UsageError for the first keyword of `given` that is not `known`, with what it is called here."""
    for name in given:
        if name not in known:
            answer = ELSEWHERE.get(name) or _answer(name, known) or did_you_mean(name, known).strip()
            raise UsageError(f"{function} takes no keyword {name!r}.{answer and ' '}{answer}")


def _answer(name: str, known: Collection[str]) -> str:
    """Return what to say of a word of another tool; "" where nothing fits."""
    flags = {f"--{each.replace('_', '-')}" for each in known}
    typed = (f"--{name.replace('_', '-')}", f"-{name}")
    return next(filter(None, (answer_option(each, flags) for each in typed)), "")


def to_text(name: str, value: object) -> str:
    """Return a name or a path as text. Raises UsageError for anything else."""
    if not isinstance(value, (str, os.PathLike)):
        raise UsageError(f"{name} must be text or a path. Received: {value!r}")
    return os.fspath(value)


def to_options(given: Mapping[str, object]) -> dict[str, Any]:
    """Return the `given` keywords as options of a command: paths as text, lists as tuples, numbers of NumPy as
    Python's, "stem,stage1" for a list of words as its parts."""
    options = {name: _plain(value) for name, value in given.items() if name != "set"}
    for name, value in options.items():
        if name in _DECLARED and _DECLARED[name].kind is bool and not isinstance(value, bool | None):
            raise UsageError(f"{name} must be True or False. Received: {value!r}")
        if name in _DECLARED and _DECLARED[name].is_list and value is not None and not isinstance(value, tuple):
            options[name] = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else (value,)
    if given.get("set"):
        options["settings"] = _to_assignments(given["set"])
    return options


def _to_assignments(given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise UsageError(f"set must be a dictionary, as {{'optimizer.momentum': 0.8}}. Received: {given!r}")
    return {str(key): _plain(value) for key, value in given.items()}


def _plain(value: Any) -> Any:
    """Return a value as a spec takes it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)
