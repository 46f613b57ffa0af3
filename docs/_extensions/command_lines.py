"""Highlight command lines: the program, its options, strings and comments. Pygments' own lexer marks only the shell."""

from __future__ import annotations

from typing import Any

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Keyword, Name, String, Text


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
            (r"\s+|\S+?", Text),
        ]
    }


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_lexer("shell", CommandLexer)
    return {"parallel_read_safe": True}
