"""Open files from elsewhere, and those just written, in a process of their own first: a runtime that dies of one
takes that process with it and not the user's. Imports no TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .child_process import EXPECTED_ERROR_CODE, child_command, describe_end, without_gpus
from .errors import ExportError, KresnetError
from .signature import require_outputs
from .temporary_files import final_name

# Until a file has answered one image: far more than the slowest network takes on the slowest device.
TIMEOUT_SECONDS = 180.0
# Bytes that it may take meanwhile, where the machine has more than that.
MAX_MEMORY_BYTES = 8 * 2**30
MAX_MEMORY_SHARE = 0.8
# What is known of a file by the class that opens it, its device, number, size and time of change: why it cannot be
# opened, or None.
_refusals: dict[tuple[type, tuple[int, ...]], str | None] = {}
# In the process that tries files, and in those that follow one.
_checks_are_skipped = False


def require_opens(file: Path, kind: type) -> None:
    """Raise ExportError unless `kind` opens `file` and answers an image, in another process; asked once for each file.

    kind: a class of a file's Model, importable by its name.
    """
    start_check(file, kind)()


def start_check(file: Path, kind: type) -> Callable[[], None]:
    """Start the check of `require_opens`, and return a function that waits for its end."""
    key = (kind, _file_key(file))
    if key in _refusals:
        return lambda: _require(_refusals[key])
    if _checks_are_skipped or not sys.executable or getattr(sys, "frozen", False):  # there is no Python to be started
        return lambda: None
    command = child_command(__name__, kind.__module__, kind.__qualname__, str(file))
    try:
        trying = subprocess.Popen(
            command, env=without_gpus(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        raise ExportError(f"cannot start a process to open {file} in: {error.strerror}") from error

    def wait() -> None:
        _refusals[key] = _wait_for_refusal(trying, file)
        _require(_refusals[key])

    return wait


def skip_checks() -> None:
    """Open files in this process from now on: they were tried by the one that started it."""
    global _checks_are_skipped
    _checks_are_skipped = True


def _file_key(file: Path) -> tuple[int, ...]:
    """Return what changes when a file or a folder's content does."""
    stats = [each.stat() for each in ([file, *sorted(file.rglob("*"))] if file.is_dir() else [file])]
    return tuple(n for s in stats for n in (s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns))


def _require(refused: str | None) -> None:
    if refused:
        raise ExportError(refused)


def _wait_for_refusal(trying: subprocess.Popen[bytes], file: Path) -> str | None:
    """Return why `file` cannot be opened, when the process that tries it has ended; or None."""
    try:
        printed, _ = trying.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"{final_name(file)} cannot be run: inference on one image takes longer than {TIMEOUT_SECONDS:g} s"
    finally:
        trying.kill()
        trying.wait()
    if trying.returncode == EXPECTED_ERROR_CODE:
        return printed.decode(errors="replace").strip().splitlines()[-1]
    if trying.returncode:
        return (
            f"{final_name(file)} cannot be run: the process that tried it {describe_end(trying.returncode)}, so it is"
            " damaged, or needs more than this machine has"
        )
    return None


def main(arguments: list[str]) -> int:
    """Run in the other process: let the class `arguments` name open the file they name and answer a black image."""
    module, name, path = arguments
    skip_checks()
    _limit_memory()
    file = Path(path)
    try:
        model: Any = getattr(import_module(module), name)(file)
        require_outputs(model.card, model(np.zeros((1, *model.card.input_shape), np.uint8)), file)
    except KresnetError as error:
        sentence = str(error)
    except MemoryError:
        sentence = f"{final_name(file)} cannot be run: it takes more memory than this machine has to spare"
    except Exception as error:  # whatever a runtime raises of a file that is not as it should be
        sentence = f"{final_name(file)} cannot be run: {' '.join(str(error).split())[:200] or type(error).__name__}"
    else:
        return 0
    sys.stdout.buffer.write(sentence.encode(errors="replace"))
    return EXPECTED_ERROR_CODE


def _limit_memory() -> None:
    """Limit this process to a share of this machine's memory, and no core dumps; where the system knows such limits."""
    try:
        import resource
    except ImportError:
        return
    own = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for kind, most in (
        (resource.RLIMIT_DATA, min(MAX_MEMORY_BYTES, int(MAX_MEMORY_SHARE * own))),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
