"""Signatures of functions with many keywords, as `help` shows them."""

from __future__ import annotations

import inspect


class ReadableSignature(inspect.Signature):
    """A signature that prints each parameter on a line of its own: dozens of them in one line, nobody reads."""

    __slots__ = ()

    def __str__(self) -> str:
        lines: list[str] = []
        is_marked = False
        for each in self.parameters.values():
            is_marked |= each.kind is inspect.Parameter.VAR_POSITIONAL
            if each.kind is inspect.Parameter.KEYWORD_ONLY and not is_marked:
                lines.append("*")
                is_marked = True
            lines.append(str(each))
        returned = self.return_annotation
        result = "" if returned is self.empty else f" -> {inspect.formatannotation(returned)}"
        return f"(\n{''.join(f'    {line},{chr(10)}' for line in lines)}){result}"
