"""On which devices a training runs, with the reason: one, several mirrored, several workers, or a TPU."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from keras_resnet.data.read_errors import taken
from keras_resnet.errors import DataError, TrainingError, UsageError
from keras_resnet.progress import waiting
from keras_resnet.runtime.plurals import counted
from keras_resnet.training import gpus

# More tasks than a node without GPUs will have.
MOST_TASKS = 1024
ALLOWED = "auto, a number, cpu:N, gpu:0,1, tpu or tpu:NAME"


@dataclass(frozen=True)
class Devices:
    """strategy: of tf.distribute, TensorFlow's default one for a single device. why: the reason to give.
    rank, ranks: which of how many processes this is."""

    strategy: Any
    why: str
    rank: int = 0
    ranks: int = 1

    @property
    def replicas(self) -> int:
        """Copies of the model, each of which takes an equal part of a batch."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def require_divisible(self, batch_size: int, accumulate: int = 1) -> None:
        """Raises UsageError unless every replica gets as much of a batch, in as many parts."""
        parts = self.replicas * accumulate
        if batch_size % parts:
            what = f"the {self.replicas} devices" + (f" times --accumulate {accumulate}" if accumulate > 1 else "")
            raise UsageError(f"--batch-size must be a multiple of {what}. Received: {batch_size}")

    def tell_all(self, text: str) -> str:
        """What the chief says here, to every process; all must call this."""
        import tensorflow as tf

        if self.ranks == 1:
            return text
        own = text.encode().ljust(1024) if self.is_chief else bytes(1024)

        def share(codes: Any) -> Any:
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, codes)

        # Each local replica of the chief adds its share of what it says.
        summed = tf.function(
            lambda: self.strategy.run(
                lambda codes: share(codes / _local_replicas(self.strategy)), (tf.constant(list(own), tf.float32),)
            )
        )()
        local = self.strategy.experimental_local_results(summed)[0]
        return bytes(round(float(code)) for code in local.numpy()).decode().rstrip()


def _local_replicas(strategy: Any) -> int:
    return len(strategy.extended.worker_devices)


@contextmanager
def translate_worker_errors() -> Iterator[None]:
    """Raises TrainingError where TensorFlow cannot go on because another worker has died or does not answer, and
    DataError where an image that could be read before the training no longer can."""
    import tensorflow as tf

    losses = (
        *(tf.errors.UnavailableError, tf.errors.AbortedError),
        *(tf.errors.CancelledError, tf.errors.DeadlineExceededError),
    )
    taken()  # what an earlier training met and never came to
    try:
        yield
    except tf.errors.OpError as error:
        lost = re.findall(r"/job:(\w+)/(?:replica:0/)?task:(\d+)", str(error)) if isinstance(error, losses) else []
        if lost:
            raise TrainingError(f"{' '.join(lost[-1])} has died or does not answer") from error
        if damaged := taken():
            raise DataError(f"{damaged}; it could be read when the training began") from damaged
        raise


def start(asked: str) -> Devices:
    """The devices that `asked` names (see ALLOWED).

    To be called before TensorFlow computes anything, because devices and workers are fixed then. Raises UsageError
    for what is not understood or not there, TrainingError for workers or a TPU that cannot be reached.
    """
    with waiting("starting TensorFlow"):
        return _started(asked)


def _started(asked: str) -> Devices:
    kind, _, which = asked.partition(":")
    if asked.isdigit():
        return _several(int(asked), asked)
    if kind == "cpu" and which.isdigit():
        return _cpus(int(which), asked)
    if kind == "gpu" and which and all(part.isdigit() for part in which.split(",")):
        return _gpus([int(part) for part in which.split(",")], asked)
    if kind == "tpu":
        return _tpu(which)
    if asked != "auto":
        raise UsageError(f"--devices must be {ALLOWED}. Received: {asked!r}")
    return _workers() or _all_there_is()


