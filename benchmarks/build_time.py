"""Seconds to build CIFAR ResNets of growing depth: is the cost of a layer constant?

    python benchmarks/build_time.py [--repeats 3]

Depths are interleaved; the best of the repeats counts. Prints a table and the slope between neighbours.
"""

from __future__ import annotations

import argparse
import time

import keras

import keras_resnet
from keras_resnet.cli import console

DEPTHS = (20, 56, 110, 302, 602, 1202)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    keras_resnet.ResNet8(classes=10, input_shape=(32, 32, 3))  # what is done once
    seconds: dict[int, list[float]] = {depth: [] for depth in DEPTHS}
    layers = {}
    for _ in range(repeats):
        for depth in DEPTHS:
            keras.utils.clear_session()
            start = time.perf_counter()
            model = keras_resnet.resnet(depth, classes=10, input_shape=(32, 32, 3))
            seconds[depth].append(time.perf_counter() - start)
            layers[depth] = len(model.layers)
    rows = [
        [
            str(depth),
            str(layers[depth]),
            f"{min(seconds[depth]):.2f}",
            f"{1000 * min(seconds[depth]) / layers[depth]:.2f}",
        ]
        for depth in DEPTHS
    ]
    console.print_table(f"best of {repeats}", ["depth", "layers", "seconds", "ms a layer"], rows)


if __name__ == "__main__":
    main()
