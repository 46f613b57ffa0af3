"""Images per second of training steps: ours, stock Keras, and PyTorch, interleaved in one run.

    python benchmarks/train.py [--network resnet50 --image-size 224 --batch-size 16] [--torch-python PYTHON]

Each case is a process of its own that waits for its turn; in every round each runs a few steps. The best round of each
counts; the median is given beside it. Images are random and in memory: this measures the step, not the disk. The peers
of ResNet-50 are keras.applications.ResNet50 and torchvision's; those of ResNet-20 the same network with Keras' own
batch norm, and one written for PyTorch below. FLOPs are counted as three times the multiply-adds of the forward pass,
times two. On a CPU that does not compute in bfloat16, only float32 is measured. Where kresnet uses layers of its own,
for CPUs with AVX2 but without AVX-512 or for those with AMX, it is measured without them, too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from result_tables import Column, Table, add_json_option, describe_rounds, publish

if TYPE_CHECKING:
    from keras_resnet.training.distribute import Devices
    from keras_resnet.training.trainer import Trainer

BASE = "stock Keras, float32"
# As it was started: kresnet changes what TensorFlow reads from it, which is for its own cases alone.
ENVIRONMENT = dict(os.environ)
WITHOUT_AVX2 = "kresnet without its layers for AVX2, float32"
WITHOUT_AMX = "kresnet without its layers for AMX, mixed_bfloat16"
CASES = {
    "kresnet, mixed_bfloat16": ("keras", "ours", "mixed_bfloat16"),
    WITHOUT_AMX: ("keras", "ours, without", "mixed_bfloat16"),
    "kresnet, float32": ("keras", "ours", "float32"),
    WITHOUT_AVX2: ("keras", "ours, without", "float32"),
    "kresnet --recompute, float32": ("keras", "ours, recomputed", "float32"),
    "stock Keras, mixed_bfloat16": ("keras", "stock", "mixed_bfloat16"),
    BASE: ("keras", "stock", "float32"),
    "stock Keras, float32, with oneDNN": ("keras", "stock with oneDNN", "float32"),
    "PyTorch, bfloat16 autocast": ("torch", "eager", "bfloat16"),
    "PyTorch, bfloat16, compiled": ("torch", "compiled", "bfloat16"),
    "PyTorch, float32": ("torch", "eager", "float32"),
    "PyTorch, float32, compiled": ("torch", "compiled", "float32"),
}


def build_random_trainer(
    policy: str, network: str, size: int, batch: int, count: int, devices: Devices, recompute: bool = False
) -> Trainer:
    """Return the trainer that `kresnet train` would build, with its default optimizer, for `count` classes."""
    import numpy as np

    from keras_resnet.config.spec import DataSpec, OptimizerSpec, Spec, TrainingSpec
    from keras_resnet.data.dataset import DatasetSplits, Split
    from keras_resnet.models.names import parse_model_name
    from keras_resnet.training.build_trainer import build_trainer

    spec = Spec(
        network=parse_model_name(network),
        data=DataSpec(image_size=size, channels=3),
        optimizer=OptimizerSpec(warmup_epochs=0.0),
        training=TrainingSpec(batch_size=batch, precision=policy, recompute=recompute),
    )
    classes = tuple(str(number) for number in range(count))
    labels = Split("train", np.zeros(1000 * batch, np.int64))
    return build_trainer(spec, DatasetSplits("random", classes, {"train": labels}, False, size, size), devices)


def our_steps(
    policy: str, network: str, size: int, batch: int, count: int | None = None, recompute: bool = False
) -> Callable[[int], None]:
    """Return a function that runs the steps that `kresnet train` runs, with its default optimizer. count: of classes
    [default: 1000 of resnet50, 10 of others]. recompute: with --recompute."""
    import numpy as np
    import tensorflow as tf

    from keras_resnet.training import distribute

    count = count or (1000 if network == "resnet50" else 10)
    trainer = build_random_trainer(policy, network, size, batch, count, distribute.setup("cpu:1"), recompute)
    step = trainer.make_train_function()
    images, numbers = _random(size, batch, count)
    batches = _repeat((images, tf.one_hot(numbers, count)))

    def run(steps: int) -> None:
        for inputs in batches.take(steps):
            loss = step(*inputs, np.float32(0))
        float(loss[0])

    return run


def stock_steps(policy: str, network: str, size: int, batch: int) -> Callable[[int], None]:
    """A function that runs steps of Keras' own `model.fit`."""
    import keras

    from keras_resnet.config.spec import Normalization
    from keras_resnet.models import build as catalog
    from keras_resnet.models.layers import Layers
    from keras_resnet.models.names import parse_model_name

    shape, classes = (size, size, 3), 1000 if network == "resnet50" else 10
    if network == "resnet50":
        keras.config.set_dtype_policy(policy)
        model = keras.applications.ResNet50(weights=None, classifier_activation=None, input_shape=shape)
    else:
        bricks = Layers(keras, policy)
        model = catalog.build_classifier(
            bricks, parse_model_name(network), classes=classes, input_shape=shape, normalization=Normalization()
        )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=["accuracy"])
    data = _repeat(_random(size, batch, classes))
    return lambda steps: model.fit(data.take(steps), verbose=0)


