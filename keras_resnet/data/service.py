"""A tf.data service: the training images are read by other processes, on this machine or others.

TensorFlow's service runs a pipeline in workers elsewhere. Ours asks their Python for each batch (see `read_batch`), so
that pixels are those of Pillow there too, and puts the batches back in order: a training sees what it would see alone,
however many workers there are, and whichever of them end.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.config.address import split_address
from keras_resnet.config.data import DataSpec
from keras_resnet.data.dataset import Split
from keras_resnet.data.python_calls import PYTHON_CALLS
from keras_resnet.data.read_errors import keep_read_error, numpy_function
from keras_resnet.data.training_reader import TrainingReader, read_batch
from keras_resnet.errors import DataError, UsageError

if TYPE_CHECKING:
    import tensorflow as tf

# What TensorFlow calls the first Python function of a process. A worker of ours has no other, so that this names
# `read_batch` there.
TOKEN = "pyfunc_0"
CONNECT_SECONDS = 5.0
# Batches that may come before one that is missing; then that one is read here: its worker has ended.
MAX_AHEAD = 64
# How long a batch is waited for before it is read here, and how long the next one after such a wait.
STALL_SECONDS, SHORT_STALL_SECONDS = 20.0, 1.0
# How often a wait looks whether the program exits.
POLL_SECONDS = 0.2
EXAMPLE = "kresnet data-service --port 5050"
# How a reader's error ends where there is no such file.
NO_FILE = ": no such file"


def require_service(address: str, option: str = "--data-service") -> str:
    """Return the `address` as TensorFlow takes it. Raises UsageError if it is none, or nothing answers there."""
    try:
        host, port = split_address(address)
    except ValueError as error:
        raise UsageError(f"{option} must be HOST:PORT, as in 127.0.0.1:5050. Received: {address!r}") from error
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"{option} {address}: no data service can be reached there ({reason}); start one with: {EXAMPLE}"
        ) from error
    _require_grpc(f"{host}:{port}")
    return f"grpc://{host}:{port}"


def _require_grpc(address: str) -> None:
    """Raise UsageError unless what answers at `address` speaks gRPC: TensorFlow would ask it for an hour, and obey no
    signal meanwhile."""
    import grpc

    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(CONNECT_SECONDS)
        except grpc.FutureTimeoutError as error:
            raise _not_a_service(address) from error


def _not_a_service(address: str) -> UsageError:
    return UsageError(f"{address}: what answers there is no data service; start one with: {EXAMPLE}")


def require_usable(data: DataSpec) -> None:
    """Raise UsageError if `data` name a data service that does not answer, or images that it does not read."""
    if data.service is None:
        return
    if data.annotations not in ("labels", "label_sets"):
        raise UsageError(
            "--data-service reads images for --task classify and --task multilabel only. Received:"
            f" {data.annotations} of objects in {data.source}"
        )
    require_service(data.service)


def require_files(data: DataSpec, split: Split) -> None:
    """Raise UsageError if `data` name a data service, and the images of the training `split` are no files."""
    if data.service is not None and not split.files:
        raise UsageError(f"--data-service reads folders of image files. Received: --data {data.source}")


@dataclass(frozen=True)
class RemoteBatches:
    """Batches of `part` images each, read elsewhere. place: step → the files, text (part,), and the positions in the
    training, int64 (part,), of its images."""

    address: str
    reader: TrainingReader
    part: int
    place: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

    def batches(self, first_step: int, last_step: int) -> tf.data.Dataset:
        """Return steps `first_step` … `last_step` - 1, in order: (step, uint8 (part, …))."""
        import tensorflow as tf

        shape = (self.part, *self.reader.shape)
        signature = (tf.TensorSpec((), tf.int64), tf.TensorSpec(shape, tf.uint8))
        remote = self._remote(first_step, last_step, shape)
        return tf.data.Dataset.from_generator(
            lambda: self._in_order(remote, first_step, last_step), output_signature=signature
        )

    def _remote(self, first_step: int, last_step: int, shape: tuple[int, ...]) -> tf.data.Dataset:
        """Return the same in any order, and perhaps with steps missing, as workers deliver them."""
        import tensorflow as tf

        request = tf.constant(self.reader.to_text())

        def read(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            files, positions = self.place(step)
            (images,) = tf.raw_ops.PyFuncStateless(input=[request, files, positions], token=TOKEN, Tout=[tf.uint8])
            return step, tf.ensure_shape(images, shape)

        service = tf.data.experimental.service
        steps = tf.data.Dataset.range(first_step, last_step).map(read, tf.data.AUTOTUNE)
        return steps.apply(service.distribute(service.ShardingPolicy.DYNAMIC, require_service(self.address)))

    def _in_order(self, remote: tf.data.Dataset, first: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield every step once, in order. What does not come, as its worker has ended, is read here."""
        arrivals, step, patience = _Arrivals(self._deliver(remote)), first, STALL_SECONDS
        waiting: dict[int, np.ndarray] = {}
        while step < last and not PYTHON_CALLS.ended:
            if step not in waiting and len(waiting) <= MAX_AHEAD and not arrivals.ended:
                with PYTHON_CALLS.call():
                    arrived = arrivals.next(patience)
                patience = SHORT_STALL_SECONDS if arrived is None else STALL_SECONDS
                if arrived is not None:
                    waiting |= dict([arrived]) if arrived[0] >= step else {}
                    continue
            yield step, waiting.pop(step) if step in waiting else self._read_here(step)
            step += 1

    def _deliver(self, remote: tf.data.Dataset) -> Iterator[tuple[int, np.ndarray]]:
        """Yield what workers deliver. Raises DataError for an image that one of them cannot read."""
        import tensorflow as tf

        try:
            for number, images in remote:
                yield int(number), images.numpy()
        except tf.errors.OpError as error:
            _, is_data, reason = str(error).partition("DataError: ")
            if not is_data:
                raise
            reason = reason.splitlines()[0]
            if reason.endswith(NO_FILE):
                reason += " (the folder must have the same path there as here)"
            raise keep_read_error(DataError(f"data service: {reason}")) from error

    def _read_here(self, step: int) -> np.ndarray:
        import tensorflow as tf

        with PYTHON_CALLS.call():
            files, positions = self.place(tf.constant(step, tf.int64))
            return read_batch(self.reader.to_text().encode(), files.numpy(), positions.numpy())


