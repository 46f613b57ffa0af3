"""What people see in the terminal: messages and progress to standard error, results to standard output."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from keras_resnet.cli.tables import print_table
from keras_resnet.progress import fold, log
from keras_resnet.progress_bar import show_bar
from keras_resnet.runtime.printable import make_printable

__all__ = [
    "close_output",
    "emit",
    "emit_json",
    "emit_json_line",
    "is_output_with_messages",
    "log",
    "prepare_output",
    "print_table",
    "show_bar",
]


def prepare_output() -> None:
    """Let standard output and error take any text: what their encoding lacks is written as an escape, and one that the
    caller has closed (`2>&-`) takes everything and shows nothing."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - lives as long as the process
        getattr(sys, name).reconfigure(errors="backslashreplace")


def close_output() -> None:
    """Give up standard output, whose reader has gone (`| head`), so that Python does not fail on it at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def is_output_with_messages() -> bool:
    """Return whether standard output and standard error are one place: a terminal, a file or a pipe (`2>&1 | tee`)."""
    try:
        return os.path.samestat(os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno()))
    except (AttributeError, OSError, ValueError):  # a stream that is no file
        return False


def emit(line: str) -> None:
    """One line to standard output, which a terminal shows folded between words."""
    print(fold(make_printable(line), sys.stdout), flush=True)


def emit_json(document: Any) -> None:
    """One JSON document to standard output."""
    print(json.dumps(document, indent=2))


def emit_json_line(document: Any) -> None:
    """One JSON document on one line of standard output."""
    print(json.dumps(document))
