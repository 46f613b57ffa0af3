"""A file that a browser's page has opened."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.export.benchmark import Cost, Latency
from keras_resnet.export.demo.page import LITERT_JS_VERSION
from keras_resnet.export.devices.base import (
    CPU,
    GPU,
    DeviceFacts,
    Measurement,
    RunSettings,
    Session,
    UnusableDeviceError,
)
from keras_resnet.export.devices.foreign_text import show
from keras_resnet.export.devices.page_exchange import LEASE, Exchange, Job, describe_done
from keras_resnet.export.devices.page_messages import (
    DTYPES,
    Message,
    count_output_bytes,
    read_number,
    read_numbers,
    read_outputs,
)
from keras_resnet.export.devices.runner.measuring import (
    MAX_RUNS,
    MAX_SECONDS,
    MIN_RUNS,
    REPEATS,
    WARMUP_RUNS,
    WINDOW,
)
from keras_resnet.progress import Log
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.predictions import Outputs, unwrap_single_output
from keras_resnet.runtime.tflite_model import TFLiteModel

# Bytes of images, and of outputs, that are sent at a time.
PART_BYTES = 4 * 2**20
# Points of a long measurement, at most.
MAX_WINDOWS = 100_000
MAX_WARNINGS = 20
ACCELERATORS = {CPU: "wasm", GPU: "webgpu"}
# What GPUs are called that are none: their times mean nothing.
SOFTWARE = ("swiftshader", "llvmpipe", "lavapipe", "basic render")


@dataclass(frozen=True)
class Patience:
    """How long a page may take, and what is checked meanwhile.

    timeout: seconds without an answer. returns: whether a page that has gone may come back. check: raises ExportError
    where there will be no answer any more.
    """

    timeout: float
    returns: bool = True
    check: Callable[[], None] = lambda: None


class PageSession(Session):
    """A file that is run by the page at the other end of `exchange`."""

    def __init__(
        self, where: str, exchange: Exchange, model: TFLiteModel, settings: RunSettings, patience: Patience
    ) -> None:
        require_runnable(model)
        self._where, self._exchange, self._model = where, exchange, model
        self._settings, self._patience = settings, patience
        self._log: Log = lambda message: None
        self._first_ms: float | None = None
        self._was_there = False
        self._gone_at: float | None = None

    def connect(self, log: Log) -> None:
        """Wait until a page has loaded the file. Raises ExportError."""
        settings, content = self._settings, self._model.content
        self._log = log
        self._exchange.begin(
            {
                "file": settings.file,
                "bytes": len(content),
                "crc32": zlib.crc32(content),
                "accelerator": ACCELERATORS[settings.accelerator],
                "threads": settings.threads,
                "images": settings.images,
                "version": LITERT_JS_VERSION,
            }
        )
        self._wait(lambda job: job.loaded)

    def close(self) -> None:
        """Take the file back from the page."""
        self._exchange.end()

    def __call__(self, images: np.ndarray) -> Outputs:
        """Run uint8 images (N, H, W, C) → float32 logits (N, classes), or several outputs by name."""
        largest = max(images[:1].nbytes, count_output_bytes(self._model))
        size = self._fill(max(1, PART_BYTES // largest))
        parts = [self._run(images[start : start + size]) for start in range(0, len(images), size)]
        return unwrap_single_output({name: np.concatenate([each[name] for each in parts]) for name in parts[0]})

    def measure(self, images: np.ndarray) -> Measurement:
        """Time the file on uint8 images (N, H, W, C), one at a time."""
        difference, largest = self._repeat(images[:1])
        limits = {"warmup": WARMUP_RUNS, "min_runs": MIN_RUNS, "max_runs": MAX_RUNS, "max_seconds": MAX_SECONDS}
        minutes = self._settings.minutes
        fields = {**limits, "seconds": 60 * minutes, "window": WINDOW, "shape": list(images.shape)}
        measured = self._ask("measure", images.tobytes(), 0, **fields).head
        times = read_numbers(measured.get("times"), MAX_RUNS)
        elapsed = read_number(measured.get("elapsed"))
        if len(times) < MIN_RUNS or not elapsed:
            raise ExportError(f"the page timed {counted(len(times), 'image')} in {elapsed:g} ms, which cannot be")
        # Of clocks that are too coarse for one image there is the mean alone.
        times = [each or elapsed / len(times) for each in times]
        loaded = self._exchange.wait(lambda job: job.loaded, lambda is_there, idle: None).head
        p50, p90, p99 = (float(each) for each in np.percentile(times, (50, 90, 99)))
        facts = self._describe(loaded, measured, difference, largest)
        latency = Latency(int(read_number(loaded.get("threads"), least=1)), p50, p90, p99, len(times))
        first_ms = facts.load_ms + (self._first_ms or 0.0)
        peak_mib = read_number(measured.get("memory")) / 2**20
        return Measurement(Cost(() if facts.emulated else (latency,), first_ms, peak_mib), facts)

    def _fill(self, count: int) -> int:
        """Return the number of images nearest to `count` of which the file takes none alone."""
        batch = self._model.batch or 1
        return max(1, count // batch) * batch

    def _run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs of one part by name."""
        missing = -len(images) % (self._model.batch or 1)
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        limit = len(filled) * count_output_bytes(self._model)
        answer = self._ask("images", filled.tobytes(), limit, shape=list(filled.shape))
        if self._first_ms is None:
            self._first_ms = read_number(answer.head.get("first_ms"))
        outputs = read_outputs(answer, self._model, len(filled))
        return {name: each[: len(images)] for name, each in outputs.items()}

    def _repeat(self, image: np.ndarray) -> tuple[float, float]:
        """Return (how much outputs of the same image differ at most, the largest output)."""
        again = self._run(np.repeat(image, REPEATS * (self._model.batch or 1), axis=0))
        difference = max(float(np.abs(each - each[:1]).max()) for each in again.values())
        return difference, max(float(np.abs(each).max()) for each in again.values())

    def _ask(self, kind: str, payload: bytes, limit: int, **fields: object) -> Message:
        self._exchange.ask(kind, payload, limit, **fields)
        return self._wait(lambda job: job.answer)

    def _wait(self, find: Callable[[Job], Message | None]) -> Message:
        return self._exchange.wait(find, self._look)

    def _look(self, is_there: bool, idle: float) -> None:
        """Log pages that come and go. Raises ExportError where waiting is of no use."""
        patience, done = self._patience, describe_done(self._exchange.done)
        patience.check()
        if is_there and not self._was_there:
            self._log("a browser has opened the page" if self._gone_at is None else f"the page is back, {done}")
        if self._was_there and not is_there:
            self._gone_at = time.monotonic()
            if patience.returns:
                self._log(f"the page has gone {done}; it goes on where its address is opened again")
        self._was_there = is_there
        has_gone = not is_there and self._gone_at is not None
        if has_gone and not patience.returns and time.monotonic() - (self._gone_at or 0.0) > LEASE:
            raise ExportError(f"the page has gone {done}; its browser may have run out of memory")
        if idle > patience.timeout:
            what = "no answer from the page" if is_there else "the page was closed and did not come back"
            what = what if is_there or has_gone else "no browser opened the page"
            kind = ExportError if is_there else UnusableDeviceError
            raise kind(f"{what} within {counted(patience.timeout, 'second', 'g')}, {done}")

    def _describe(
        self, loaded: dict[str, Any], measured: dict[str, Any], difference: float, largest: float
    ) -> DeviceFacts:
        accelerator = self._settings.accelerator
        threads, is_gpu = int(read_number(loaded.get("threads"), least=1)), accelerator != CPU
        gpu = show(loaded.get("gpu") or "a GPU without a name")
        is_software = loaded.get("software") is True or any(word in gpu.lower() for word in SOFTWARE)
        fallback = loaded.get("fallback")
        warnings = measured.get("warnings")
        shown = [show(each) for each in warnings[:MAX_WARNINGS]] if isinstance(warnings, list) else []
        return DeviceFacts(
            where=self._where,
            accelerator=accelerator,
            unit=gpu if is_gpu else f"WebAssembly, {counted(threads, 'thread')}",
            machine=_describe_browser(loaded),
            system=_describe_system(loaded),
            runtime=f"LiteRT.js {show(loaded.get('version'))}",
            emulated=is_gpu and is_software,
            fully_accelerated=is_gpu and fallback == "none",
            accelerated={"none": 1.0, "all": 0.0}.get(str(fallback)) if is_gpu else None,
            partitions=None,
            load_ms=read_number(loaded.get("load_ms")),
            repeat_difference=difference,
            largest_output=largest,
            windows=tuple(read_numbers(measured.get("windows"), MAX_WINDOWS)),
            warnings=tuple(shown),
        )


