"""A process that has imported TensorFlow, and makes a copy of itself for each piece of work: where several follow each
other, each starts at once, and none sees what another one did."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_resnet.runtime.child_process import child_command, exit_with_parent

# Elsewhere a copy of a process that holds TensorFlow cannot be relied on, or cannot be made.
IS_POSSIBLE = sys.platform == "linux"


class WarmProcess:
    """Runs `main` of the module called `module` in processes of their own, which have imported `packages` already.

    It starts with the first piece of work, and anew after it was killed; `close` ends it. To be used from one thread.
    """

    def __init__(self, module: str, packages: Sequence[str]) -> None:
        self._arguments = (module, *packages)
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, arguments: Sequence[str], log: Path) -> int:
        """Call `main` with `arguments` in the working directory and the environment that this process has now, with
        all output in the file `log`; return its exit code, the negative number of a signal."""
        log.write_bytes(b"")  # or it is said here why that cannot be
        process = self._start()
        assert process.stdin and process.stdout
        job: dict[str, Any] = {"arguments": list(arguments), "log": str(log.absolute())}
        job |= {"folder": os.getcwd(), "environment": dict(os.environ)}
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()
            if answer := process.stdout.readline():
                return int(answer)
        except BaseException:  # a signal, for one: the work ends with the process
            self.close()
            raise
        code = process.wait()
        self.close()
        return code or 1

    def close(self) -> None:
        """End the process, and the work that it may be doing."""
        if self._process is not None:
            self._process.kill()
            with self._process:  # which waits for its end and closes the pipes
                self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = subprocess.Popen(
                child_command(__name__, *self._arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process


def main(arguments: list[str]) -> int:
    """Import what `arguments` name, then do one piece of work a line of standard input in a copy of this process, and
    print each exit code; called in the process that is copied."""
    module, *packages = arguments
    for name in packages:
        with contextlib.suppress(ImportError):  # the work will say that itself
            importlib.import_module(name)
    work, this_process = importlib.import_module(module), os.getpid()
    for line in sys.stdin.buffer:
        if not (copy := os.fork()):
            exit_with_parent(this_process)
            return int(work.main(_take_over(json.loads(line))))
        print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]), flush=True)
    return 0


def _take_over(job: dict[str, Any]) -> list[str]:
    """Make this process one that was started as `job` says, and return its arguments."""
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    with open(os.devnull, "rb") as nothing, open(job["log"], "wb") as output:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    arguments: list[str] = job["arguments"]
    return arguments
