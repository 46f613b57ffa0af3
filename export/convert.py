"""Conversion of a Keras model to a file of any format, in a child process.

TensorFlow's converter writes to file descriptor 2 from C++ and can take the process down with it, so `convert` lets a
child do it, keeps its output in a log and turns a crash into a sentence. TensorFlow takes seconds to start, so the
child stays for further conversions, until it has had none for a while. It ends when its parent does, however that ends.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_resnet.errors import ExportError, KresnetError
from keras_resnet.evaluation.evaluate import load_keras_file
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Conversion, Format
from keras_resnet.machine.garbage_collection import collect_rarely
from keras_resnet.progress import show_activity
from keras_resnet.runtime.child_process import EXPECTED_ERROR_CODE, child_command, describe_exit, without_gpus
from keras_resnet.runtime.confidence import Confidence
from keras_resnet.runtime.metadata import ModelMetadata

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
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        """Start the process unless it runs, so that it gets ready meanwhile."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self.end()
                self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
                self._process = subprocess.Popen(
                    child_command(__name__),
                    env=without_gpus(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._output,
                )
            self._end_later()

    def run(self, model_file: Path, job: Path, target: Path, log: Path) -> int:
        """Convert, with the output in `log`, and return the exit code: that of the process where it ended."""
        with self._lock:
            self.start()
            assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
            self._cancel_timer()
            paths = [str(path.absolute()) for path in (model_file, job, target, log)]
            message = {"paths": paths, "folder": os.getcwd(), "environment": without_gpus()}
            try:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.write(json.dumps(message).encode() + b"\n")
                    self._process.stdin.flush()
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


def _read_job(folder: Path) -> tuple[Format, Conversion]:
    job: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
    # JSON has lists for tuples.
    tuples = {name: tuple(job["metadata"][name]) for name in ("classes", "cells", "levels")}
    confidence = Confidence.from_dict(job["metadata"]["confidence"])
    metadata = ModelMetadata(**{**job["metadata"], **tuples, "confidence": confidence})
    file_format = get_format(job["format"])
    options = file_format.read_options(job["options"]) if job["options"] else None
    images = np.load(folder / IMAGES) if (folder / IMAGES).is_file() else None
    return file_format, Conversion(metadata, options, images)


def main(arguments: list[str]) -> int:
    """Do the conversions that come on standard input, a line of JSON each, in the child process, and answer each with
    its exit code on standard output. Returns the exit code when no more can come."""
    with collect_rarely():
        import keras  # meanwhile

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, which gets it too, ends this process
    # What is started here reads and writes elsewhere.
    with os.fdopen(os.dup(0)) as messages, os.fdopen(os.dup(1), "w") as answers, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        for line in messages:
            message = json.loads(line)
            os.chdir(message["folder"])
            os.environ.clear()
            os.environ.update(message["environment"])
            model_file, job, target, log = map(Path, message["paths"])
            with log.open("ab") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            code = _run_job(model_file, job, target)
            keras.utils.clear_session()
            sys.stdout.flush()
            answers.write(f"{code}\n")
            answers.flush()
    return 0


def _run_job(model_file: Path, job: Path, target: Path) -> int:
    """Convert, and return the exit code. Anything but a KresnetError ends the process."""
    try:
        file_format, conversion = _read_job(job)
        file_format.write(load_keras_file(model_file), conversion, target)
    except KresnetError as error:
        print(error)
        return EXPECTED_ERROR_CODE
    return 0
