"""Click's commands as kresnet uses them: options in groups, commands imported when used, help for wrong words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import click

from keras_resnet.cli.help import ExamplesFirst, describe_option, group_options
from keras_resnet.config.foreign_words import OPTIONS, answer_argument, answer_command, answer_option
from keras_resnet.config.option_groups import DESCRIBED, DESCRIBED_OPTIONS, OTHER
from keras_resnet.errors import did_you_mean, one_of_sentence
from keras_resnet.runtime.plurals import join_words
from keras_resnet.runtime.shares import suggest_share

# Commands of more options have --help-all. Where a context notes that it was asked for.
MANY_OPTIONS, _SHOWS_ALL = 30, "keras_resnet.shows_all_options"
# Commands that are named for an option of theirs.
MANY_OWNERS = 2


class AnsweredError(click.UsageError):
    """A usage error whose message says what to type instead."""


class GroupedOption(click.Option):
    """An option with a section of its command's help: `click.option(…, cls=GroupedOption, group="Data")`.

    allowed: its values, in words; "" for what its type says. is_share: whether it takes a number from 0 to 1.
    """

    def __init__(
        self, *arguments: Any, group: str = OTHER, allowed: str = "", is_share: bool = False, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.group = group
        self.allowed = allowed
        self.is_share = is_share or (
            isinstance(self.type, click.FloatRange) and (self.type.min, self.type.max) == (0, 1)
        )


def _show_all_options(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_SHOWS_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


_HELP_ALL = click.Option(
    ["--help-all"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_all_options,
    help="Show this message with all options and exit.",
)


class Command(ExamplesFirst):
    """A command whose help has sections of options, and which answers options of other tools. Of many options --help
    describes the common ones and names the others, which --help-all describes too."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters; of many options --help-all is one."""
        params = super().get_params(ctx)
        if len(params) > MANY_OPTIONS:
            params.append(_HELP_ALL)
        return params

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section for each group; a single group is called Options."""
        groups = group_options(self, ctx)
        is_short = _HELP_ALL in self.get_params(ctx) and not ctx.meta.get(_SHOWS_ALL)
        more: dict[str, list[str]] = {}
        for title, options in groups.items():
            shown = [each for each in options if not is_short or _is_described(title, each)]
            if shown:
                with formatter.section(title if len(groups) > 1 else "Options"):
                    formatter.write_dl([describe_option(option, ctx) for option in shown])
            if named := [each.opts[0] for each in options if each not in shown]:
                more[title] = named
        if more:
            with formatter.section(f"More options, described by {ctx.command_path} --help-all"):
                formatter.write_dl([(title, ", ".join(names)) for title, names in more.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does; an unknown option or argument that another tool has is answered by ours."""
        typed = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            known = self._known_options(ctx)
            for answer in self._answer_options(ctx, error.option_name, known):
                raise AnsweredError(f"No such option {error.option_name!r}. {answer}", ctx) from None
            ours = _find_nearest(error.option_name, known)
            raise click.NoSuchOption(error.option_name, possibilities=ours, ctx=ctx) from None
        except click.MissingParameter as error:
            if error.param:
                raise AnsweredError(_describe_missing(ctx, error.param), ctx) from None
            raise
        except click.BadParameter as error:
            if error.param:
                self._explain_value(ctx, typed, error.param)
            raise
        except click.BadOptionUsage as error:
            raise AnsweredError(self._explain_use(ctx, error.option_name), ctx) from None
        except click.UsageError as error:
            if error.message.startswith("Got unexpected extra argument"):
                self._answer_extra(ctx, typed, error.message)
            raise

    def _answer_options(self, ctx: click.Context, name: str, known: set[str]) -> Iterator[str]:
        """Yield what to say of the unknown option `name`, the best first: by what it means elsewhere, by the commands
        that take it, by what one like it means."""
        if answer := answer_option(name, known, ctx.info_name or ""):
            yield answer
        if owners := _find_owners(ctx, name):
            yield f"It is an option of {join_words(owners)}."
        for near in _find_nearest(name, [*known, *OPTIONS]):
            if near not in known and (answer := answer_option(near, known, ctx.info_name or "")):
                yield answer

    def _explain_value(self, ctx: click.Context, args: list[str], param: click.Parameter) -> None:
        """Raise AnsweredError for a value that is no number, or none of the choices, that `param` takes."""
        given = self.make_parser(ctx).parse_args(list(args))[0].get(param.name or "")
        values = given if isinstance(given, (list, tuple)) else [given]
        value = str(next(each for each in values if not _is_converted(param, each, ctx)))
        name = param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
        if isinstance(param.type, click.Choice):
            raise AnsweredError(one_of_sentence(name, value, list(param.type.choices)), ctx) from None
        if allowed := describe_allowed(param):
            shown = value if _is_number(value) else repr(value)
            hint = suggest_share(value) if getattr(param, "is_share", False) else ""
            raise AnsweredError(f"{name} must be {allowed}. Received: {shown}{hint}", ctx) from None

    def _explain_use(self, ctx: click.Context, name: str) -> str:
        """Return what to say of an option that stands without its value, or of a flag with one."""
        param = next(each for each in self.get_params(ctx) if name in _names(each))
        if isinstance(param, click.Option) and param.is_flag:
            return f"{name} takes no value"
        if allowed := describe_allowed(param):
            return f"{name} needs a value: {allowed}"
        what = (getattr(param, "help", "") or "").partition(" [default:")[0].rstrip(".")
        return f"{name} needs a value, {param.make_metavar(ctx)}" + (what and f". Its help: {what}.")

    def _known_options(self, ctx: click.Context) -> set[str]:
        return {name for each in self.get_params(ctx) if isinstance(each, click.Option) for name in each.opts}

    def _answer_extra(self, ctx: click.Context, args: list[str], message: str) -> None:
        """Raise AnsweredError where it is known what an argument too many, of which click's `message` is, means."""
        known, extra = self._known_options(ctx), message.partition("(")[2].rstrip(")").split(" ")
        for text in args:
            if text in extra and (answer := answer_argument(text, known)):
                raise AnsweredError(f"{message}. {answer}", ctx)
        flags = {name for each in self.get_params(ctx) if getattr(each, "is_flag", False) for name in _names(each)}
        for before, text in pairwise(args):
            if before in flags and text in extra:
                raise AnsweredError(f"{before} takes no value. Received: {text!r}", ctx)
        folder = next((text for text in extra if Path(text).is_dir()), None)
        if folder and "--data" in known:
            raise AnsweredError(f"{message}. Images are named by an option: --data {folder}.", ctx)


