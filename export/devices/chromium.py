"""A headless Chromium that opens one page, with a fresh profile that is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from keras_resnet.errors import ExportError
from keras_resnet.export.devices.foreign_text import read_last_words
from keras_resnet.runtime.child_process import KILL, child_command, describe_end, signal_session

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--headless=new", "--no-first-run", "--no-default-browser-check", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic", "--disable-extensions", "--disable-breakpad"),
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-dev-shm-usage"),
)
NO_GPU = ("--disable-gpu",)
REAL_GPU = ("--enable-unsafe-webgpu", "--enable-features=Vulkan", "--ignore-gpu-blocklist")
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--enable-features=Vulkan", "--use-webgpu-adapter=swiftshader")
# Where Linux has its GPUs.
GPU_FILES = ("dri/renderD*", "nvidia[0-9]*")
# Seconds that it has to end by itself.
GRACE = 5.0


def find_chromium() -> str:
    """Return the program. Raises ExportError if there is none."""
    for name in PROGRAMS:
        if program := shutil.which(name):
            return program
    raise ExportError(
        f"there is no Chromium on PATH, nor Google Chrome (as {', '.join(PROGRAMS)}): install one, or open the page in"
        " any browser with --on browser"
    )


def has_gpu() -> bool:
    """Whether this machine has a GPU that Chromium may use; elsewhere than on Linux it is taken to have one."""
    return sys.platform != "linux" or any(any(Path("/dev").glob(pattern)) for pattern in GPU_FILES)


def needs_no_sandbox() -> bool:
    """Whether Chromium refuses to start with its sandbox: of the root user."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


class Chromium:
    """The process. It has failed where it has ended."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._process, self._errors = process, errors

    def require_running(self) -> None:
        """Raise ExportError, with the last line of what it printed, where it has ended."""
        code = self._process.poll()
        if code is None:
            return
        last = read_last_words(self._errors) or "it says nothing"
        raise ExportError(f"Chromium {describe_end(code)}: {last}")

    def close(self) -> None:
        """End it, and all processes that it has started."""
        for number in (signal.SIGTERM, KILL):
            signal_session(self._process, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)


@contextmanager
def open_chromium(address: str, flags: tuple[str, ...]) -> Iterator[Chromium]:
    """Open the page at `address`, and end the browser afterwards. Raises ExportError if there is none."""
    root = ("--no-sandbox",) if needs_no_sandbox() else ()
    program = find_chromium()
    with (
        tempfile.TemporaryDirectory(prefix="kresnet-chromium-", ignore_cleanup_errors=True) as profile,
        tempfile.TemporaryFile() as errors,
    ):
        command = [program, *FLAGS, *root, *flags, f"--user-data-dir={profile}", address]
        chromium = Chromium(_start(command, errors), errors)
        try:
            yield chromium
        finally:
            chromium.close()


def _start(command: list[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program that ends with this process, however that does."""
    if os.name == "posix":
        command = child_command(__name__, *command)
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
    )


def main(arguments: list[str]) -> int:
    """Become the program that `arguments` name."""
    os.execv(arguments[0], arguments)
    raise AssertionError
