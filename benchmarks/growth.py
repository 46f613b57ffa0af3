"""How time and memory grow with depth, image size, batch, classes, images and objects: linearly, or faster?

    python benchmarks/growth.py [--only depth,folder] [--largest 100000] [--rounds 1] [--figures FOLDER]

Each size of each axis of growth_axes.py is measured in a process of its own; the least seconds and MiB of the rounds
count. Seconds are CPU time of all threads, so that other work on the machine matters little, and waiting for a disk is
left out. Memory is the highest resident memory beyond that before the work. The growth of a part is an exponent: 1 is
linear, 2 quadratic. It is the slope of the logarithm of (cost - least cost) over the logarithm of (size - least size),
fitted to the upper half of the sizes, three or more, whose cost is half as much again as the least or more; the cost of
the smallest size, which is mostly fixed, is taken off so that it does not hide the growth. A part that does not double
has none. Exits 1 where time or memory grow faster than
linearly: with an exponent of more than 1.2, for measurements vary. A million images take 5 GB where temporary files
lie; TMPDIR=/dev/shm puts them into memory, which is faster.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from growth_axes import AXES, DATA, DEPTH, INPUT, Axis, Watch
from result_tables import Cell, Column, Table, add_json_option, describe_rounds, publish

MOST = 1.2
# The part that memory is.
MEMORY = "memory"
# What is too little to be measured: seconds and MiB.
LEAST = {MEMORY: 20.0}
LEAST_SECONDS = 0.01
TITLES = {
    DEPTH: "Growth of building and training",
    INPUT: "Growth of training",
    DATA: "Growth of what is done with data and predictions",
}
# Costs by part and size: seconds, and MiB of MEMORY.
Costs = dict[str, dict[int, float]]


def main() -> int:
    """Measure, print, draw; return the exit code."""
    options = parse_options()
    if options.child:
        run_child(options.child, options.size)
        return 0
    measured = {name: measure(name, AXES[name], options) for name in options.only}
    tables = []
    for group in dict.fromkeys(AXES[name].group for name in measured):
        in_group = {name: costs for name, costs in measured.items() if AXES[name].group == group}
        tables.append(make_table(group, in_group, options.rounds))
        if options.figures:
            draw(in_group, options.figures / f"growth-{group}.png")
    publish(tables, options.json)
    steep = [
        f"{AXES[name].title}: {part} grows with an exponent of {exponent:.2f}"
        for name, costs in measured.items()
        for part, by_size in costs.items()
        if (exponent := fit_exponent(by_size, LEAST.get(part, LEAST_SECONDS))) is not None and exponent > MOST
    ]
    for each in steep:
        print(each, file=sys.stderr)
    return 1 if steep else 0


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=choose, default=list(AXES), help=f"some of {','.join(AXES)}")
    parser.add_argument("--largest", type=int, default=10**9, help="leave out larger sizes")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--figures", type=Path, help="a folder, for a picture of each table")
    add_json_option(parser)
    parser.add_argument("--child", choices=list(AXES), help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def choose(names: str) -> list[str]:
    """Return the axes that `--only` names. Raises argparse.ArgumentTypeError for one that there is not."""
    chosen = names.split(",")
    if unknown := [name for name in chosen if name not in AXES]:
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(AXES)}. Received: {', '.join(unknown)}")
    return chosen


def run_child(name: str, size: int) -> None:
    """Measure one size of one axis, and print seconds and MiB as JSON."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_CACHE_HOME"] = f"{home}/cache"
        watch = Watch(Path(home))
        AXES[name].run(size, watch)
        print(json.dumps(watch.seconds | {MEMORY: watch.mib}), flush=True)


