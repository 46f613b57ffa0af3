"""What stays on a device, if that is asked for: a file that need not be sent again, and LiteRT."""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

from .pipes import DeviceError, Pipes, in_one_line


def install() -> None:
    """Install LiteRT by pip into a folder of its own, whole or not at all, unless it is there or this Python has it.
    Raises DeviceError if that fails."""
    if all(find_spec(module) for module in ("ai_edge_litert", "numpy")):
        return
    folder = os.path.join(_home(), f"python{sys.version_info[0]}.{sys.version_info[1]}")
    if not os.path.isdir(folder):
        _install_into(folder)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()


def _install_into(folder: str) -> None:
    staged = f"{folder}.{os.getpid()}"
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", staged, "ai-edge-litert", "numpy"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if done.returncode:
            last = (done.stdout.decode(errors="replace").strip().splitlines() or ["pip says nothing"])[-1]
            raise DeviceError(f"ai-edge-litert cannot be installed into {folder}: {in_one_line(last)}")
        os.replace(staged, folder)
    except OSError as error:
        if not os.path.isdir(folder):  # by another runner, meanwhile
            raise DeviceError(f"ai-edge-litert cannot be installed into {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def take_model(pipes: Pipes, request: dict[str, Any]) -> bytes:
    """Return the content of the file: of this device if it was kept here, else as it is sent; and keep it if that is
    asked for. Raises DeviceError if another file comes, or the disk is full."""
    digest = str(request["model"])
    path = os.path.join(_home(), f"{digest}.tflite")
    kept = _read(path) if request["keep"] else b""
    if hashlib.sha256(kept).hexdigest() == digest:
        pipes.send("need", model=False)
        return kept
    pipes.send("need", model=True)
    head, content = pipes.receive()
    if head["sha256"] != digest:
        raise DeviceError("another file arrived than the one that was announced")
    if request["keep"]:
        _keep(path, content)
    return content


def _home() -> str:
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kresnet", "device")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _keep(path: str, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all. Raises DeviceError."""
    staged = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with open(staged, "wb") as file:
                file.write(content)
            os.replace(staged, path)
        finally:
            if os.path.exists(staged):
                os.unlink(staged)
    except OSError as error:
        raise DeviceError(f"the file cannot be kept at {path}: {error.strerror}") from error
