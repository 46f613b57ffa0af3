"""Keywords of the functions for Python: which there are, what their values become, and what is said of unknown ones."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import wraps
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

from keras_resnet.config.foreign_words import answer_option, find_export_name
from keras_resnet.config.given_options import SETTINGS
from keras_resnet.config.settings import iterate_settings
from keras_resnet.errors import UsageError, describe_received, find_nearest
from keras_resnet.export.formats import FORMATS
from keras_resnet.export.settings import ExportSettings
from keras_resnet.export.tflite_options import ALL, SCHEME_ALIASES, SCHEMES

P = ParamSpec("P")
T = TypeVar("T")
# By keyword.
_DECLARED = {each.key: each for each in iterate_settings(ExportSettings)} | SETTINGS
# Keywords beside the settings that are True or False.
_FLAGS = ("quick", "data_changed")
_PATH = ", as a str or a path"
A_RUN = f"the name or the folder of a run{_PATH}"
# What a keyword is whose value is text: what stands for it, and by which types.
TEXTS = {
    "data": f"a folder, a file or the name of a dataset{_PATH}",
    "data_dir": f"a folder{_PATH}",
    "runs": f"the folder where runs live{_PATH}",
    "run": f"what open_run returns, or {A_RUN}",
    "resume": A_RUN,
    "deepen": A_RUN,
    "teacher": A_RUN,
    "weights": f"a file, the name or the folder of a run, or a source such as 'torchvision:resnet18'{_PATH}",
    "save": f"where to write the page{_PATH}",
    "task": "the name of a task, as a str",
    "calibration_data": f"a folder of images{_PATH}",
    "unknown": f"a folder of images{_PATH}",
    "name": "the name of a run, as a str",
    "model": "the name of a network, as a str",
    "recipe": "the name of a recipe, as a str",
}
# Options of the command that are something else in Python.
ELSEWHERE = {
    "find_lr": "Use keras_resnet.find_learning_rate.",
    "find_batch_size": "Use the command: kresnet train --find-batch-size.",
    "dry_run": "Use the command: kresnet search --dry-run.",
    "json": "What is returned has all that --json prints.",
    "settings": "Use set.",
    **dict.fromkeys(
        ("quantize", "quantization", "quantisation", "quant", "precision", "dtype", "data_type", "scheme", "schemes"),
        'Files are named without a keyword: run.export("int8").',
    ),
    **dict.fromkeys(("format", "formats"), 'Files are named without a keyword: run.export("onnx").'),
    "strict": "keras_resnet.check returns all findings: look whether there are any.",
}


def require_known(function: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raise UsageError for the first keyword of `given` that is not `known`, with what it is called here."""
    for name in given:
        if name not in known:
            answers = (ELSEWHERE.get(name), _answer_export(function, name), _answer(name, known))
            answer = next(filter(None, answers), "") or _suggest(name, known)
            raise UsageError(f"{function} takes no keyword {name!r}.{answer and ' '}{answer}")


def _suggest(name: str, known: Collection[str]) -> str:
    """Return which of the `known` keywords a mistyped `name` is most like, or what to write for the option of a command
    that it is more like; "" where it is like none."""
    near = find_nearest(name, (*known, *ELSEWHERE))
    return "" if near is None else ELSEWHERE.get(near, f"Did you mean {near!r}?")


def _answer_export(function: str, name: str) -> str:
    """Return how a file is asked for whose scheme or format is given as a keyword of `export`; "" for another one."""
    written = (*SCHEMES, *SCHEME_ALIASES, ALL, *FORMATS)
    meant = next((each for each in (name.replace("_", "-"), find_export_name(name)) if each in written), "")
    return f"Files are named without a keyword: run.export({meant!r})." if function == "export" and meant else ""


def refuse_unknown(function: Callable[P, T]) -> Callable[P, T]:
    """Let `function` refuse keywords that it has not by `require_known`."""
    known = tuple(inspect.signature(function).parameters)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        require_known(function.__name__, kwargs, known)
        return function(*args, **kwargs)

    return call


def _answer(name: str, known: Collection[str]) -> str:
    """Return what to say of a word of another tool; "" where nothing fits."""
    flags = {f"--{each.replace('_', '-')}" for each in known}
    typed = (f"--{name.replace('_', '-')}", f"-{name}")
    return next(filter(None, (answer_option(each, flags) for each in typed)), "")


def to_text(name: str, value: object, allowed: str | None = None) -> str:
    """Return a name or a path as text. Raises UsageError, which says what is `allowed`, for anything else."""
    if not isinstance(value, (str, os.PathLike)) or not isinstance(text := os.fspath(value), str):
        raise UsageError(f"{name} must be {allowed or TEXTS[name]}. Received: {describe_received(value)}")
    return text


def to_options(given: Mapping[str, object]) -> dict[str, Any]:
    """Return the `given` keywords as options of a command: paths as text, lists as tuples, numbers of NumPy as
    Python's, "stem,stage1" for a list of words as its parts."""
    for name, value in given.items():
        if name in TEXTS and value is not None:
            to_text(name, value)
    options = {name: _plain(value) for name, value in given.items() if name != "set"}
    for name, value in options.items():
        is_flag = name in _FLAGS or (name in _DECLARED and _DECLARED[name].kind is bool)
        if is_flag and not isinstance(value, bool | None):
            raise UsageError(f"{name} must be True or False. Received: {describe_received(value)}")
        if name in _DECLARED and _DECLARED[name].is_list and value is not None and not isinstance(value, tuple):
            options[name] = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else (value,)
    if given.get("set"):
        options["settings"] = _to_assignments(given["set"])
    return options


def to_list(value: object) -> tuple[Any, ...]:
    """Return what a keyword that takes several values was given: one of them, text with commas between, or a tuple."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return value if isinstance(value, tuple) else (value,)


def _to_assignments(given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise UsageError(
            f"set must be a dictionary, as {{'optimizer.momentum': 0.8}}. Received: {describe_received(given)}"
        )
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
