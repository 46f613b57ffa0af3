"""One of the processes of scaling.py: measures what its training steps send to the others, and how long that takes.

TF_CONFIG says which one it is. All processes run the same steps; the first one prints what it measured as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

# First: it turns oneDNN on, as in `kresnet train`, which TensorFlow reads when it is imported.
from keras_resnet.training import distribute

# isort: split
import numpy as np
import psutil
import tensorflow as tf
from train import build_random_trainer

from keras_resnet.training.trainer import Trainer

CLASSES = 10
# What replicas sum, apart from each other: the gradients of a step, which come as a list, and what batch norms ask for.
GRADIENTS, NORMS = "gradients", "batch norm"


class Sums:
    """Stands for `ReplicaContext.all_reduce`: counts what is summed while a step is traced, and may leave it out."""

    def __init__(self) -> None:
        self.without: tuple[str, ...] = ()
        self.counts: dict[str, int] = {}
        self.bytes: dict[str, int] = {}
        original = tf.distribute.ReplicaContext.all_reduce

        def all_reduce(context: Any, operation: Any, value: Any, options: Any = None) -> Any:
            kind = GRADIENTS if isinstance(value, list) else NORMS
            self.counts[kind] = self.counts.get(kind, 0) + 1
            size = sum(each.shape.num_elements() * each.dtype.size for each in tf.nest.flatten(value))
            self.bytes[kind] = self.bytes.get(kind, 0) + size
            return value if kind in self.without else original(context, operation, value, options)

        tf.distribute.ReplicaContext.all_reduce = all_reduce


def main() -> None:
    """Measure, and print if this is the first process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", required=True)
    parser.add_argument("--image-size", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True, help="of all processes together")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--devices", default="auto")
    options = parser.parse_args()
    devices, sums = distribute.setup(options.devices), Sums()
    trainer, batch = build(options, devices)
    cases = {"all": make_step(trainer, sums, batch, options.steps)}
    counts, sizes = dict(sums.counts), dict(sums.bytes)
    if devices.world_size > 1:
        cases["no gradients"] = make_step(trainer, sums, batch, options.steps, (GRADIENTS,))
        cases["nothing"] = make_step(trainer, sums, batch, options.steps, (GRADIENTS, NORMS))
        cases["gradients alone"] = make_sum(trainer, sums, options.steps)
    best: dict[str, float] = {}
    sent = 0.0
    for _ in range(options.rounds):
        for case, run in cases.items():
            before, start = psutil.net_io_counters(pernic=True)["lo"].bytes_sent, time.perf_counter()
            run()
            took = (time.perf_counter() - start) / options.steps
            best[case] = min(took, best.get(case, took))
            if case == "all":
                sent = (psutil.net_io_counters(pernic=True)["lo"].bytes_sent - before) / options.steps
    if devices.is_chief:
        found = {"seconds": best, "counts": counts, "bytes": sizes, "sent": sent / devices.world_size}
        print(json.dumps(found), flush=True)


def build(options: argparse.Namespace, devices: distribute.Devices) -> tuple[Trainer, tuple[Any, Any]]:
    """Return the trainer that `kresnet train` would build, and a random batch of its replicas in this process."""
    size = options.image_size
    trainer = build_random_trainer("float32", options.network, size, options.batch_size, CLASSES, devices)
    rng, own = np.random.default_rng(devices.rank), options.batch_size // devices.replicas
    images = tf.constant(rng.integers(0, 256, (own, size, size, 3)), tf.uint8)
    targets = tf.one_hot(rng.integers(0, CLASSES, own), CLASSES)
    share = devices.strategy.experimental_distribute_values_from_function
    return trainer, (share(lambda context: images), share(lambda context: targets))


def make_step(
    trainer: Trainer, sums: Sums, batch: tuple[Any, Any], steps: int, without: tuple[str, ...] = ()
) -> Callable[[], None]:
    """Return a function that runs `steps` training steps, traced and warm, `without` some of the sums."""
    sums.without, sums.counts, sums.bytes = without, {}, {}
    step = trainer.make_train_function()

    def run(steps: int = steps) -> None:
        for _ in range(steps):
            loss = step(*batch, np.float32(0))
        float(loss[0])

    run(2)
    return run


def make_sum(trainer: Trainer, sums: Sums, steps: int) -> Callable[[], None]:
    """Return a function that sums the gradients of `steps` steps, and computes nothing else."""
    sums.without = ()
    gradients = [tf.ones(variable.shape) for variable in trainer.model.trainable_variables]

    def add() -> Any:
        summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
        return tf.add_n([tf.reshape(each, [-1])[0] for each in summed])

    total = tf.function(lambda: trainer.devices.strategy.run(add), autograph=False)

    def run(steps: int = steps) -> None:
        for _ in range(steps):
            value = trainer.devices.strategy.experimental_local_results(total())[0]
        float(value)

    run(2)
    return run


if __name__ == "__main__":
    main()
