"""Where the time of a training step goes: kresnet's with and without oneDNN's kernels, and PyTorch's.

    python benchmarks/profile_step.py [--network resnet50 --image-size 224 --batch-size 16] [--torch-python PYTHON]
        [--figures FOLDER]

Each case is a process of its own, one after another, with shares of its own step: benchmarks/train.py compares speeds.
The profilers of TensorFlow and PyTorch time each operation; TensorFlow runs one at a time here, which it otherwise need
not. All is float32.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from result_tables import Cell, Column, Table, add_json_option, publish

# The case: package, and TF_ENABLE_ONEDNN_OPTS.
CASES = {
    "kresnet without oneDNN": ("keras", "0"),
    "kresnet": ("keras", "1"),
    "PyTorch": ("torch", ""),
}
# Of the names of operations in both packages; the first that is part of one counts.
KINDS = {
    "convolution, by weights": ("Conv2DBackpropFilter",),
    "convolution, by inputs": ("Conv2DBackpropInput",),
    "convolution, backward": ("convolution_backward",),
    "convolution, forward": ("Conv2D", "convolution"),
    "batch norm, backward": ("BatchNormGrad", "batch_norm_backward"),
    "batch norm (and ReLU), forward": ("BatchNorm", "batch_norm"),
    "ReLU, backward": ("ReluGrad", "threshold_backward"),
    "ReLU, forward": ("Relu", "relu", "clamp_min"),
    "pooling": ("Pool", "pool", "aten::mean"),
    "update of variables": ("ResourceApply", "Assign"),
    "additions": ("AddV2", "AddN", "aten::add"),  # PyTorch updates weights by such, too
}
# In which kresnet's own layers compute what Conv2DBackpropFilter does.
KERNEL_SCOPE = "gradient_by_kernel"
OTHER, IDLE = "all else", "between operations"


def classify(operation: str) -> str:
    """Return the kind of an operation, such as "_MklNativeConv2D" or "aten::convolution"."""
    return next((kind for kind, names in KINDS.items() if any(name in operation for name in names)), OTHER)


def profile_tensorflow(options: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of each kind of operation in a step of kresnet."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2
    from train import our_steps

    tf.config.threading.set_inter_op_parallelism_threads(1)
    run = our_steps("float32", options.network, options.image_size, options.batch_size)
    run(2)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder, tf.profiler.experimental.ProfilerOptions(host_tracer_level=3)):
            run(options.steps)
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    seconds: defaultdict[str, float] = defaultdict(float)
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            # "the/name/of/a/node:Type#attributes#"; "::" is of C++, and a function has no type.
            name, _, kind = plane.event_metadata[event.metadata_id].name.partition("#")[0].rpartition(":")
            took = event.duration_ps / 1e12 / options.steps
            if kind == "Process" and name.startswith("ExecutorState"):
                seconds[IDLE] += took
            elif kind.isidentifier() and "/" in name:
                seconds[classify("Conv2DBackpropFilter" if KERNEL_SCOPE in name else kind)] += took
    seconds[IDLE] = max(0.0, seconds[IDLE] - sum(took for kind, took in seconds.items() if kind != IDLE))
    return dict(seconds)


def profile_torch(options: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of each kind of operation in a step of PyTorch."""
    import time

    import torch
    from train import torch_steps

    run = torch_steps("eager", "float32", options.network, options.image_size, options.batch_size)
    run(2)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        run(options.steps)
        took = time.perf_counter() - start
    seconds: defaultdict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        if event.key.startswith("aten::") and event.self_cpu_time_total:
            seconds[classify(event.key)] += event.self_cpu_time_total / 1e6 / options.steps
    seconds[IDLE] = max(0.0, took / options.steps - sum(seconds.values()))
    return dict(seconds)


def measure(case: str, options: argparse.Namespace) -> dict[str, float]:
    """Return what a process of its own finds for `case`."""
    package, onednn = CASES[case]
    python = sys.executable if package == "keras" else options.torch_python
    sizes = [f"--network={options.network}", f"--image-size={options.image_size}", f"--batch-size={options.batch_size}"]
    command = [python, __file__, "--work", package, *sizes, f"--steps={options.steps}"]
    environment = os.environ | ({"TF_ENABLE_ONEDNN_OPTS": onednn} if onednn else {})
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def make_table(found: dict[str, dict[str, float]], options: argparse.Namespace) -> Table:
    """Return the share of each kind of operation in the step of each case."""
    kinds = [kind for kind in (*KINDS, OTHER, IDLE) if any(kind in each for each in found.values())]
    rows: list[list[Cell]] = [
        [kind, *(each[kind] / sum(each.values()) if kind in each else None for each in found.values())]
        for kind in kinds
    ]
    network = options.network.replace("resnet", "ResNet-")
    return Table(
        f"profile-{options.network}",
        f"{network}, {options.image_size} × {options.image_size} pixels, batch size {options.batch_size}",
        [Column("time in"), *(Column(case, ".1%") for case in found)],
        rows,
        ("tensorflow", "keras", "torch"),
        "Shares of the time of each step, of one profile each.",
    )


def draw(table: Table, file: Path) -> None:
    """Draw a bar for each case, of the kinds one after another."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    cases = [column.name for column in table.columns[1:]]
    starts = [0.0] * len(cases)
    for number, (kind, *shares) in enumerate(table.rows):
        percents = [100 * float(share or 0) for share in shares]
        axes.barh(cases, percents, left=starts, label=str(kind), color=colormaps["tab20"](number))
        starts = [start + percent for start, percent in zip(starts, percents, strict=True)]
    axes.invert_yaxis()
    axes.set(xlabel="% of the time of the step", title=table.title)
    axes.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.45, -0.18), fontsize="small", frameon=False)
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument(
        "--torch-python", help="A Python with torch and torchvision; without it no PyTorch is profiled."
    )
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="also draw the table, as a file there")
    add_json_option(parser)
    parser.add_argument("--work", choices=("keras", "torch"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps((profile_tensorflow if options.work == "keras" else profile_torch)(options)))
        return
    cases = [case for case, (package, _) in CASES.items() if package == "keras" or options.torch_python]
    table = make_table({case: measure(case, options) for case in cases}, options)
    publish([table], options.json)
    if options.figures:
        draw(table, options.figures / f"{table.name}.png")


if __name__ == "__main__":
    main()
