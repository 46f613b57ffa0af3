"""What kresnet's own layers gain, beside TensorFlow's own calls of oneDNN.

    python benchmarks/own_layers.py [--network resnet50 --image-size 224 --batch-size 16] [--rounds 10]

Measured are those for CPUs with AMX, in bfloat16, where the CPU has it, and otherwise those for CPUs with AVX2 but
without AVX-512, in float32: the gradients of kernels that kresnet computes in another way, for each distinct
convolution of the network, and all of its batch norms; and, in a second table, all convolutions of a step beside one
large matrix product. A network of which kresnet computes nothing in another way has only the second table. Both ways
take turns in one process; the best round of each counts.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

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
    images, gradients = (
        tf.cast(tf.random.normal(each), layer.compute_dtype) for each in (shape, layer.compute_output_shape(shape))
    )

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


class OwnLayers(NamedTuple):
    """The classes of TensorFlow's way and of kresnet's, by Keras' class that they stand for; the name of their table,
    and the precision in which they are used. Classes that are the same are not measured."""

    name: str
    policy: str
    classes: dict[type, tuple[type, type]]

    @property
    def dtype(self) -> str:
        """In which the convolutions compute."""
        return self.policy.removeprefix("mixed_")


def choose_own_layers() -> OwnLayers:
    """Return those that this CPU is to be measured with."""
    import keras

    from keras_resnet.machine.onednn import has_amx, lacks_avx512
    from keras_resnet.training.amx_layers import AmxConvolution
    from keras_resnet.training.avx2_layers import FastBatchNormalization, FastConvolution
    from keras_resnet.training.fused_batch_norm import FusedBatchNormalization

    convolution, norm = keras.layers.Conv2D, keras.layers.BatchNormalization
    if has_amx():
        classes = {convolution: (convolution, AmxConvolution), norm: (FusedBatchNormalization, FusedBatchNormalization)}
        return OwnLayers("amx", "mixed_bfloat16", classes)
    if not lacks_avx512():
        print(
            "kresnet does not use these layers here: they are for CPUs with AVX2 but without AVX-512", file=sys.stderr
        )
    classes = {convolution: (convolution, FastConvolution), norm: (FusedBatchNormalization, FastBatchNormalization)}
    return OwnLayers("avx2", "float32", classes)


class Timed(NamedTuple):
    """How long a part of the network's layers of one shape takes. is_rewritten: whether kresnet computes it in another
    way than TensorFlow. operations: of all these layers, 0 for batch norms."""

    name: str
    target: str
    layers: int
    is_convolution: bool
    is_rewritten: bool
    operations: int
    stock_ms: float
    fast_ms: float

    @property
    def totals(self) -> tuple[float, float, float, float]:
        """The number of layers, their operations, and the milliseconds of both ways."""
        return self.layers, self.operations, self.layers * self.stock_ms, self.layers * self.fast_ms


def measure(options: argparse.Namespace, own: OwnLayers) -> list[Timed]:
    """Time each part of each layer both ways."""
    import keras

    timed = []
    for (kind, made_of, shape), count in find_layers(options).items():
        inputs = (options.batch_size, *shape)
        is_convolution = kind is keras.layers.Conv2D
        kinds = own.classes[kind]
        if kinds[0] is kinds[1]:
            continue
        for target in CONVOLUTIONS if is_convolution else ("outputs", "inputs"):
            if target == "inputs" and shape[2] == 3:
                continue  # of the images, which nobody needs
            layers = [each(*made_of, dtype=own.policy) for each in kinds]
            (stock, _), (fast, types) = (prepare(each, inputs, target) for each in layers)
            times = time_by_turns((stock, fast), options.rounds)
            name, operations, is_rewritten = "", 0, True
            if is_convolution:
                filters, (height, width), (stride, _), _ = made_of
                name = f"{height} × {width}, {shape[2]} to {filters} channels, stride {stride}"
                name += f", {shape[0]} × {shape[1]} pixels"
                pixels = math.prod(layers[0].compute_output_shape(inputs)[:3])
                operations = 2 * count * pixels * layers[0].kernel.shape.num_elements()
                is_rewritten = target == "kernel" and "Conv2DBackpropFilter" not in types
            timed.append(Timed(name, target, count, is_convolution, is_rewritten, operations, *times))
    return timed


def sum_by_target(timed: Iterable[Timed]) -> dict[str, list[float]]:
    """Return the sums of `totals` of each target."""
    by_target: dict[str, list[tuple[float, ...]]] = {}
    for each in timed:
        by_target.setdefault(each.target, []).append(each.totals)
    return {target: add_up(totals) for target, totals in by_target.items()}


def add_up(totals: Iterable[Sequence[float]]) -> list[float]:
    """Return the sum of each column."""
    return [sum(column) for column in zip(*totals, strict=True)]


def list_gains(timed: Sequence[Timed]) -> list[list[Cell]]:
    """Return the rows of what kresnet computes in another way: each convolution, and sums."""
    rewritten = [each for each in timed if each.is_rewritten]
    rows: list[list[Cell]] = [
        [f"gradient of {each.name}", each.layers, each.stock_ms, each.fast_ms, each.stock_ms / each.fast_ms]
        for each in rewritten
        if each.is_convolution
    ]
    for target, (count, _, stock_ms, fast_ms) in sum_by_target(rewritten).items():
        rows.append([f"all {SUMS[target]}", int(count), stock_ms, fast_ms, stock_ms / fast_ms])
    return rows


def list_shares(timed: Sequence[Timed], limit: float) -> list[list[Cell]]:
    """Return the rows of all convolutions. limit: GFLOP/s of a large matrix product."""
    sums = sum_by_target(each for each in timed if each.is_convolution)
    named = {name: sums[target] for target, name in CONVOLUTIONS.items()} | {"all": add_up(sums.values())}
    return [
        [name, operations / 1e9, *times, *(operations / (1e6 * milliseconds) / limit for milliseconds in times)]
        for name, (_, operations, *times) in named.items()
    ]


def make_tables(timed: Sequence[Timed], options: argparse.Namespace, own: OwnLayers) -> list[Table]:
    """Return the table of all that is computed in another way than by TensorFlow, if anything is, and that of all
    convolutions."""
    network, size = options.network, options.image_size
    title = f"{network.replace('resnet', 'ResNet-')}, {size} × {size} pixels, batch size {options.batch_size}"
    limit = matmul_limits({own.dtype})[own.dtype]
    rounds = describe_rounds(options.rounds)
    ways = [Column("TensorFlow, ms", ".1f"), Column("kresnet, ms", ".1f")]
    gains = [Column("layer"), Column("layers"), *ways, Column("speed", ".2f")]
    speeds = [Column(f"share of matmul speed, {way}", ".2f") for way in ("TensorFlow", "kresnet")]
    shares = [Column("part of a step"), Column("GFLOP", ".0f"), *ways, *speeds]
    of_product = f"{rounds} A large matrix product runs at {limit:.0f} GFLOP/s in {own.dtype}."
    return [
        Table(f"{name}-{network}", title, columns, rows, ("tensorflow", "keras"), remark, options.rounds)
        for name, columns, rows, remark in (
            (own.name, gains, list_gains(timed), rounds),
            ("convolutions", shares, list_shares(timed, limit), of_product),
        )
        if rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=10)
    add_json_option(parser)
    options = parser.parse_args()
    import keras_resnet  # noqa: F401 - before TensorFlow: turns oneDNN on

    own = choose_own_layers()
    publish(make_tables(measure(options, own), options, own), options.json)


if __name__ == "__main__":
    main()
