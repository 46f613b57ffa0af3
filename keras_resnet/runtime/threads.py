"""How many threads of the CPU run a file. Imports nothing but errors: options are declared by it."""

from __future__ import annotations

from .errors import UsageError

# Each is a thread of the system, which has no more after some ten thousands; no processor has so many cores.
MAX_THREADS = 1024


def require_threads(threads: int | None) -> None:
    """Raise UsageError for a number of `threads` that no file is run with; None stands for all."""
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"threads must be from 1 to {MAX_THREADS}. Received: {threads}")
