"""Devices that are reached by a command: this machine, another one by ssh, a container, an emulator."""

from __future__ import annotations

import contextlib
import platform
import re
import shlex
import shutil
import subprocess
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, ClassVar

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.devices import runner
from keras_resnet.export.devices.base import CPU, INTERPRETER, Device, NoAcceleratorError, RunSettings
from keras_resnet.export.devices.connection import OtherEnd, require_answer
from keras_resnet.export.devices.runner_session import RunnerSession
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.progress import Log
from keras_resnet.runtime.child_process import child_command
from keras_resnet.runtime.tflite_model import TFLiteModel

# Reads the runner, whose length stands in the first line, and runs it.
BOOT = "import sys;exec(compile(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())),'runner','exec'))"
# Imports the runner's modules from SOURCES, by name, when they are asked for, and starts it.
LOADER = """
import importlib.abc, importlib.util, sys
class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name in SOURCES:
            return importlib.util.spec_from_loader(name, self, is_package=name == "kresnet_runner")
    def exec_module(self, module):
        name = module.__name__
        exec(compile(SOURCES[name], f"{name}.py", "exec"), module.__dict__)
sys.meta_path.insert(0, Finder())
from kresnet_runner.serve import main
sys.exit(main([]))
"""
# Programs that hand their last arguments to a shell at the other end.
SHELLS_ELSEWHERE = ("ssh", "adb", "dbclient", "plink")
# No password can be typed; and a connection that is gone is noticed.
SSH_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15", "-T")
_SSH = re.compile(r"ssh://(?:(?P<user>[\w.][\w.-]*)@)?(?P<host>\[[0-9a-fA-F:.]+\]|\w[\w.-]*)(?::(?P<port>\d{1,9}))?/?")
MAX_PORT = 65535
_ARCHITECTURES = {"arm64": "aarch64", "amd64": "x86_64", "arm": "armv7l"}


