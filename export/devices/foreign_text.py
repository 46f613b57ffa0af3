"""Text that comes from a device, or from a program that reaches it, made safe to show."""

from __future__ import annotations

from typing import IO

from keras_resnet.runtime.printable import make_printable

# Characters that are shown.
MAX_SHOWN = 300


def show(text: object) -> str:
    """Return foreign text so that it can be printed in a line."""
    return make_printable(" ".join(str(text).split()))[:MAX_SHOWN]


def read_last_words(errors: IO[bytes]) -> str:
    """Return the last line of what a process printed to the file `errors`; "" where it is empty."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return show(lines[-1]) if lines else ""
