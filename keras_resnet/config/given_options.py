"""Read the options given to a command, or to a function such as `keras_resnet.train`: what they set in the spec."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from keras_resnet.config.foreign_words import answer_option, answer_value, find_option
from keras_resnet.config.settings import Setting, iterate_settings
from keras_resnet.config.spec import Spec
from keras_resnet.errors import KresnetError, SettingError, UnknownKeyError, UsageError

# What was given, by the option's name with underscores; "settings" are those of --set.
Options = Mapping[str, Any]


def _parameter(flag: str) -> str:
    """Return the name under which click passes the option `flag`."""
    return flag.removeprefix("--").replace("-", "_")


SETTINGS: dict[str, Setting] = {
    _parameter(setting.option.flag): setting for setting in iterate_settings(Spec) if setting.option
}


def _continue_from_run(setting: Setting, default: str) -> Setting:
    """Return a setting as the help of a training that goes on from a run describes it: with another default."""
    assert setting.option is not None
    return replace(setting, option=replace(setting.option, default=default)) if setting.default_words else setting


# What may differ in a training that goes on from another run's weights, and where its defaults differ from that run
# (see `compression.plan`).
_OWN_DEFAULTS = {
    "epochs": "half of those of the run; a fifth for shared weights and 8 bits",
    "learning_rate": "0.3 of that of the run; 0.1 for 8 bits, 0.03 for shared weights",
    "checkpoint_every": "chosen from the data",
}
COMPRESS_SETTINGS = {
    name: _continue_from_run(SETTINGS[name], _OWN_DEFAULTS.get(name, "as in the run"))
    for name in (
        "epochs",
        "batch_size",
        "learning_rate",
        "steps",
        "stop_after",
        "accumulate_steps",
        "recompute",
        "ema",
        "patience",
        "freeze_bn",
        "teacher",
        "checkpoint_every",
        "optimizer",
        "weight_decay",
        "clip_grad_norm",
        "precision",
        "devices",
        "jit_compile",
        "deterministic",
        "seed",
        "histograms",
        "profile",
        "track",
    )
}


def select_given(options: Options) -> dict[str, Any]:
    """Return those of the options that were given: neither None nor (), and no flag that is False."""
    return {name: value for name, value in options.items() if not _is_left_out(name, value)}


def _is_left_out(name: str, value: object) -> bool:
    can_be_false = name in SETTINGS and SETTINGS[name].is_optional
    return value is None or value == () or (value is False and not can_be_false)


def require_own_values(options: Options) -> None:
    """Raise UsageError for a value of an option that only other tools take, naming ours."""
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if answer := answer_value(flag, value):
            raise UsageError(f"there is no {flag} {value}. {answer}.")
    flags = {setting.option.flag for setting in SETTINGS.values() if setting.option}
    for key in _assignments(options):
        if key in Spec.__pydantic_fields__:
            continue
        if answer := answer_option(f"--{key.replace('_', '-')}", flags):
            raise UsageError(f"unknown key {key!r} in the spec. {answer}")
        if "." in key:
            _require_own_key(key)


def _require_own_key(key: str) -> None:
    """Raise UsageError for a dotted `key` that ends in another tool's word, such as "optimizer.lr", naming ours."""
    own = {each.option.flag: each.key for each in SETTINGS.values() if each.option}
    is_known = any(f"{each.key}.".startswith(f"{key}.") for each in iterate_settings(Spec))
    flag = "" if is_known else find_option(f"--{key.rpartition('.')[2].replace('_', '-')}", own)
    if flag:
        raise UsageError(f"unknown key {key!r} in the spec. Did you mean {own[flag]!r} (or {flag})?")


def read_settings(options: Options) -> dict[str, Any]:
    """Return what the given `options` set, by key of the spec; --set goes last."""
    values = {SETTINGS[name].key: _value(SETTINGS[name], value) for name, value in options.items() if name in SETTINGS}
    return values | _assignments(options)


def _value(setting: Setting, given: Any) -> Any:
    """Return what a given option sets: a flag stands for the opposite of its setting's default."""
    return not setting.default if setting.kind is bool and not setting.is_optional else given


def name_typed(options: Options) -> dict[str, str]:
    """Return by key of the spec the option that sets it, as it was typed; --set goes last."""
    typed = {}
    for name, value in options.items():
        if option := SETTINGS[name].option if name in SETTINGS else None:
            typed[SETTINGS[name].key] = option.flag if value is not False else option.flag.replace("--", "--no-")
    return typed | {key: f"--set {key}" for key in _assignments(options)}


def _assignments(options: Options) -> dict[str, Any]:
    """Return what --set sets: texts of the command line, KEY=VALUE, or a mapping from Python."""
    given = options.get("settings", ())
    return dict(given) if isinstance(given, Mapping) else dict(map(parse_assignment, given))


def parse_assignment(text: str) -> tuple[str, Any]:
    """Return ("optimizer.momentum", 0.8) for "optimizer.momentum=0.8"; what is not JSON is taken as text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set must be KEY=VALUE, as in optimizer.momentum=0.8. Received: {text}")
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value
    return key, tuple(parsed) if isinstance(parsed, list) else parsed


@contextmanager
def name_option(options: Options, name: str) -> Iterator[None]:
    """Let errors about what the option `name` leads to, a run, a file or a network, begin with it, where it is given
    and they do not name it."""
    flag = f"--{name}"
    try:
        yield
    except KresnetError as error:
        if name not in options or flag in str(error):
            raise
        raise type(error)(f"{flag}: {error}") from None


@contextmanager
def name_options(options: Options) -> Iterator[None]:
    """Let errors about the spec name options instead of the keys that those set, but for keys given by --set."""
    try:
        yield
    except UnknownKeyError as error:
        raise UsageError(str(error)) from None
    except SettingError as error:
        words, known = str(error), {each.key: each.option.flag for each in SETTINGS.values() if each.option}
        named = {key: flag for key, flag in known.items() if "." in key} | name_typed(options)
        for key, flag in named.items():
            if not flag.startswith("--set "):
                words = re.sub(rf"(?<![\w.'-])\b{re.escape(key)}\b(?![\w.'])", flag, words)
        raise UsageError(words) from None
