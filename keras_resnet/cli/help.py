"""How the help of a command is written: examples first, options in groups, nothing folded at a hyphen."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from keras_resnet.config.option_groups import FIRST, GROUPS, OTHER

# What click adds of its own to the help of an option: "  [default: 3; x>=0]".
_ADDED = re.compile(r"\.?  \[(?P<added>[^\]]*)\]$")
# Stands for a hyphen while help is folded, which click does at hyphens too; no text has it (it is for private use).
_HYPHEN = "\ue000"


class HelpFormatter(click.HelpFormatter):
    """Folds help between words only: an option such as --max-drop stays in one piece, as it is typed and searched."""

    def write(self, string: str) -> None:
        """Write folded text with its hyphens."""
        super().write(string.replace(_HYPHEN, "-"))

    def write_text(self, text: str) -> None:
        """Write text, folded."""
        super().write_text(text.replace("-", _HYPHEN))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
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


def _write_text(formatter: click.HelpFormatter, text: str) -> None:
    """Write paragraphs of a help, if there are any."""
    if text:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text.strip("\n"))


def describe_option(option: click.Option, context: click.Context) -> tuple[str, str]:
    """Return the names of an option that is not hidden, with what stands for its value, and its sentence.

    N stands for a whole number and X for another; choices have bars between, and brackets only where an option may
    stand without one. The default is in the sentence; ranges are left to the errors.
    """
    names, sentence = option.get_help_record(context) or ("", "")
    if isinstance(option.type, click.Choice) and not isinstance(option.flag_value, str):
        names = re.sub(r"\[(.+)\]$", r"\1", names)
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
