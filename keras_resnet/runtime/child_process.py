"""Start child processes that see what this one can import, and that end when it ends, however it does. Imports no
TensorFlow."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time

# How a child says that it failed on purpose; the sentence is the last line of what it printed.
EXPECTED_ERROR_CODE = 3
# Linux: the signal that a process is sent when its parent ends.
PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.5
# The signal that ends a process whatever it does; Windows has no such one.
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
# Isolated, or a module of the current folder, which may be anybody's, could stand for one of Python's own.
_START = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    f" importlib.import_module({__name__!r}).exit_with_parent(int(sys.argv[2]));"
    " sys.exit(importlib.import_module(sys.argv[3]).main(sys.argv[4:]))"
)


def child_command(module: str, *arguments: str) -> list[str]:
    """Return the command of a process that calls `main` of `module` with a list of `arguments`, ends with the exit code
    that is returned, and is killed when this process ends."""
    return [sys.executable, "-I", "-c", _START, json.dumps(sys.path), str(os.getpid()), module, *arguments]


def without_gpus() -> dict[str, str]:
    """Return the environment of a child that needs no GPU: the memory of those belongs to this process, and a second
    TensorFlow that looks for some of it fails or crawls."""
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}


def signal_session(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a process that was started in a session of its own, and to all that it has started there."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def exit_with_parent(parent: int) -> None:
    """Let this process be killed as soon as `parent`, which started it, is no more: nothing is written afterwards."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before that
            os.kill(os.getpid(), signal.SIGKILL)
    elif os.name == "posix":
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def describe_exit(code: int) -> str:
    """Describe the exit code of a process: "exit code 1", "SIGSEGV"."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def describe_end(code: int) -> str:
    """Say how a process ended that should not have: "ended with exit code 1", "crashed (SIGSEGV)"."""
    return f"ended with {describe_exit(code)}" if code >= 0 else f"crashed ({describe_exit(code)})"


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
