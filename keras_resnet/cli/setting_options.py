"""The options that set keys of the spec, made from its settings; what the given ones set."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from keras_resnet.cli.command import GroupedOption
from keras_resnet.cli.foreign_words import answer_option, answer_value
from keras_resnet.config.option_groups import COMMON
from keras_resnet.config.settings import Setting, iterate_settings
from keras_resnet.config.spec import Spec
from keras_resnet.errors import KresnetError, SettingError, UsageError

F = TypeVar("F", bound=Callable[..., Any])
# A command's options by parameter, as click passes them.
Options = Mapping[str, Any]

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any key of the spec (see kresnet schema).",
    cls=GroupedOption,
    group=COMMON,
)


def _parameter(flag: str) -> str:
    """Return the name under which click passes the option `flag`."""
    return flag.removeprefix("--").replace("-", "_")


SETTINGS: dict[str, Setting] = {
    _parameter(setting.option.flag): setting for setting in iterate_settings(Spec) if setting.option
}
# What may differ in a training that goes on from another run's weights.
_COMPRESSION = (
    "epochs",
    "batch_size",
    "learning_rate",
    "steps",
    "stop_after",
    "accumulate_steps",
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
    "deterministic",
    "seed",
    "histograms",
    "profile",
    "track",
)


class Names(click.types.StringParamType):
    """Text that is one of a few names. The spec checks it, whose sentence suggests the nearest; this completes it."""

    name = "name"

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin with `incomplete`."""
        return [CompletionItem(name) for name in self.names if name.startswith(incomplete)]


class Items(click.types.StringParamType):
    """Values with commas between, each of the type `kind`."""

    name = "list"

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the values of `value`, "128,160". Raises UsageError for one of another type."""
        try:
            return tuple(self.kind(part.strip()) for part in value.split(","))
        except ValueError:
            words = "whole numbers" if self.kind is int else "numbers"
            flag = param.opts[0] if param else "the list"
            raise UsageError(f"{flag} must be {words} with commas between. Received: {value!r}") from None


def add_train_options(command: F) -> F:
    """Add every option of a training to a click command."""
    for name in reversed(SETTINGS):
        command = _option(SETTINGS[name])(command)
    quick = "Use the recipe's quick form: a minute or two on the bundled digits."
    recipe = "Published settings: torchvision-v2, timm-a2, … (see kresnet recipes)."
    model = "Network by name: resnet50, plain34, vgg19, … (see kresnet models)."
    command = click.option("--quick", is_flag=True, default=None, help=quick, cls=GroupedOption, group=COMMON)(command)
    command = click.option("--recipe", metavar="NAME", help=recipe, cls=GroupedOption, group=COMMON)(
        set_option(command)
    )
    return click.option("--model", metavar="NAME", help=model, cls=GroupedOption, group=COMMON)(command)


def add_compress_options(command: F) -> F:
    """Add the options of a training that goes on from a run to a click command."""
    for name in reversed(_COMPRESSION):
        command = _option(SETTINGS[name])(command)
    return set_option(command)


def _option(setting: Setting) -> Callable[[F], F]:
    option = setting.option
    assert option is not None
    words = setting.help
    if setting.default_words:
        words = f"{words.removesuffix('.')} [default: {setting.default_words}]."
    if setting.kind is not bool:
        kind = Items(setting.kind) if setting.is_list else Names(setting.choices) if setting.choices else setting.kind
        return click.option(option.flag, type=kind, help=words, cls=GroupedOption, group=option.group)
    flag = f"{option.flag}/--no-{option.flag.removeprefix('--')}" if setting.is_optional else option.flag
    return click.option(flag, is_flag=True, default=None, help=words, cls=GroupedOption, group=option.group)


def select_given(options: Options) -> dict[str, Any]:
    """Return those of a command's options that were given."""
    return {name: value for name, value in options.items() if value is not None and value != ()}


def require_own_values(options: Options) -> None:
    """Raise UsageError for a value of an option that only other tools take, naming ours."""
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if answer := answer_value(flag, value):
            raise UsageError(f"{flag} {value} is what other tools take. {answer}.")
    flags = {setting.option.flag for setting in SETTINGS.values() if setting.option}
    for text in options.get("settings", ()):
        key = text.partition("=")[0]
        if key in Spec.__pydantic_fields__:
            continue
        if answer := answer_option(f"--{key.replace('_', '-')}", flags):
            raise UsageError(f"unknown key {key!r} in the spec. {answer}")


def read_settings(options: Options) -> dict[str, Any]:
    """Return what the given `options` set, by key of the spec; --set goes last."""
    values = {SETTINGS[name].key: _value(SETTINGS[name], value) for name, value in options.items() if name in SETTINGS}
    return values | dict(parse_assignment(text) for text in options.get("settings", ()))


def _value(setting: Setting, given: Any) -> Any:
    """Return what a given option sets: a flag stands for the opposite of its setting's default."""
    return not setting.default if setting.kind is bool and not setting.is_optional else given


def name_typed(options: Options) -> dict[str, str]:
    """Return by key of the spec the option that sets it, as it was typed; --set goes last."""
    typed = {}
    for name, value in options.items():
        if option := SETTINGS[name].option if name in SETTINGS else None:
            typed[SETTINGS[name].key] = option.flag if value is not False else option.flag.replace("--", "--no-")
    for text in options.get("settings", ()):
        key = parse_assignment(text)[0]
        typed[key] = f"--set {key}"
    return typed


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
    except SettingError as error:
        words, known = str(error), {each.key: each.option.flag for each in SETTINGS.values() if each.option}
        named = {key: flag for key, flag in known.items() if "." in key} | name_typed(options)
        for key, flag in named.items():
            if not flag.startswith("--set "):
                words = re.sub(rf"(?<![\w.'])\b{re.escape(key)}\b(?![\w.'])", flag, words)
        raise UsageError(words) from None