def require_runnable(model: TFLiteModel) -> None:
    """Raise ExportError for a file that LiteRT.js does not take, with what to do about it."""
    if model.batch is None:
        raise ExportError("LiteRT.js takes no files of any number of images: export it with --batch 1")
    if model.pixels_from:
        raise ExportError("LiteRT.js takes no int8 input: export the file with uint8 or float input")
    others = [f"{name} ({dtype})" for name, (_, dtype) in model.outputs.items() if str(dtype) not in DTYPES]
    if others:
        raise ExportError(f"LiteRT.js has no outputs of these types: {', '.join(others)}; it has {', '.join(DTYPES)}")


def _describe_browser(loaded: dict[str, Any]) -> str:
    """Return the browser's name for itself, behind that of the device where it tells that."""
    return show(" ".join(str(loaded.get(name) or "") for name in ("model", "agent")).strip() or "a browser")


def _describe_system(loaded: dict[str, Any]) -> str:
    """Return what a page knows of the machine."""
    known = [f"{show(loaded.get('cores'))} cores"] if loaded.get("cores") else []
    known += [f"at least {show(loaded.get('memory'))} GiB of memory"] if loaded.get("memory") else []
    is_isolated = loaded.get("isolated") is True
    known.append("cross-origin isolated" if is_isolated else "not cross-origin isolated: one thread")
    return ", ".join(known)
