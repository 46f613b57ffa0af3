"""Click's commands as kresnet uses them: options in groups, commands imported when used, help for wrong words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click

from keras_resnet.config.foreign_words import OPTIONS, answer_argument, answer_command, answer_option
from keras_resnet.config.option_groups import COMMON, FIRST, GROUPS, OTHER
from keras_resnet.errors import did_you_mean, one_of_sentence

# What click adds of its own to the help of an option: "  [default: 3; x>=0]".
# Commands of more options have --help-all. Where a context notes that it was asked for.
MANY_OPTIONS, _SHOWS_ALL = 30, "keras_resnet.shows_all_options"
# Stands for a hyphen while help is folded, which click does at hyphens too; no text has it (it is for private use).
_HYPHEN = "\ue000"
_ADDED = re.compile(r"\.?  \[(?P<added>[^\]]*)\]$")


class AnsweredError(click.UsageError):
    """A usage error whose message says what to type instead."""


class GroupedOption(click.Option):
    """An option with a section of its command's help: `click.option(…, cls=GroupedOption, group="Data")`.

    allowed: its values, in words; "" for what its type says.
    """

    def __init__(self, *arguments: Any, group: str = OTHER, allowed: str = "", **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.group = group
        self.allowed = allowed


class HelpFormatter(click.HelpFormatter):
    """Folds help between words only: an option such as --max-drop stays in one piece, as it is typed and searched."""

    def write(self, string: str) -> None:
        """Write folded text with its hyphens."""
        super().write(string.replace(_HYPHEN, "-"))

    def write_text(self, text: str) -> None:
        """Write text, folded."""
        super().write_text(text.replace("-", _HYPHEN))

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write terms and what they mean, which is folded."""
        super().write_dl([(term, words.replace("-", _HYPHEN)) for term, words in rows], col_max, col_spacing)


class Context(click.Context):
    """A context that writes help by `HelpFormatter`."""

    formatter_class = HelpFormatter


class ExamplesFirst(click.Command):
    """A command whose help begins with its examples, which are what most people look for."""

    context_class = Context

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write usage, purpose, examples, options, and what else the epilog says."""
        notes, mark, examples = (self.epilog or "").partition("\b\n")
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        _write_text(formatter, mark + examples)
        self.format_options(ctx, formatter)
        _write_text(formatter, notes)


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


def _write_text(formatter: click.HelpFormatter, text: str) -> None:
    """Write paragraphs of a help, if there are any."""
    if text:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text.strip("\n"))


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
        more = {title: options for title, options in groups.items() if is_short and title not in (COMMON, OTHER)}
        for title, options in groups.items():
            if title not in more:
                with formatter.section(title if len(groups) > 1 else "Options"):
                    formatter.write_dl([describe_option(option, ctx) for option in options])
        if more:
            with formatter.section(f"More options, described by {ctx.command_path} --help-all"):
                formatter.write_dl([(title, ", ".join(each.opts[0] for each in more[title])) for title in more])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does; an unknown option or argument that another tool has is answered by ours."""
        typed = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            known = self._known_options(ctx)
            nearest = get_close_matches(error.option_name, [*known, *OPTIONS], n=1)
            for name in (error.option_name, *nearest):
                if name not in known and (answer := answer_option(name, known)):
                    raise AnsweredError(f"No such option {error.option_name!r}. {answer}", ctx) from None
            ours = get_close_matches(error.option_name, known, n=1)
            raise click.NoSuchOption(error.option_name, possibilities=ours, ctx=ctx) from None
        except click.BadParameter as error:
            if error.param and not isinstance(error, click.MissingParameter):
                self._explain_value(ctx, typed, error.param)
            raise
        except click.BadOptionUsage as error:
            raise AnsweredError(self._explain_use(ctx, error.option_name), ctx) from None
        except click.UsageError as error:
            if error.message.startswith("Got unexpected extra argument"):
                self._answer_extra(ctx, typed, error.message)
            raise

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
            raise AnsweredError(f"{name} must be {allowed}. Received: {shown}", ctx) from None

    def _explain_use(self, ctx: click.Context, name: str) -> str:
        """Return what to say of an option that stands without its value, or of a flag with one."""
        param = next(each for each in self.get_params(ctx) if name in (*each.opts, *each.secondary_opts))
        if isinstance(param, click.Option) and param.is_flag:
            return f"{name} takes no value"
        allowed = describe_allowed(param)
        return f"{name} needs a value{allowed and ': '}{allowed}"

    def _known_options(self, ctx: click.Context) -> set[str]:
        return {name for option in self.get_params(ctx) for name in option.opts}

    def _answer_extra(self, ctx: click.Context, args: list[str], message: str) -> None:
        """Raise AnsweredError where it is known what an argument too many, of which click's `message` is, means."""
        known, extra = self._known_options(ctx), message.partition("(")[2].rstrip(")").split(" ")
        for text in args:
            if text in extra and (answer := answer_argument(text, known)):
                raise AnsweredError(f"{message}. {answer}", ctx)
        folder = next((text for text in extra if Path(text).is_dir()), None)
        if folder and "--data" in known:
            raise AnsweredError(f"{message}. Images are named by an option: --data {folder}.", ctx)


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


def describe_option(option: click.Option, context: click.Context) -> tuple[str, str]:
    """Return the names of an option that is not hidden, with what stands for its value, and its sentence.

    N stands for a whole number and X for another. The default is in the sentence; ranges are left to the errors.
    """
    names, sentence = option.get_help_record(context) or ("", "")
    names = re.sub(r"\bINTEGER( RANGE)?$", "N", re.sub(r"\bFLOAT( RANGE)?$", "X", names))
    if not (match := _ADDED.search(sentence)):
        return names, sentence
    parts = [part.removesuffix(".0") for part in match["added"].split("; ") if not re.search(r"x[<>]|[<>]=?x", part)]
    added = f" [{'; '.join(parts)}]" if parts else ""
    return names, f"{sentence[: match.start()]}{added}."


def group_options(command: click.Command, context: click.Context) -> dict[str, list[click.Option]]:
    """Return the options of `command` by group: the groups in order, the most common options first."""
    options = [each for each in command.get_params(context) if isinstance(each, click.Option) and not each.hidden]
    options.sort(key=lambda each: FIRST.index(each.opts[0]) if each.opts[0] in FIRST else len(FIRST))
    groups = {group: [each for each in options if getattr(each, "group", OTHER) == group] for group in GROUPS}
    return {group: members for group, members in groups.items() if members}


class Group(ExamplesFirst, click.Group):
    """A group that suggests the nearest command."""

    command_class = Command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command of `args`. Raises click's UsageError, with a suggestion, where there is none."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            if hint := answer_command(args[0], known) or did_you_mean(args[0], known).lstrip():
                raise AnsweredError(f"No such command {args[0]!r}. {hint}", ctx)
            ctx.fail(f"No such command {args[0]!r}.")
        return super().resolve_command(ctx, args)


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
