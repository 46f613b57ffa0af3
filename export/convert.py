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
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
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


@dataclass
class Job:
    """What the child process was sent. code: its exit code for it once that is known. lost: why the output of a process
    that has ended could not be written to the log."""

    log: Path
    code: int | None = None
    lost: OSError | None = None


class Converter:
    """The child process: started when it is needed, and after it has failed. One conversion at a time, which goes on
    while this process does something else."""

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
        self._job: Job | None = None  # what it is at

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

    def submit(self, model_file: Path, job: Path, target: Path, log: Path) -> Job:
        """Have the process convert, with the output in `log`, as soon as it has done what it is at."""
        with self._lock:
            self.wait_until_idle()
            self.start()
            job, target, log = (path.absolute() for path in (job, target, log))
            self._job = Job(log)
            self._send({"model": str(model_file.absolute()), "job": str(job), "target": str(target), "log": str(log)})
            return self._job

    def wait(self, job: Job) -> int:
        """Wait until `job` is done, and return the exit code: that of the process where it ended."""
        with self._lock:
            if job is self._job:
                self.wait_until_idle()
        assert job.code is not None
        return job.code

    def wait_until_idle(self) -> None:
        """Wait until the process does nothing."""
        with self._lock:
            job = self._job
            if job is None:
                return
            assert self._process is not None and self._process.stdout is not None and self._output is not None
            try:
                if answer := self._process.stdout.readline():
                    job.code = int(answer)
                else:
                    job.code = self._process.wait()
                    self._output.seek(0)
                    try:
                        with job.log.open("ab") as file:
                            file.write(self._output.read())
                    except OSError as error:  # of this job, whoever waits
                        job.lost = error
            except BaseException:  # interrupted: nobody waits for the answer
                self.end()
                raise
            self._job = None
            self._end_later()

    def cancel(self, job: Job) -> None:
        """End the process if it is at `job`."""
        with self._lock:
            if job is self._job:
                self.end()

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
                code = process.wait()
                if self._job is not None:
                    self._job.code, self._job = code, None
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

    def _end_if_idle(self) -> None:
        with self._lock:
            if self._job is None:
                self.end()

    def _end_later(self) -> None:
        self._cancel_timer()
        self._timer = threading.Timer(IDLE_SECONDS, self._end_if_idle)
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


@contextmanager
def converting(
    model_file: Path, file_format: Format, conversion: Conversion, target: Path, log: Path
) -> Iterator[Callable[[], None]]:
    """Write `target`, of `file_format`, from the Keras model in `model_file`, while the block does something else; it
    gets a function that waits until that is done. The end of the block cancels it.

    The function raises ExportError, naming the `log`, if the child fails. Raises ExportError where the conversion
    cannot begin: the log or what the child reads cannot be written, or there is no child.
    """
    name = str(file_format.provenance(conversion.options)["scheme"])
    with ExitStack() as stack:
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(b"")
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            _write_job(file_format, conversion, scratch)
            job = CONVERTER.submit(model_file, scratch, target, log)
        except OSError as error:  # of this file, while another one may be verified
            where = f": {error.filename}" if error.filename else ""
            raise ExportError(f"the conversion to {name} cannot begin: {error.strerror or error}{where}") from error

        is_done = False

        def wait() -> None:
            nonlocal is_done
            with show_activity(f"converting to {name}"):
                code = CONVERTER.wait(job)
            is_done = True
            if code == EXPECTED_ERROR_CODE:
                lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                said = lines[-1] if lines else f"the conversion to {name} failed, and why could not be written to {log}"
                toolkit = file_format.toolkit
                raise ExportError(f"{said}; the output of {toolkit} is in {log}" if toolkit else said)
            if code or not target.exists():
                how = describe_exit(code)
                if job.lost:
                    lost = f"its output could not be written ({job.lost.strerror})"
                    raise ExportError(f"the conversion to {name} failed ({how}); {lost}")
                raise ExportError(f"the conversion to {name} failed ({how}); its output is in {log}")

        try:
            yield wait
        finally:
            CONVERTER.cancel(job)
            if not is_done and log.is_file() and not log.stat().st_size:
                log.unlink()  # nothing is left of what was interrupted


def convert(model_file: Path, file_format: Format, conversion: Conversion, target: Path, log: Path) -> None:
    """Write `target`, of `file_format`, from the Keras model in `model_file`.

    Raises ExportError, naming the `log`, if the child fails.
    """
    with converting(model_file, file_format, conversion, target, log) as wait:
        wait()


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