def _repeat(batch: tuple[Any, Any]) -> Any:
    """Return a tf.data.Dataset of `batch` again and again, without the autotuner, for which an iterator that ends may
    wait as long as it lived."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensors(batch).repeat().with_options(options)


def _random(size: int, batch: int, classes: int) -> tuple[Any, Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (batch, size, size, 3)).astype("uint8"), rng.integers(0, classes, batch)


def torch_steps(kind: str, precision: str, network: str, size: int, batch: int) -> Callable[[int], None]:
    """A function that runs training steps of PyTorch, channels last."""
    import torch

    model = _torch_model(network).to(memory_format=torch.channels_last).train()
    step_model = torch.compile(model) if kind == "compiled" else model
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    images = torch.rand(batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,))

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                loss = torch.nn.functional.cross_entropy(step_model(images).float(), labels)
            loss.backward()
            optimizer.step()

    return run


def _torch_model(network: str) -> Any:
    import torch
    from torch import nn

    if network == "resnet50":
        import torchvision

        return torchvision.models.resnet50(weights=None)

    class Unit(nn.Module):
        def __init__(self, before: int, filters: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.norm1 = nn.Conv2d(before, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters)
            self.conv2, self.norm2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters)
            self.stride, self.extra = stride, filters - before

        def forward(self, x: Any) -> Any:
            y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
            if self.stride > 1:
                x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.extra))
            return torch.relu(x + y)

    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    before = 16
    for filters in (16, 32, 64):
        for unit in range((int(network.removeprefix("resnet")) - 2) // 6):
            layers.append(Unit(before, filters, 2 if filters > 16 and not unit else 1))
            before = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def matmul_limits(dtypes: set[str]) -> dict[str, float]:
    """Return GFLOP/s of a large matrix product on this machine, by dtype: of the fastest of several sizes, because
    which one it is depends on the processor's caches. No network exceeds it for long."""
    import tensorflow as tf

    found = {}
    for dtype in sorted(dtypes, reverse=True):
        product, speeds = tf.function(lambda a: tf.matmul(a, a)), []
        for side in (1024, 2048, 4096):
            a = tf.cast(tf.random.normal((side, side)), dtype)
            for _ in range(10):
                start = time.perf_counter()
                product(a).numpy()
                speeds.append(2 * side**3 / (time.perf_counter() - start) / 1e9)
        found[dtype] = max(speeds)
    return found


