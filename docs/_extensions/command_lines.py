"""Highlight command lines: the program, its options, strings and comments. Pygments' own lexer marks only the shell."""

from __future__ import annotations

from typing import Any

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Generic, Keyword, Name, String, Text


class CommandLexer(RegexLexer):
    """Lines of a shell, without prompts."""

    name = "Command lines"
    tokens = {  # noqa: RUF012
        "root": [
            (r"^(\s*)([\w./-]+)", bygroups(Text, Name.Function)),
            (r"(?<!\S)#.*", Comment),
            (r"(?<!\S)--?[a-z][\w-]*", Keyword),
            (r"'[^'\n]*'|\"[^\"\n]*\"", String),
            (r"(&&|\|)(\s+)([\w./-]+)", bygroups(Text, Text, Name.Function)),
            (r"[^\S\n]+|\n|\S+?", Text),
        ]
    }


class OutputLexer(RegexLexer):
    """What a command prints: options in it are whole words."""

    name = "Output"
    tokens = {  # noqa: RUF012
        "root": [
            (r"(?<![\w-])--[a-z][a-z-]*[a-z]", Generic.Output),
            (r"[^-]+|-", Text),
        ]
    }


class SessionLexer(RegexLexer):
    """Commands behind prompts, and what they print."""

    name = "Session"
    tokens = {  # noqa: RUF012
        "root": [
            (r"^(\$ )([\w./-]+)", bygroups(Generic.Prompt, Name.Function), "command"),
            *OutputLexer.tokens["root"][:1],
            (r"[^-$]+|[-$]", Text),
        ],
        "command": [(r"\n", Text, "#pop"), *CommandLexer.tokens["root"][1:]],
    }


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_lexer("shell", CommandLexer)
    app.add_lexer("text", OutputLexer)
    app.add_lexer("console", SessionLexer)
    return {"parallel_read_safe": True}
