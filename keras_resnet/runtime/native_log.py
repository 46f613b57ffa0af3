"""What native libraries write to standard error themselves, without their notes. Imports no TensorFlow."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# As LiteRT begins its lines, and Abseil's log ("I0000 00:00:…").
_NOTE = re.compile(rb"INFO: |I\d{4} ")


@contextmanager
def without_notes() -> Iterator[None]:
    """Keep what is written to descriptor 2 until the block ends, and then leave out what is at the level INFO.

    LiteRT has no setting for that. Where descriptor 2 is closed, or nothing can be kept, all stays as it is.
    """
    try:
        terminal, kept = os.dup(2), tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    except OSError:
        yield
        return
    try:
        sys.stderr.flush()
        os.dup2(kept.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)
        kept.seek(0)
        with kept, os.fdopen(os.dup(2), "wb") as stream:
            stream.writelines(line for line in kept if not _NOTE.match(line))
