"""The options that set keys of the spec, made from its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from keras_resnet.cli import console
from keras_resnet.cli.command import GroupedOption
from keras_resnet.config.given_options import COMPRESS_SETTINGS, SETTINGS
from keras_resnet.config.option_groups import COMMON
from keras_resnet.config.settings import Setting, iterate_settings
from keras_resnet.errors import UsageError
from keras_resnet.runtime.plurals import counted

F = TypeVar("F", bound=Callable[..., Any])
# An option is shown with its choices in place of NAME if it stays as short as this: descriptions need the room.
MOST_LETTERS = 28
# Fewer percentage points than these may be meant as a share: 0.01 for one point.
LEAST_POINTS = 0.1
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set any setting by its key; repeatable. kresnet schema lists the keys.",
    cls=GroupedOption,
    group=COMMON,
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


class Points(click.types.FloatParamType):
    """Percentage points: a number, also with a percent sign. How they are taken is logged of that, and of a number so
    small that it may be meant as a share."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the points of `value`, "1" or "1%"."""
        text = str(value)
        number: Any = text.removesuffix("%")
        points = super().convert(number, param, ctx)
        flag = param.opts[0] if param else "points"
        if text.endswith("%"):
            console.log(f"{flag} {text}: taken as {counted(points, 'point', 'g')}")
        elif 0 < points < LEAST_POINTS:
            share = f"{counted(100 * points, 'percentage point', '.10g')} would be {flag} {100 * points:.10g}"
            console.log(f"{flag} {text}: taken as {points:g} percentage points; {share}")
        return points


def add_train_options(command: F) -> F:
    """Add every option of a training to a click command."""
    for name in reversed(SETTINGS):
        command = _option(SETTINGS[name])(command)
    quick = "Use the short form of the recipe: minutes on the digits."
    recipe = "Train with published settings: torchvision-v2, timm-a2, … (kresnet recipes lists them)."
    model = "Network by its name, in place of --depth: resnet50, plain34, vgg19, … (kresnet models lists them)."
    command = click.option("--quick", is_flag=True, default=None, help=quick, cls=GroupedOption, group=COMMON)(command)
    command = click.option("--recipe", metavar="NAME", help=recipe, cls=GroupedOption, group=COMMON)(
        set_option(command)
    )
    return click.option("--model", metavar="NAME", help=model, cls=GroupedOption, group=COMMON)(command)


def add_compress_options(command: F) -> F:
    """Add the options of a training that goes on from a run to a click command."""
    for name in reversed(COMPRESS_SETTINGS):
        command = _option(COMPRESS_SETTINGS[name])(command)
    return set_option(command)


def add_setting_options(settings: type, *names: str, repeats: bool = True) -> Callable[[F], F]:
    """Add the options of a section of settings, or of those called `names`, to a click command; of a list each value
    is an option of its own, unless it `repeats` none: then values have commas between."""

    def add(command: F) -> F:
        declared = {each.key: each for each in iterate_settings(settings) if each.option}
        for name in reversed(names or tuple(declared)):
            command = _option(declared[name], is_repeated=repeats and declared[name].is_list)(command)
        return command

    return add


def _list_choices(setting: Setting) -> str | None:
    """Return the names that a setting takes as the help shows them: "cpu|gpu|npu"; None where they are too many, and
    the sentence about the option names them."""
    assert setting.option is not None
    names = "|".join(setting.choices)
    is_short = len(f"{setting.option.flag} {names}") <= MOST_LETTERS
    return names if names and is_short and not setting.is_list else None


def _option(setting: Setting, is_repeated: bool = False) -> Callable[[F], F]:
    option = setting.option
    assert option is not None
    words = setting.help
    if setting.default_words:
        words = f"{words.removesuffix('.')} [default: {setting.default_words}]."
    if setting.kind is not bool:
        is_of_points = setting.kind is float and setting.bounds.endswith("points")
        is_text = setting.kind is str and not setting.choices
        kind = Names(setting.choices) if setting.choices else Points() if is_of_points else setting.kind
        return click.option(
            option.flag,
            type=Items(setting.kind) if setting.is_list and not is_repeated else kind,
            multiple=is_repeated,
            metavar=option.metavar or _list_choices(setting),
            help=words,
            cls=GroupedOption,
            group=option.group,
            allowed=", ".join(filter(None, ("" if is_text else setting.type_words, setting.bounds))),
            is_share=setting.is_share,
        )
    flag = f"{option.flag}/--no-{option.flag.removeprefix('--')}" if setting.is_optional else option.flag
    return click.option(flag, is_flag=True, default=None, help=words, cls=GroupedOption, group=option.group)