class PipedDevice(Device):
    """A device at the other end of a process' pipes. own_runtime: what its runner uses instead of --runtime's."""

    own_runtime: ClassVar[str] = ""

    @contextmanager
    def open(self, model: TFLiteModel, settings: RunSettings, log: Log) -> Iterator[RunnerSession]:
        """Send the file of `model` and open it there."""
        self.require_possible(settings)
        session = RunnerSession(self._other_end(settings), model, settings, log)
        session.connect()
        try:
            yield session
        finally:
            session.close()

    def require_usable(self, settings: RunSettings, log: Log) -> None:
        """Raise UnusableDeviceError where the runner does not start, or has not what it needs; log what a login printed
        before it answered."""
        require_answer(self._other_end(settings), settings, log)

    def require_accelerator(self, model: TFLiteModel, settings: RunSettings) -> None:
        """Raise NoAcceleratorError where there is none: LiteRT only says so when it opens a file. Other errors are left
        to the real run."""
        if settings.accelerator == CPU:
            return
        try:
            with self.open(model, settings, lambda line: None):
                pass
        except NoAcceleratorError:
            raise
        except ExportError:
            return

    def _other_end(self, settings: RunSettings) -> OtherEnd:
        return OtherEnd(self.where, self.start, self.is_emulated, self.own_runtime or settings.runtime)

    @abstractmethod
    def start(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the runner, with its standard error going to `errors`. Raises OSError."""


class LocalDevice(PipedDevice):
    """This machine, in a process of its own."""

    name = "local"
    help = "local (this machine)"

    def start(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the runner as a child of this process."""
        return _start(child_command(f"{runner.__name__}.serve"), errors)


class MicroDevice(LocalDevice):
    """TensorFlow Lite Micro on this machine: the kernels of microcontrollers."""

    name = "tflm"
    help = "tflm (TensorFlow Lite Micro, on this machine)"
    own_runtime = name
    accelerators = (CPU,)
    runtimes = (INTERPRETER,)
    is_microcontroller = True

    def refuses(self, model: TFLiteModel) -> str:
        """Return why a float network that begins with pixels of 8 bits is left out."""
        has_cast = "CAST" in read_contents(model.content).operators
        return "TensorFlow Lite Micro cannot make floats of uint8 pixels (CAST)" if has_cast else ""

    @property
    def is_emulated(self) -> bool:
        """Whether times mean nothing: no microcontroller computes here."""
        return True


class CommandDevice(PipedDevice):
    """Whatever a command runs a Python on."""

    name = "command"
    own_settings = ("keep", "install")
    help = "a command that runs programs elsewhere, such as 'ssh pi@raspberrypi.local' or 'docker run -i IMAGE'"

    @classmethod
    def recognizes(cls, where: str) -> bool:
        """Return whether `where` is a command whose program is here."""
        try:
            words = shlex.split(where)
        except ValueError:  # a quotation mark without the other
            return False
        return bool(words) and not where.startswith("-") and shutil.which(words[0]) is not None

    @property
    def command(self) -> list[str]:
        """The words of the command; ends with a Python."""
        words = shlex.split(self.where)
        return words if PurePath(words[-1]).name.startswith("python") else [*words, "python3"]

    @property
    def is_emulated(self) -> bool:
        """Whether an emulator computes, by the command."""
        words = self.command
        if any(PurePath(word).name.startswith("qemu-") for word in words):
            return True
        asked = " ".join(words).replace("--platform=", "--platform ").partition("--platform ")[2].split()
        architecture = asked[0].split("/")[1:2] if asked else []
        return bool(architecture) and _ARCHITECTURES.get(architecture[0], architecture[0]) != platform.machine()

    def start(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the command, and send the runner."""
        words = self.command
        through_shell = any(PurePath(word).name in SHELLS_ELSEWHERE for word in words)
        process = _start([*words, "-c", shlex.quote(BOOT) if through_shell else BOOT], errors)
        assert process.stdin is not None
        content = _pack_runner().encode()
        with contextlib.suppress(OSError):  # it has ended already, as the first answer will tell
            process.stdin.write(f"{len(content)}\n".encode() + content)
        return process


class SSHDevice(CommandDevice):
    """Another machine by ssh, with a key."""

    name = "ssh"
    help = "ssh://USER@HOST (another machine)"

    @classmethod
    def recognizes(cls, where: str) -> bool:
        """Return whether `where` is an address of ssh."""
        return where.startswith("ssh://")

    def require_possible(self, settings: RunSettings) -> None:
        """Raise UsageError for settings that the device does not have, or an address that is none."""
        super().require_possible(settings)
        self.command  # noqa: B018 (which reads the address)

    @property
    def command(self) -> list[str]:
        """The words of the command; ends with a Python."""
        match = _SSH.fullmatch(self.where)
        if match is None:
            raise UsageError(f"--on must be ssh://USER@HOST or ssh://USER@HOST:PORT. Received: {self.where}")
        if match["port"] and not 1 <= int(match["port"]) <= MAX_PORT:
            raise UsageError(f"the port of ssh must be from 1 to {MAX_PORT}. Received: {self.where}")
        port = ["-p", match["port"]] if match["port"] else []
        user = f"{match['user']}@" if match["user"] else ""
        return ["ssh", *SSH_OPTIONS, *port, f"{user}{match['host'].strip('[]')}", "python3"]


def _start(command: list[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    # In a session of its own, to end with what it starts: a script's children would keep its pipes open.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
    )


def _pack_runner() -> str:
    """Return the runner as one program."""
    files = sorted(Path(runner.__file__).parent.glob("*.py"))
    names = {file: f"kresnet_runner.{file.stem}".removesuffix(".__init__") for file in files}
    sources = {name: file.read_text(encoding="utf-8") for file, name in names.items()}
    return f"SOURCES = {sources!r}\n{LOADER}"
