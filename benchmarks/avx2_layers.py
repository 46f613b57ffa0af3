"""What kresnet's layers for CPUs with AVX2 but without AVX-512 gain, beside TensorFlow's own calls of oneDNN.

    python benchmarks/avx2_layers.py [--network resnet50 --image-size 224 --batch-size 16] [--rounds 10]

Measured are the gradients of kernels that kresnet computes in another way, for each distinct convolution of the
network, and all of its batch norms. Both ways take turns in one process; the best round of each counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from result_tables import Cell, Column, Table, add_json_option, describe_rounds, publish

Way = Callable[[], Any]
# What each `target` of `prepare` is called in the table.
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


def measure(options: argparse.Namespace) -> Table:
    """Return the table of all that is computed in another way than by TensorFlow."""
    import keras

    from keras_resnet.training.avx2_layers import FastBatchNormalization, FastConvolution
    from keras_resnet.training.fused_batch_norm import FusedBatchNormalization

    size = options.image_size
    rows: list[list[Cell]] = []
    sums: dict[str, list[float]] = {}  # layers, and milliseconds of both ways
    for (kind, made_of, shape), count in find_layers(options).items():
        inputs = (options.batch_size, *shape)
        is_norm = kind is keras.layers.BatchNormalization
        kinds = (FusedBatchNormalization, FastBatchNormalization) if is_norm else (kind, FastConvolution)
        for target in ("outputs", "inputs") if is_norm else ("kernel",):
            (stock, _), (fast, operations) = (prepare(each(*made_of), inputs, target) for each in kinds)
            if "Conv2DBackpropFilter" in operations:
                continue  # left to TensorFlow
            times = time_by_turns((stock, fast), options.rounds)
            more = (count, *(count * milliseconds for milliseconds in times))
            sums[target] = [a + b for a, b in zip(sums.get(target, [0, 0, 0]), more, strict=True)]
            if not is_norm:
                filters, (height, width), (stride, _), _ = made_of
                sizes = f"{height} × {width}, {shape[2]} to {filters} channels, stride {stride}"
                name = f"gradient of {sizes}, {shape[0]} × {shape[1]} pixels"
                rows.append([name, count, *times, times[0] / times[1]])
    for target, (layers, stock_time, fast_time) in sums.items():
        rows.append([f"all {SUMS[target]}", int(layers), stock_time, fast_time, stock_time / fast_time])
    return Table(
        f"avx2-{options.network}",
        f"{options.network.replace('resnet', 'ResNet-')}, {size} × {size} pixels, batch size {options.batch_size}",
        [
            Column("layer"),
            Column("layers"),
            Column("TensorFlow, ms", ".1f"),
            Column("kresnet, ms", ".1f"),
            Column("speed", ".2f"),
        ],
        rows,
        ("tensorflow", "keras"),
        describe_rounds(options.rounds),
        options.rounds,
    )


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
    publish([measure(options)], options.json)


if __name__ == "__main__":
    main()
