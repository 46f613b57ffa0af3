"""Keeps native libraries' chatter off the terminal.

TensorFlow writes to file descriptor 2 from C++ before anything can be configured. So descriptor 2 is
pointed at a scratch file, while Python's own sys.stderr keeps the terminal.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from typing import IO


def hush_native() -> IO[bytes]:
    """Redirect descriptor 2 for the rest of the process; returns the file that now receives it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    chatter = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
    sys.stderr.flush()
    terminal = os.dup(2)
    sys.stderr = os.fdopen(terminal, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    os.dup2(chatter.fileno(), 2)
    return chatter