def measure(name: str, axis: Axis, options: argparse.Namespace) -> Costs:
    """Return the least cost of each part of `axis` at each size."""
    costs: Costs = {}
    for _ in range(options.rounds):
        for size in (size for size in axis.sizes if size <= options.largest):
            command = [sys.executable, __file__, "--child", name, "--size", str(size)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{axis.title}, {size} {axis.unit}: {done.stderr[-2000:]}")
            found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
            print(f"{axis.title}, {size} {axis.unit}: {found}", file=sys.stderr, flush=True)
            for part, cost in found.items():
                known = costs.setdefault(part, {})
                known[size] = min(cost, known.get(size, cost))
    return costs


def fit_exponent(costs: Mapping[int, float], least: float) -> float | None:
    """Return the exponent with which `costs`, by size, grow; None where they do not double, or stay below `least`."""
    sizes = sorted(costs)
    first, base = sizes[0], max(0.0, costs[sizes[0]])
    if len(sizes) < 3 or costs[sizes[-1]] < max(2 * base, least):
        return None
    upper = sizes[-max(3, math.ceil(len(sizes) / 2)) :]
    upper = [size for size in upper if size > first and costs[size] > 1.5 * base]
    if len(upper) < 2:
        return None
    grown = np.log([costs[size] - base for size in upper])
    return float(np.polyfit(np.log([size - first for size in upper]), grown, 1)[0])


def make_table(group: str, measured: Mapping[str, Costs], rounds: int) -> Table:
    """Return a row for each part: its cost at the smallest, a middle and the largest size, and how it grows."""
    rows: list[list[Cell]] = []
    for name, costs in measured.items():
        axis = AXES[name]
        for part, by_size in costs.items():
            sizes = sorted(by_size)
            unit = "MiB" if part == MEMORY else "CPU s"
            texts = [f"{format_cost(by_size[size])} {unit}" for size in (sizes[0], sizes[len(sizes) // 2], sizes[-1])]
            ends = f"{sizes[0]:,} … {sizes[len(sizes) // 2]:,} … {sizes[-1]:,} {axis.unit}"
            exponent = fit_exponent(by_size, LEAST.get(part, LEAST_SECONDS))
            rows.append([f"{axis.title}: {part}", ends, " … ".join(texts), exponent])
    columns = [Column("what"), Column("sizes"), Column("cost"), Column("exponent", ".2f")]
    note = f"{describe_rounds(rounds)} Seconds are CPU time. Parts without an exponent do not double."
    packages = ("tensorflow", "keras", "numpy", "scikit-learn")
    return Table(f"growth-{group}", TITLES[group], columns, rows, packages, note, rounds)


def format_cost(cost: float) -> str:
    """Return a cost with two or three digits."""
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}" if cost >= 0.1 else f"{max(cost, 0):.2g}"


def draw(measured: Mapping[str, Costs], file: Path) -> None:
    """Draw the costs of each axis, on logarithmic scales, relative to the largest size; and what linear is."""
    from matplotlib.figure import Figure

    columns = min(3, len(measured))
    lines = math.ceil(len(measured) / columns)
    figure = Figure(figsize=(3.6 * columns, 2.6 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.ravel()[len(measured) :]:
        axes.set_axis_off()
    for axes, (name, costs) in zip(grid.ravel(), measured.items(), strict=False):
        axis = AXES[name]
        sizes = sorted(next(iter(costs.values())))
        for part, by_size in costs.items():
            values = [max(by_size[size], 1e-3) / max(by_size[sizes[-1]], 1e-3) for size in sizes]
            axes.plot(sizes, values, marker=".", linestyle="--" if part == MEMORY else "-", label=part)
        axes.plot(sizes, [size / sizes[-1] for size in sizes], color="gray", linewidth=0.8, linestyle=":")
        axes.set(xscale="log", yscale="log", ylim=(1e-3, 3), xlabel=axis.unit)
        axes.set_title(axis.title, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set_size(8)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.supylabel("cost ÷ that of the largest size", fontsize=9)
    figure.savefig(file, dpi=80)


if __name__ == "__main__":
    sys.exit(main())