def _all_there_is() -> Devices:
    import tensorflow as tf

    names = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return _over([device.name for device in names], "all there are")


def _several(count: int, asked: str) -> Devices:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return _gpus(list(range(count)), asked)
    return _cpus(count, asked)


def _cpus(count: int, asked: str) -> Devices:
    import tensorflow as tf

    if count < 1:
        raise UsageError(f"--devices must name 1 device or more. Received: {asked!r}")
    physical = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.set_logical_device_configuration(physical, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        there = tf.config.list_logical_devices("CPU")
        if len(there) != count:
            raise UsageError(
                f"--devices {asked} must be asked for before TensorFlow has computed anything in this process,"
                f" which began with {len(there)}"
            ) from error
    return _over([device.name for device in tf.config.list_logical_devices("CPU")], f"as asked: {asked}")


def _gpus(numbers: list[int], asked: str) -> Devices:
    import tensorflow as tf

    physical = tf.config.list_physical_devices("GPU")
    if not numbers or max(numbers) >= len(physical):
        raise UsageError(f"--devices {asked}: this machine has {counted(len(physical), 'GPU')} that TensorFlow can use")
    tf.config.set_visible_devices([physical[number] for number in numbers], "GPU")
    return _over([device.name for device in tf.config.list_logical_devices("GPU")], f"as asked: {asked}")


def _over(names: list[str], why: str) -> Devices:
    import tensorflow as tf

    kind = "GPU" if "GPU" in names[0] else "CPU"
    if len(names) == 1:
        return Devices(tf.distribute.get_strategy(), f"one {kind} ({why})")
    # The default way to add up fails on logical CPUs with a second model in the process.
    ops = None if kind == "GPU" else tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(names, cross_device_ops=ops)
    return Devices(strategy, f"mirrored over {len(names)} {kind}s ({why})")


def _workers() -> Devices | None:
    """The workers of which TF_CONFIG or SLURM says that this process is one; None where neither does."""
    import tensorflow as tf

    if os.environ.get("TF_CONFIG"):
        told, resolve = "TF_CONFIG", tf.distribute.cluster_resolver.TFConfigClusterResolver
    elif "SLURM_PROCID" in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        told, resolve = "SLURM", _slurm
    else:
        return None
    try:
        resolver = resolve()
        cluster = resolver.cluster_spec().as_dict()
    except (ValueError, KeyError, RuntimeError) as error:
        raise UsageError(f"{told} does not describe workers: {' '.join(str(error).split())}") from error
    processes = [(kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, ())))]
    if len(processes) < 2:
        return None
    mine = (resolver.task_type, resolver.task_id)
    if mine not in processes:
        raise UsageError(f"{told} gives this process the role {mine}; training has roles chief and worker only")
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except Exception as error:
        raise TrainingError(
            f"{counted(len(processes), 'worker')} cannot connect: {' '.join(str(error).split())}"
        ) from error
    replicas = counted(strategy.num_replicas_in_sync, "device")
    why = f"{counted(len(processes), 'worker')}, {replicas} in all (of {told})"
    return Devices(strategy, why, processes.index(mine), len(processes))


def _slurm() -> Any:
    """TensorFlow's resolver, which deals out the GPUs of a node and fails where there are none to deal out."""
    import tensorflow as tf

    slurm = tf.distribute.cluster_resolver.SlurmClusterResolver
    if gpus.of_machine():
        return slurm()
    return slurm(gpus_per_node=MOST_TASKS, gpus_per_task=1, auto_set_gpu=False)


def _tpu(name: str) -> Devices:
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name or "local")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except Exception as error:  # no driver, no such name, no network: each fails in a way of its own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TrainingError(f"no TPU {name or 'here'} can be used: {reason}") from error
    strategy = tf.distribute.TPUStrategy(resolver)
    return Devices(strategy, f"a TPU with {strategy.num_replicas_in_sync} cores (as asked)")
