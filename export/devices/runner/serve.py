"""The runner: opens a file and answers batches of images over the pipes of this process."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from .machine import describe_machine, memory_mib
from .pipes import PROTOCOL, DeviceError, MissingAcceleratorError, Pipes, in_one_line
from .requirements import require_installed
from .runtime_log import RuntimeLog
from .storage import install, take_model

if TYPE_CHECKING:
    from .runtimes import Runtime


def serve(pipes: Pipes, log: RuntimeLog) -> None:
    """Answer the other end: "start" by "hello" and "need", the file by "loaded", "images" by "outputs", "measure" by
    "measured", and "end" by "goodbye"."""
    request, _ = pipes.receive()
    pipes.send("hello", protocol=PROTOCOL, machine=describe_machine())
    if request["protocol"] != PROTOCOL:
        raise DeviceError(f"the runner speaks version {PROTOCOL} of the protocol, not {request['protocol']}")
    if request["install"]:
        install()
    require_installed(str(request["runtime"]))
    content = take_model(pipes, request)
    memory, begun = memory_mib("VmRSS"), time.perf_counter()
    model = _open(content, request, log)
    load_ms = (time.perf_counter() - begun) * 1e3
    share, partitions = log.delegated()
    if model.fully_accelerated:
        share, partitions = 1.0, partitions or 1
    pipes.send(
        "loaded",
        load_ms=load_ms,
        runtime=model.version,
        threads=model.threads,
        fully_accelerated=model.fully_accelerated,
        accelerated=share,
        partitions=partitions,
        adapter=log.adapter(),
    )
    _answer(pipes, model, memory)
    pipes.send("goodbye", warnings=log.warnings())


def _open(content: bytes, request: dict[str, Any], log: RuntimeLog) -> Runtime:
    """Return the loaded file. Raises MissingAcceleratorError where there is no such accelerator: LiteRT fails without a
    GPU, and leaves all operators to the CPU without an NPU."""
    from .runtimes import open_model  # which imports NumPy

    accelerator = str(request["accelerator"])
    try:
        model = open_model(content, str(request["runtime"]), accelerator, request["threads"])
    except DeviceError as error:
        if missing := log.explain_missing(accelerator):
            raise MissingAcceleratorError(missing) from error
        raise
    is_unused = not model.fully_accelerated and log.delegated()[0] is None
    if is_unused and (missing := log.explain_missing(accelerator)):
        raise MissingAcceleratorError(missing)
    return model


def _answer(pipes: Pipes, model: Runtime, memory: float) -> None:
    """Answer batches of images and, after them, the question for measurements, until the other end has enough.

    memory: of this process before it opened the file, MiB.
    """
    import numpy as np

    from .measuring import measure

    first_ms = None
    while True:
        head, payload = pipes.receive()
        if head["kind"] == "end":
            return
        images = np.frombuffer(payload, np.uint8).reshape(head["shape"])
        if first_ms is None:
            begun = time.perf_counter()
            model.run(images[:1])
            first_ms = (time.perf_counter() - begun) * 1e3
        if head["kind"] == "measure":
            measured = measure(model, images, float(head["minutes"]), pipes)
            peak = max(0.0, memory_mib("VmHWM") - memory)
            pipes.send("measured", **measured, first_ms=first_ms, peak_mib=peak, arena_bytes=model.arena_bytes)
            continue
        outputs = sorted(model.run(images).items())
        arrays = [{"name": name, "shape": list(each.shape)} for name, each in outputs]
        content = b"".join(np.ascontiguousarray(each, "<f4").tobytes() for _, each in outputs)
        pipes.send("outputs", content, part=head["part"], arrays=arrays)


def main(arguments: list[str]) -> int:
    """Serve the pipes of this process; returns the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    writer = os.fdopen(os.dup(1), "wb")
    log = RuntimeLog()
    os.dup2(2, 1)  # whatever prints must not print into the messages
    pipes = Pipes(sys.stdin.buffer, writer)  # the modules may have come from there, with bytes read ahead
    try:
        serve(pipes, log)
    except EOFError:
        return 1
    except MissingAcceleratorError as error:
        pipes.send("error", message=str(error), lacks_accelerator=True)
        return 1
    except Exception as error:
        pipes.send("error", message=_describe(error), warnings=log.warnings())
        return 1
    return 0


def _describe(error: Exception) -> str:
    """Return what to say of an error, in one sentence."""
    if isinstance(error, DeviceError):
        return str(error)
    if isinstance(error, MemoryError):
        return "the device has too little memory for the file"
    if isinstance(error, RuntimeError):
        return f"the runtime cannot compute the file: {in_one_line(error)}"
    return f"{type(error).__name__}: {in_one_line(error)}"
