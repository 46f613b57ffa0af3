"""On which devices a training runs, with the reason: one, several mirrored, several workers, or a TPU."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from keras_resnet.data.read_errors import take_read_error
from keras_resnet.errors import DataError, KresnetError, TrainingError, UsageError, describe_received
from keras_resnet.evaluation.gpu_memory import share_gpu_memory
from keras_resnet.progress import show_activity
from keras_resnet.runtime.plurals import counted
from keras_resnet.training import gpus
from keras_resnet.training.all_reduce import BY_NCCL, choose_communication, choose_cross_device_ops

if TYPE_CHECKING:
    import tensorflow as tf

# More tasks than a node without GPUs will have.
MAX_TASKS_PER_NODE = 1024
ALLOWED = "auto, a number, cpu:N, gpu:0,1, tpu or tpu:NAME"
_COUNT, _OTHERS = re.compile(r"(cpu:)?\d+", re.ASCII), re.compile(r"auto|gpu:\d+(,\d+)*|tpu(:.*)?", re.ASCII)
# Bytes of a message from the chief.
MESSAGE_SIZE = 1024


@dataclass(frozen=True)
class Devices:
    """strategy: of tf.distribute, TensorFlow's default one for a single device. reason: why these devices.
    rank: which of `world_size` processes this is. kind: what computes. memory: how this process takes the memory of
    GPUs, in words. jit_compile: whether XLA compiles the training step, see `xla`."""

    strategy: tf.distribute.Strategy
    reason: str
    rank: int = 0
    world_size: int = 1
    kind: Literal["CPU", "GPU", "TPU"] = "CPU"
    memory: str = ""
    jit_compile: bool = False

    @property
    def replicas(self) -> int:
        """Copies of the model, each of which takes an equal part of a batch."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def require_divisible(self, batch_size: int, accumulate_steps: int = 1) -> None:
        """Raise UsageError unless every replica gets as much of a batch, in as many parts."""
        if batch_size % (self.replicas * accumulate_steps):
            parts = f" times --accumulate-steps {accumulate_steps}" if accumulate_steps > 1 else ""
            raise UsageError(
                f"--batch-size must be a multiple of the {self.replicas} devices{parts}. Received: {batch_size}"
            )

    def distribute(self, make_batches: Callable[[int, int], tf.data.Dataset], batch_size: int) -> tf.data.Dataset:
        """Return batches of `batch_size` for all replicas, of which this process makes those of its own:
        `make_batches` maps its rank and the world size to a dataset of its part of each batch."""

        def make_dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
            dataset = make_batches(self.rank, self.world_size)
            return dataset if self.replicas == self.world_size else dataset.rebatch(batch_size // self.replicas)

        return self.strategy.distribute_datasets_from_function(make_dataset)

    def broadcast(self, text: str) -> str:
        """Send the chief's `text` to every process and return it; all must call this."""
        if self.world_size == 1:
            return text
        import tensorflow as tf

        own = text.encode().ljust(MESSAGE_SIZE) if self.is_chief else bytes(MESSAGE_SIZE)
        # Each local replica of the chief adds its part of the message.
        local_replicas = len(self.strategy.extended.worker_devices)
        summed = tf.function(
            lambda: self.strategy.run(
                lambda codes: _sum_over_replicas(codes / local_replicas), (tf.constant(list(own), tf.float32),)
            ),
            autograph=False,
        )()
        local = self.strategy.experimental_local_results(summed)[0]
        return bytes(round(float(code)) for code in local.numpy()).decode().rstrip()


def is_first_worker() -> bool:
    """Return whether this process is the only one, or the first of several: the one that tells people what happens,
    before `setup` has met the others."""
    if os.environ.get("TF_CONFIG"):
        task, first = _read_tf_config("task"), "chief" if _read_tf_config("cluster").get("chief") else "worker"
        return bool(task.get("type", first) == first and task.get("index", 0) == 0)
    return os.environ.get("SLURM_PROCID", "0") == "0"


def has_several_workers() -> bool:
    """Return whether TF_CONFIG or SLURM says that this process is one of several. Imports no TensorFlow."""
    if os.environ.get("TF_CONFIG"):
        cluster = _read_tf_config("cluster")
        return sum(len(each) for each in map(cluster.get, ("chief", "worker")) if isinstance(each, list | dict)) > 1
    return "SLURM_PROCID" in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1


def _read_tf_config(part: str) -> dict[str, Any]:
    """Return the `part` of TF_CONFIG, {} where it has none. Raises UsageError unless both are JSON objects."""
    text = os.environ["TF_CONFIG"]
    try:
        config = json.loads(text)
    except ValueError:
        config = None
    found = config.get(part, {}) if isinstance(config, dict) else None
    if not isinstance(found, dict):
        raise UsageError(
            'TF_CONFIG must be a JSON object such as {"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type":'
            f' "worker", "index": 0}}}}. Received: {describe_received(text)}'
        )
    return found


def _sum_over_replicas(values: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


@contextmanager
def translate_worker_errors() -> Iterator[None]:
    """Raise TrainingError where TensorFlow cannot go on because another worker has died or does not answer, and
    DataError where an image that could be read before the training no longer can."""
    take_read_error()  # forget an error that an earlier training met and did not report
    try:
        yield
    except KresnetError:  # perhaps raised before TensorFlow was imported
        raise
    except Exception as error:
        import tensorflow as tf

        if not isinstance(error, tf.errors.OpError):
            raise
        lost_worker_errors = (
            *(tf.errors.UnavailableError, tf.errors.AbortedError),
            *(tf.errors.CancelledError, tf.errors.DeadlineExceededError),
        )
        is_lost = isinstance(error, lost_worker_errors)
        workers = re.findall(r"/job:(\w+)/(?:replica:0/)?task:(\d+)", str(error)) if is_lost else []
        if workers:
            raise TrainingError(f"{' '.join(workers[-1])} has died or does not answer") from error
        if damaged := take_read_error(str(error)):
            raise DataError(f"{damaged}; it could be read when the training began") from damaged
        raise


def setup(requested: str) -> Devices:
    """Return the devices that `requested` names (see ALLOWED).

    To be called before TensorFlow computes anything, because devices and workers are fixed then. Raises UsageError
    for what is not understood or does not exist, TrainingError for workers or a TPU that cannot be reached.
    """
    with show_activity("starting TensorFlow"):
        return _setup(requested)


def require_understood(requested: str) -> None:
    """Raise UsageError for a text that names no devices of any machine (see ALLOWED)."""
    if _COUNT.fullmatch(requested):
        if not 1 <= int(requested.removeprefix("cpu:")) <= MAX_TASKS_PER_NODE:
            raise UsageError(f"--devices must name 1 to {MAX_TASKS_PER_NODE} devices. Received: {requested!r}")
    elif not _OTHERS.fullmatch(requested):
        raise UsageError(f"--devices must be {ALLOWED}. Received: {requested!r}")


def _setup(requested: str) -> Devices:
    require_understood(requested)
    kind, _, name = requested.partition(":")
    if requested != "auto":
        share_gpu_memory()
    if requested.isdigit():
        devices = _use_number(int(requested), requested)
    elif kind == "cpu":
        devices = _use_cpus(int(name), requested)
    elif kind == "gpu":
        devices = _use_gpus([int(part) for part in name.split(",")], requested)
    elif kind == "tpu":
        devices = _use_tpu(name)
    else:
        devices = _use_workers() or _use_all()
    return replace(devices, memory=share_gpu_memory()) if devices.kind == "GPU" else devices


def _use_all() -> Devices:
    import tensorflow as tf

    share_gpu_memory()
    names = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return _mirror([device.name for device in names], "all there are")


def _use_number(count: int, requested: str) -> Devices:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return _use_gpus(list(range(count)), requested)
    return _use_cpus(count, requested)


def _use_cpus(count: int, requested: str) -> Devices:
    import tensorflow as tf

    physical = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.set_logical_device_configuration(physical, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        present = tf.config.list_logical_devices("CPU")
        if len(present) != count:
            raise UsageError(
                f"--devices {requested} must be asked for before TensorFlow has computed anything in this process,"
                f" which began with {len(present)}"
            ) from error
    return _mirror([device.name for device in tf.config.list_logical_devices("CPU")], f"as asked: {requested}")


def _use_gpus(numbers: list[int], requested: str) -> Devices:
    import tensorflow as tf

    physical = tf.config.list_physical_devices("GPU")
    if not numbers or max(numbers) >= len(physical):
        raise UsageError(
            f"--devices {requested}: this machine has {counted(len(physical), 'GPU')} that TensorFlow can use"
        )
    try:
        tf.config.set_visible_devices([physical[number] for number in numbers], "GPU")
    except RuntimeError as error:
        raise UsageError(
            f"--devices {requested} must be asked for before TensorFlow has computed anything in this process"
        ) from error
    return _mirror([device.name for device in tf.config.list_logical_devices("GPU")], f"as asked: {requested}")


def _mirror(names: list[str], reason: str) -> Devices:
    import tensorflow as tf

    kind: Literal["CPU", "GPU"] = "GPU" if "GPU" in names[0] else "CPU"
    if len(names) == 1:
        return Devices(tf.distribute.get_strategy(), f"one {kind} ({reason})", kind=kind)
    ops, means = choose_cross_device_ops(kind)
    strategy = tf.distribute.MirroredStrategy(names, cross_device_ops=ops)
    return Devices(strategy, f"mirrored over {len(names)} {kind}s ({reason}){means}", kind=kind)


def _use_workers() -> Devices | None:
    """Return the workers of which TF_CONFIG or SLURM says that this process is one; None if neither does."""
    import tensorflow as tf

    if os.environ.get("TF_CONFIG"):
        source, create_resolver = "TF_CONFIG", tf.distribute.cluster_resolver.TFConfigClusterResolver
    elif "SLURM_PROCID" in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        source, create_resolver = "SLURM", _create_slurm_resolver
    else:
        return None
    try:
        resolver = create_resolver()
        cluster = resolver.cluster_spec().as_dict()
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError) as error:
        raise UsageError(f"{source} does not describe workers: {' '.join(str(error).split())}") from error
    processes = [(kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, ())))]
    if len(processes) < 2:
        return None
    role = (resolver.task_type, resolver.task_id)
    if role not in processes:
        raise UsageError(f"{source} gives this process the role {role}; training has roles chief and worker only")
    share_gpu_memory()  # not before: SLURM's resolver decides which GPUs this process may see
    kind: Literal["CPU", "GPU"] = "GPU" if tf.config.get_visible_devices("GPU") else "CPU"
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(
            cluster_resolver=resolver, communication_options=choose_communication(kind)
        )
    except Exception as error:
        raise TrainingError(
            f"{counted(len(processes), 'worker')} cannot connect: {' '.join(str(error).split())}"
        ) from error
    replicas = counted(strategy.num_replicas_in_sync, "device")
    reason = f"{counted(len(processes), 'worker')}, {replicas} in all (of {source})"
    reason += BY_NCCL if kind == "GPU" else ""
    return Devices(strategy, reason, processes.index(role), len(processes), kind)


def _create_slurm_resolver() -> tf.distribute.cluster_resolver.ClusterResolver:
    """Return TensorFlow's resolver, which deals out the GPUs of a node and fails where there are none to deal out."""
    import tensorflow as tf

    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver
    if gpus.list_gpus():
        return resolver()
    return resolver(gpus_per_node=MAX_TASKS_PER_NODE, gpus_per_task=1, auto_set_gpu=False)


def _use_tpu(name: str) -> Devices:
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name or "local")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except Exception as error:  # no driver, no such name, no network: each fails in a way of its own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TrainingError(f"no TPU {name or 'here'} can be used: {reason}") from error
    strategy = tf.distribute.TPUStrategy(resolver)
    return Devices(strategy, f"a TPU with {strategy.num_replicas_in_sync} cores (as asked)", kind="TPU")
