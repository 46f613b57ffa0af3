"""What kresnet's layers for CPUs with AVX2 but without AVX-512 gain, beside TensorFlow's own calls of oneDNN.

    python benchmarks/avx2_layers.py [--network resnet50 --image-size 224 --batch-size 16] [--rounds 10]

Measured are the gradients of kernels that kresnet computes in another way, for each distinct convolution of the
network, and all of its batch norms; and, in a second table, all convolutions of a step beside one large matrix product,
which nothing exceeds. Both ways take turns in one process; the best round of each counts.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from result_tables import Cell, Column, Table, add_json_option, describe_rounds, publish
from train import matmul_limits

Way = Callable[[], Any]
# What each `target` of `prepare` is called in the tables: of all convolutions, and where both ways differ.
CONVOLUTIONS = {"outputs": "convolutions", "inputs": "gradients by inputs", "kernel": "gradients by weights"}
SUMS = {"kernel": "these gradients", "outputs": "batch norms", "inputs": "batch norms and their gradients"}


def find_layers(options: argparse.Namespace) -> Counter[tuple[Any, ...]]:
    """Return how often the network has which layer: its class, what it is made of, and the shape of its input."""
    import keras

    from keras_resnet.models.build import build_classifier
    from keras_resnet.models.layers import Layers
    from keras_resnet.models.names import parse_model_name

    shape = (options.image_size, options.image_size, 3)
    model = build_classifier(Layers(keras), parse_model_name(options.network), classes=10, input_shape=shape)
    found: Counter[tuple[Any, ...]] = Counter()
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            made_of = (layer.filters, layer.kernel_size, layer.strides, layer.padding)
            found[keras.layers.Conv2D, made_of, tuple(layer.input.shape[1:])] += 1
        elif isinstance(layer, keras.layers.BatchNormalization):
            found[keras.layers.BatchNormalization, (), tuple(layer.input.shape[1:])] += 1
    return found


def prepare(layer: Any, shape: tuple[int, ...], target: str) -> tuple[Way, set[str]]:
    """Return a function that computes `target`, "kernel", "inputs" (a gradient) or "outputs", of a layer in training,
    for random images of `shape`; and the types of all operations for it."""
    import tensorflow as tf

    layer.build(shape)
    images, gradients = tf.random.normal(shape), tf.random.normal(layer.compute_output_shape(shape))

    @tf.function  # type: ignore[untyped-decorator]
    def compute(images: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=True)
        if target == "outputs":
            return outputs
        return tape.gradient(outputs, layer.kernel.value if target == "kernel" else images, gradients)

    function = compute.get_concrete_function(images, gradients)
    return lambda: function(images, gradients), {each.type for each in function.graph.get_operations()}


def time_by_turns(ways: tuple[Way, Way], rounds: int) -> tuple[float, float]:
    """Return the milliseconds of the best round of each."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for way, seconds in zip(ways, found, strict=True):
            start = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - start)
    first, second = (1000 * min(seconds[1:]) for seconds in found)  # the first round prepares
    return first, second


def measure(options: argparse.Namespace) -> list[Table]:
    """Return the table of all that is computed in another way than by TensorFlow, and that of all convolutions."""
    import keras

    from keras_resnet.training.avx2_layers import FastBatchNormalization, FastConvolution
    from keras_resnet.training.fused_batch_norm import FusedBatchNormalization

    size = options.image_size
    rows: list[list[Cell]] = []
    sums: dict[str, list[float]] = {}  # layers, and milliseconds of both ways
    convolutions = {target: [0.0, 0.0, 0.0] for target in CONVOLUTIONS}  # operations, and milliseconds of both ways
    for (kind, made_of, shape), count in find_layers(options).items():
        inputs = (options.batch_size, *shape)
        is_norm = kind is keras.layers.BatchNormalization
        kinds = (FusedBatchNormalization, FastBatchNormalization) if is_norm else (kind, FastConvolution)
        for target in ("outputs", "inputs") if is_norm else CONVOLUTIONS:
            if target == "inputs" and shape[2] == 3:
                continue  # of the images, which nobody needs
            layers = [each(*made_of) for each in kinds]
            (stock, _), (fast, operations) = (prepare(each, inputs, target) for each in layers)
            times = time_by_turns((stock, fast), options.rounds)
            totals = [count * milliseconds for milliseconds in times]
            if not is_norm:
                pixels = math.prod(layers[0].compute_output_shape(inputs)[:3])
                done = 2 * count * pixels * layers[0].kernel.shape.num_elements()
                convolutions[target] = add(convolutions[target], [done, *totals])
                if target != "kernel" or "Conv2DBackpropFilter" in operations:
                    continue  # left to TensorFlow
                filters, (height, width), (stride, _), _ = made_of
                sizes = f"{height} × {width}, {shape[2]} to {filters} channels, stride {stride}"
                name = f"gradient of {sizes}, {shape[0]} × {shape[1]} pixels"
                rows.append([name, count, *times, times[0] / times[1]])
            sums[target] = add(sums.get(target, [0, 0, 0]), [count, *totals])
    for target, (count, stock_time, fast_time) in sums.items():
        rows.append([f"all {SUMS[target]}", int(count), stock_time, fast_time, stock_time / fast_time])
    name = f"{options.network.replace('resnet', 'ResNet-')}, {size} × {size} pixels, batch size {options.batch_size}"
    ways = [Column("TensorFlow, ms", ".1f"), Column("kresnet, ms", ".1f")]
    columns = [Column("layer"), Column("layers"), *ways, Column("speed", ".2f")]
    packages, remark = ("tensorflow", "keras"), describe_rounds(options.rounds)
    table = Table(f"avx2-{options.network}", name, columns, rows, packages, remark, options.rounds)
    limit = matmul_limits({"float32"})["float32"]
    shares = [describe_speed(CONVOLUTIONS[target], totals, limit) for target, totals in convolutions.items()]
    shares.append(describe_speed("all", [sum(each) for each in zip(*convolutions.values(), strict=True)], limit))
    columns = [Column("part of a step"), Column("GFLOP", ".0f"), *ways]
    columns += [Column(f"share of matmul speed, {way}", ".2f") for way in ("TensorFlow", "kresnet")]
    remark += f" A large matrix product runs at {limit:.0f} GFLOP/s."
    return [table, Table(f"convolutions-{options.network}", name, columns, shares, packages, remark, options.rounds)]


def add(sums: list[float], more: list[float]) -> list[float]:
    """Return the sums of both, one by one."""
    return [a + b for a, b in zip(sums, more, strict=True)]


def describe_speed(name: str, totals: Sequence[float], limit: float) -> list[Cell]:
    """Return a row of the second table. totals: operations, and milliseconds of both ways. limit: GFLOP/s."""
    operations, *times = totals
    shares = [operations / (1e6 * milliseconds) / limit for milliseconds in times]
    return [name, operations / 1e9, *times, *shares]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=10)
    add_json_option(parser)
    options = parser.parse_args()
    from keras_resnet.machine.onednn import lacks_avx512  # with kresnet, before TensorFlow: turns oneDNN on

    if not lacks_avx512():
        print(
            "kresnet does not use these layers here: they are for CPUs with AVX2 but without AVX-512", file=sys.stderr
        )
    publish(measure(options), options.json)


if __name__ == "__main__":
    main()