def _is_described(group: str, option: click.Option) -> bool:
    """Return whether the short help of a command of many options describes an option of this group."""
    return group in DESCRIBED or option.opts[0] in DESCRIBED_OPTIONS


def _find_nearest(option: str, names: Iterable[str]) -> list[str]:
    """Return the one of `names` that is most like an `option`, if any is: without the dashes, by which all are."""
    by_word = {name.lstrip("-"): name for name in names}
    return [by_word[word] for word in get_close_matches(option.lstrip("-"), by_word, n=1)]


def _find_owners(ctx: click.Context, option: str) -> list[str]:
    """Return the other commands that take an `option`, as they are typed; [] where many do, which says little."""
    if ctx.parent is None or not isinstance(group := ctx.parent.command, click.Group):
        return []
    commands = {name: group.get_command(ctx.parent, name) for name in group.list_commands(ctx.parent)}
    owners = [name for name, each in commands.items() if each and any(option in param.opts for param in each.params)]
    return [f"{ctx.parent.command_path} {name}" for name in owners] if len(owners) <= MANY_OWNERS else []


def _describe_missing(ctx: click.Context, param: click.Parameter) -> str:
    """Return what to say where an argument or an option that a command needs is not given."""
    allowed = describe_allowed(param)
    if isinstance(param, click.Option):
        needed = f"{param.opts[0]}, {allowed}" if allowed else param.opts[0]
    else:
        needed = allowed or param.make_metavar(ctx)
    return f"{ctx.info_name} needs {needed}. See: {ctx.command_path} --help"


def _names(param: click.Parameter) -> tuple[str, ...]:
    """Return all names of an option, those that switch it off too."""
    return (*param.opts, *param.secondary_opts)


def describe_allowed(param: click.Parameter) -> str:
    """Return the values of an option or argument in words; "" for text."""
    if isinstance(param.type, click.Choice):
        return f"one of {', '.join(param.type.choices)}"
    return getattr(param, "allowed", "") or _describe_numbers(param.type)


def _describe_numbers(kind: click.ParamType[Any]) -> str:
    """Return in words which numbers a type takes, as the spec's settings say it; "" for a type of something else."""
    if not isinstance(kind, (click.types.IntParamType, click.types.FloatParamType)):
        return ""
    words = "a whole number" if isinstance(kind, click.types.IntParamType) else "a number"
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is None and high is None:
        return words
    return f"{words}, {f'{low} or more' if high is None else f'at most {high}' if low is None else f'{low} to {high}'}"


def _is_converted(param: click.Parameter, value: Any, ctx: click.Context) -> bool:
    try:
        param.type.convert(value, param, ctx)
    except click.BadParameter:
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class Group(ExamplesFirst, click.Group):
    """A group that suggests the nearest command."""

    command_class = Command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command of `args`; "help", alone or before a command, prints the help. Raises click's UsageError,
        with a suggestion, where there is none."""
        known = self.list_commands(ctx)
        if ctx.resilient_parsing:  # a shell completes what has been typed so far
            return super().resolve_command(ctx, args)
        if args[:1] == ["help"]:
            args = self._ask_for_help(ctx, args[1:])
        if args and args[0] not in known and not args[0].startswith("-"):
            if hint := answer_command(args[0], known, args[1:]) or did_you_mean(args[0], known).lstrip():
                raise AnsweredError(f"No such command {args[0]!r}. {hint}", ctx)
            ctx.fail(f"No such command {args[0]!r}.")
        return super().resolve_command(ctx, args)

    def _ask_for_help(self, ctx: click.Context, rest: list[str]) -> list[str]:
        """Return what asks for the help of the command of which `rest` has the words; of none, print the group's own
        and end."""
        names = [each for each in rest if not each.startswith("-") and each != "help"]
        if names:
            return [*names, *(each for each in rest if each.startswith("-")), "--help"]
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


class LazyCommand(NamedTuple):
    """A command that is imported when it is used. place: "module:attribute". help: its line in the group's help.
    section: of the help, in which it stands."""

    place: str
    help: str
    section: str


class LazyGroup(Group):
    """A group that shows its commands without importing them."""

    def __init__(self, *arguments: Any, lazy: Mapping[str, LazyCommand], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the table."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command called `cmd_name`; None if there is none."""
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name].place.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their lines, by section."""
        for section in dict.fromkeys(each.section for each in self.lazy.values()):
            rows = [
                (name.ljust(max(map(len, self.lazy))), each.help)
                for name, each in self.lazy.items()
                if each.section == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)


def format_examples(*commands: str) -> str:
    """Return the end of a command's help: `commands` as typed, a line each."""
    return "\n".join(("\b", "Examples:" if len(commands) > 1 else "Example:", *(f"  {each}" for each in commands)))


def list_all(group: click.Command, context: click.Context) -> Iterable[tuple[str, click.Command]]:
    """Yield (name, command) of the commands of `group`, in order; nothing for a command that is no group."""
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield name, command