def work(case: str, network: str, size: int, batch: int) -> None:
    """A worker: for each number of steps on standard input, the seconds they took on standard output."""
    package, kind, precision = CASES[case]
    if kind == "stock with oneDNN":
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # TensorFlow's default is this on some processors
    if package == "torch":
        run = torch_steps(kind, precision, network, size, batch)
    elif kind.startswith("ours"):
        from keras_resnet.machine import onednn

        if kind == "ours, without":
            onednn.lacks_avx512 = onednn.has_amx = lambda: False
        run = our_steps(precision, network, size, batch, recompute=kind == "ours, recomputed")
    else:
        run = stock_steps(precision, network, size, batch)
    run(2)
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        run(int(line))
        print(time.perf_counter() - start, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch-python", help="A Python with torch and torchvision; without it no PyTorch is run.")
    add_json_option(parser)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.network, options.image_size, options.batch_size)
        return
    seconds = interleave(choose_cases(options.torch_python), options)
    publish([make_table(seconds, options)], options.json)


def choose_cases(torch_python: str | None) -> list[str]:
    """Return the cases that can be measured here; prints why others cannot."""
    from keras_resnet.machine.onednn import has_amx, lacks_avx512
    from keras_resnet.training.precision import choose_by_hardware

    cases = [case for case, what in CASES.items() if what[0] == "keras" or torch_python]
    policy, reason = choose_by_hardware() or ("", "")
    if policy == "float32":
        print(f"only float32 is measured: {reason}", file=sys.stderr)
        cases = [case for case in cases if "bfloat16" not in case]
    has = {WITHOUT_AVX2: lacks_avx512(), WITHOUT_AMX: has_amx()}
    return [case for case in cases if has.get(case, True)]


def interleave(cases: list[str], options: argparse.Namespace) -> dict[str, list[float]]:
    """Return the seconds of each case in each round."""
    workers = {}
    for case in cases:
        python = sys.executable if CASES[case][0] == "keras" else options.torch_python
        sizes = ["--network", options.network, "--image-size", str(options.image_size)]
        command = [python, __file__, "--work", case, *sizes, "--batch-size", str(options.batch_size)]
        worker = subprocess.Popen(
            command,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        workers[case] = worker
        assert worker.stdout is not None
        if worker.stdout.readline().strip() != "ready":
            raise SystemExit(f"{case} could not start")
    seconds: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case, worker in workers.items():
            assert worker.stdin is not None and worker.stdout is not None
            worker.stdin.write(f"{options.steps}\n")
            worker.stdin.flush()
            seconds[case].append(float(worker.stdout.readline()))
    for worker in workers.values():
        worker.kill()
    return seconds


def make_table(seconds: dict[str, list[float]], options: argparse.Namespace) -> Table:
    """Return images per second, ratio to stock Keras in float32, and share of the matrix product's speed, all of the
    best round, and images per second of the median round."""
    from keras_resnet.models.flops import count_cost
    from keras_resnet.models.names import parse_model_name

    limits = matmul_limits({"bfloat16" if "bfloat16" in case else "float32" for case in seconds})
    size = options.image_size
    cost = count_cost(parse_model_name(options.network), classes=1000, input_shape=(size, size, 3))
    images = options.steps * options.batch_size
    rows = []
    for case, took in seconds.items():
        rate, median = images / min(took), images / statistics.median(took)
        limit = limits["bfloat16" if "bfloat16" in case else "float32"]
        share = rate * 6 * cost.multiply_adds / 1e9 / limit
        rows.append([case, rate, median, min(seconds[BASE]) / min(took), share])
    speeds = " and ".join(f"{limit:.0f} GFLOP/s in {dtype}" for dtype, limit in limits.items())
    columns = [
        Column("training step"),
        Column("images/s", ".4g"),
        Column("median round", ".4g"),
        Column("× stock float32", ".2f"),
        Column("share of matmul speed", ".2f"),
    ]
    return Table(
        f"train-{options.network}",
        f"{options.network.replace('resnet', 'ResNet-')}, {size} × {size} pixels, batch size {options.batch_size}",
        columns,
        rows,
        ("tensorflow", "keras", "torch", "torchvision"),
        f"{describe_rounds(options.rounds)} A large matrix product runs at {speeds}.",
        options.rounds,
    )


if __name__ == "__main__":
    main()
