"""Conversion of a Keras model to a file of any format, in a child process.

TensorFlow's converter writes to file descriptor 2 from C++ and can take the process down with it, so `convert` lets a
child do it (see convert_child.py), keeps its output in a log and turns a crash into a sentence. TensorFlow takes
seconds to start, so the child stays for further conversions, until it has had none for a while. It ends when its parent
does, however that ends.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import IO

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.export.file_options import FileOptions
from keras_resnet.export.formats.base import Conversion, Format
from keras_resnet.progress import show_activity
from keras_resnet.runtime.child_process import EXPECTED_ERROR_CODE, child_command, describe_exit, without_gpus

CHILD = "keras_resnet.export.convert_child"
JOB, IMAGES = "job.json", "images.npy"
# How long the child waits for another conversion: the verdict on a detector's file may take a minute. Waiting it holds
# the memory of an idle TensorFlow.
IDLE_SECONDS = 120.0


class Converter:
    """The child process: started when it is needed, and after it has failed. One conversion at a time."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Have no process, as a copy of this process made by a fork has none."""
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        # For what the process makes on its way, which is killed when it has done its work. Not a TemporaryDirectory: a
        # copy of this process would remove it, too.
        self._scratch: Path | None = None
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        """Start the process unless it runs, so that it gets ready meanwhile."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self.end()
                self._scratch = Path(tempfile.mkdtemp())
                self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
                self._process = subprocess.Popen(
                    child_command(CHILD, str(self._scratch)),
                    env=without_gpus(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._output,
                )
            self._end_later()

    def prepare(self, model_file: Path, files: Iterable[tuple[Format, FileOptions | None]]) -> None:
        """Have the process read `model_file`, and do what can be done of the conversion to `files` without images, so
        that it is done meanwhile. The conversions start with that, unless the model changes."""
        options = [{"format": each.name, "options": of.to_dict() if of else None} for each, of in files]
        with self._lock:
            self.start()
            self._send({"prepare": options, "model": str(model_file.absolute())})

    def run(self, model_file: Path, job: Path, target: Path, log: Path) -> int:
        """Convert, with the output in `log`, and return the exit code: that of the process where it ended."""
        with self._lock:
            self.start()
            assert self._process is not None and self._process.stdout is not None
            self._cancel_timer()
            job, target, log = (path.absolute() for path in (job, target, log))
            try:
                self._send(
                    {"model": str(model_file.absolute()), "job": str(job), "target": str(target), "log": str(log)}
                )
                answer = self._process.stdout.readline()
                if answer:
                    self._end_later()
                    return int(answer)
                code = self._process.wait()
                assert self._output is not None
                self._output.seek(0)
                with log.open("ab") as file:
                    file.write(self._output.read())
                return code
            except BaseException:  # interrupted: nobody waits for the answer
                self.end()
                raise

    def _send(self, message: dict[str, object]) -> None:
        """Send the process what to do, and how the world looks from here; nothing if it has ended."""
        assert self._process is not None and self._process.stdin is not None
        message = {**message, "folder": os.getcwd(), "environment": without_gpus()}
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def end(self) -> None:
        """End the process."""
        with self._lock:
            self._cancel_timer()
            process, self._process = self._process, None
            if process is not None:
                process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    assert pipe is not None
                    with contextlib.suppress(OSError):  # of what was still to be sent
                        pipe.close()
            if self._output is not None:
                self._output.close()
                self._output = None
            if self._scratch is not None:
                shutil.rmtree(self._scratch, ignore_errors=True)
                self._scratch = None

    def _end_later(self) -> None:
        self._cancel_timer()
        self._timer = threading.Timer(IDLE_SECONDS, self.end)
        self._timer.daemon = True
        self._timer.start()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


CONVERTER = Converter()
atexit.register(CONVERTER.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CONVERTER.forget)


def convert(model_file: Path, file_format: Format, conversion: Conversion, target: Path, log: Path) -> None:
    """Write `target`, of `file_format`, from the Keras model in `model_file`.

    Raises ExportError, naming the `log`, if the child fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    name = str(file_format.provenance(conversion.options)["scheme"])
    with tempfile.TemporaryDirectory() as scratch, show_activity(f"converting to {name}"):
        _write_job(file_format, conversion, Path(scratch))
        code = CONVERTER.run(model_file, Path(scratch), target, log)
    if code == EXPECTED_ERROR_CODE:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1]
        raise ExportError(f"{said}; the output of {file_format.toolkit} is in {log}" if file_format.toolkit else said)
    if code or not target.exists():
        raise ExportError(f"the conversion to {name} failed ({describe_exit(code)}); its output is in {log}")


def _write_job(file_format: Format, conversion: Conversion, folder: Path) -> None:
    options = conversion.options
    job = {
        "format": file_format.name,
        "options": options.to_dict() if options else None,
        "metadata": asdict(conversion.metadata),
    }
    (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
    if conversion.calibration_images is not None:
        np.save(folder / IMAGES, conversion.calibration_images)
