"""Text that comes from a device, or from a program that reaches it, made safe to show."""

from __future__ import annotations

from typing import IO

from keras_resnet.runtime.printable import make_printable

# Characters that are shown.
MAX_SHOWN = 300
# What ends in so many lines is shown as a whole: the last one may only say where help is.
MAX_LINES = 3


def show(text: object) -> str:
    """Return foreign text so that it can be printed in a line."""
    return make_printable(" ".join(str(text).split()))[:MAX_SHOWN]


def read_last_words(errors: IO[bytes]) -> str:
    """Return what a process printed to the file `errors`, if that is no more than a few lines, else its last line; ""
    where it is empty."""
    errors.seek(0)
    lines = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    return show("; ".join(lines if len(lines) <= MAX_LINES else lines[-1:]))