class _Arrivals:
    """Takes what is delivered, in a thread: TensorFlow waits for an hour for a worker that has ended."""

    def __init__(self, delivered: Iterator[tuple[int, np.ndarray]]) -> None:
        self.ended = False
        self._queue: Queue[tuple[int, np.ndarray] | BaseException | None] = Queue(MAX_AHEAD)
        Thread(target=self._take, args=(delivered,), daemon=True).start()

    def next(self, seconds: float) -> tuple[int, np.ndarray] | None:
        """Return the next one; None where there is none within `seconds`, no more, or no use as the program exits.
        Raises what delivering raised."""
        latest = time.monotonic() + (0 if self.ended else seconds)
        while (wait := min(latest - time.monotonic(), POLL_SECONDS)) > 0 or not self._queue.empty():
            if PYTHON_CALLS.ended:
                break
            with suppress(Empty):
                return self._unpack(self._queue.get(timeout=max(wait, 0)))
        return None

    def _unpack(self, arrived: tuple[int, np.ndarray] | BaseException | None) -> tuple[int, np.ndarray] | None:
        self.ended = arrived is None
        if isinstance(arrived, BaseException):
            raise arrived
        return arrived

    def _take(self, delivered: Iterator[tuple[int, np.ndarray]]) -> None:
        try:
            for each in delivered:
                self._queue.put(each)
            self._queue.put(None)
        except Exception as error:
            self._queue.put(error)


@dataclass(frozen=True)
class DataServer:
    """A worker of a data service in this process, and its dispatcher unless that is elsewhere."""

    address: str
    servers: tuple[object, ...]

    @classmethod
    def start(cls, port: int, dispatcher: str | None, host: str) -> DataServer:
        """Start a worker, which others reach as `host`, of the `dispatcher` "HOST:PORT"; None starts one at `port`.

        Raises UsageError if the dispatcher cannot be reached, or the port is taken.
        """
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")  # their memory is for the trainings beside it
        service = tf.data.experimental.service
        if dispatcher is not None:
            target = require_service(dispatcher, "--dispatcher").removeprefix("grpc://")
            _register_reader()
            return cls(target, (_start_worker(target, host),))
        _register_reader()
        try:
            server = service.DispatchServer(service.DispatcherConfig(port=port))
        except tf.errors.OpError as error:
            raise UsageError(f"--port {port}: no data service can be started there; is the port taken?") from error
        target = server.target.removeprefix("grpc://")
        return cls(f"{host}:{target.rpartition(':')[2]}", (server, _start_worker(target, host)))


def _start_worker(dispatcher: str, host: str) -> object:
    import tensorflow as tf

    service = tf.data.experimental.service
    try:
        return service.WorkerServer(service.WorkerConfig(dispatcher, worker_address=f"{host}:%port%"))
    except (tf.errors.OpError, NotImplementedError, RuntimeError) as error:  # some of its errors are Python's own
        raise _not_a_service(dispatcher) from error


def _register_reader() -> None:
    """Make `read_batch` known to TensorFlow as TOKEN. Raises UsageError where something else has that name."""
    import tensorflow as tf

    with tf.Graph().as_default():
        inputs = [tf.constant(""), tf.constant([""]), tf.constant([0], tf.int64)]
        token = numpy_function(read_batch, inputs, tf.uint8).op.get_attr("token").decode()
    if token != TOKEN:
        raise UsageError("a data service needs a process of its own: type kresnet data-service in a terminal")
