"""What several devices and several processes cost, measured here, and what to expect of many, computed.

    python benchmarks/scaling.py            # measures: 1 device, 2 logical ones, 1 to 4 processes, the same batch
    python benchmarks/scaling.py --model    # computes: efficiency of 8 to 1024 accelerators, beside published ones

Measured are training steps of `kresnet train` in float32, on random images, in processes of this machine that speak by
127.0.0.1, in a network of their own where the system allows it. One process uses all cores already, so that several
share them: what is lost is what sharing a batch costs. Each case runs by turns with all sums over processes, without
those of gradients, without any, and sums gradients alone: *hidden* is what of the latter's time a step does not take
longer, empty where that takes less than a tenth of a step. The least seconds of the rounds count. For the model see
scaling_model.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from result_tables import Cell, Column, Table, add_json_option, describe_rounds, publish
from scaling_model import (
    A100,
    COUNTS,
    LINKS,
    PUBLISHED,
    SYSTEMS,
    Training,
    efficiency,
    predict,
    read_network,
)

WORKER = str(Path(__file__).with_name("scaling_worker.py"))
# Batches that 1, 2, 3 and 4 processes can share.
NETWORKS: dict[str, dict[str, int]] = {
    "resnet20": {"image-size": 32, "batch-size": 96, "steps": 4},
    "resnet18": {"image-size": 64, "batch-size": 48, "steps": 2},
}
# Name → how many processes, and --devices of each of them.
CASES = {
    "1 process": (1, "cpu:1"),
    "2 logical devices in it": (1, "cpu:2"),
    **{f"{count} processes": (count, "auto") for count in (2, 3, 4)},
}
# What of a step a sum has to take, for its hidden part to be more than the noise of measurements.
LEAST_SHARE = 0.1
# Seconds until processes that wait for each other are ended.
LIMIT = 600


def measure(network: str, rounds: int) -> Table:
    """Return what training steps of `network` cost in all cases."""
    sizes = NETWORKS[network]
    measured = {case: run_processes(network, *what, rounds) for case, what in CASES.items()}
    first = measured["1 process"]["seconds"]["all"]
    rows = [make_row(case, found, sizes["batch-size"], first) for case, found in measured.items()]
    columns = [
        Column("training"),
        Column("images/s", ".0f"),
        Column("× one process", ".2f"),
        Column("gradients, MB", ".2f"),
        Column("each sends in a step, MB", ".2f"),
        Column("sums in a step"),
        Column("step, ms", ".0f"),
        Column("sums' share of the step", ".0%"),
        Column("of it batch norm", ".0%"),
        Column("gradients' sum alone, ms", ".0f"),
        Column("hidden", ".0%"),
    ]
    return Table(
        f"scaling-{network}",
        f"{network.replace('resnet', 'ResNet-')}, image size {sizes['image-size']},"
        f" batch size {sizes['batch-size']} of all processes, float32",
        columns,
        rows,
        ("tensorflow", "keras"),
        f"{describe_rounds(rounds)} All processes share the cores.",
        rounds,
    )


def make_row(case: str, found: dict[str, Any], batch: int, first: float) -> list[Cell]:
    """Return the cells of a case; `first` are the seconds of a step in one process."""
    seconds = found["seconds"]
    step = seconds["all"]
    start: list[Cell] = [case, batch / step, first / step]
    if "nothing" not in seconds:
        return [*start, None, None, None, 1000 * step, None, None, None, None]
    summing, alone = step - seconds["nothing"], seconds["gradients alone"]
    exposed = step - seconds["no gradients"]
    share = min(max(1 - exposed / summing, 0.0), 1.0) if summing > 0 else None
    hidden = min(max(1 - exposed / alone, 0.0), 1.0) if alone > LEAST_SHARE * step else None
    return [
        *start,
        found["bytes"]["gradients"] / 1e6,
        found["sent"] / 1e6,
        sum(found["counts"].values()),
        1000 * step,
        summing / step,
        share,
        1000 * alone,
        hidden,
    ]


def run_processes(network: str, count: int, devices: str, rounds: int) -> dict[str, Any]:
    """Return what the first of `count` processes measured, each on `devices`."""
    from keras_resnet.training.launch import find_free_ports
    from keras_resnet.training.network_isolation import Network

    sizes = {"network": network, **NETWORKS[network], "rounds": rounds, "devices": devices}
    command = [sys.executable, WORKER, *(part for name, value in sizes.items() for part in (f"--{name}", str(value)))]
    addresses = [f"127.0.0.1:{port}" for port in find_free_ports(count)]
    with ExitStack() as stack:
        enter = None
        try:
            own = Network()
        except OSError:
            print("the processes use the machine's network: this system allows no other", file=sys.stderr)
        else:
            stack.callback(own.close)
            enter = own.enter
        processes = []
        for rank in range(count):
            config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
            environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
            if count > 1:
                environment["TF_CONFIG"] = json.dumps(config)
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=enter
            )
            stack.callback(process.kill)
            processes.append(process)
        output, errors = processes[0].communicate(timeout=LIMIT)
        if processes[0].returncode:
            raise SystemExit(f"{network}, {count} processes: {errors[-2000:]}")
        for process in processes[1:]:
            process.communicate(timeout=LIMIT)
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    print(f"{network}, {count} of {devices}: {found}", file=sys.stderr, flush=True)
    return found


def make_model_tables(training: Training) -> list[Table]:
    """Return the efficiency of `training` on all systems, what each setting changes, and published efficiencies."""
    network, compute = read_network(training.network), training.batch / training.rate
    columns = [Column("servers and network"), *(Column(str(count), ".0%") for count in COUNTS)]
    title = (
        f"Computed efficiency, {training.network}, {network.gradient_bytes / 1e6:.0f} MB of gradients, {training.batch}"
        f" images a device in {1000 * compute:.0f} ms"
    )
    rows = [[system.name, *(efficiency(training, system, count) for count in COUNTS)] for system in SYSTEMS]
    tables = [Table("scaling-model", f"{title}, by number of devices", columns, rows, (), "Computed, not measured.")]
    settings = {
        "as above": training,
        "without synchronized batch norm": replace(training, synchronized=False),
        "gradients summed during the backward pass, 25 MB at a time": replace(training, bucket=25e6),
        "both": replace(training, synchronized=False, bucket=25e6),
        "an eighth of the batch": replace(training, batch=max(1, training.batch // 8)),
        "an eighth of the batch, `--accumulate-steps 8`": replace(
            training, batch=max(1, training.batch // 8), accumulate=8
        ),
    }
    rows = [
        [f"{system.name}: {name}", *(efficiency(changed, system, count) for count in COUNTS)]
        for system in (SYSTEMS[1], SYSTEMS[3])
        for name, changed in settings.items()
    ]
    tables.append(Table("scaling-settings", "What settings change", columns, rows, (), "Computed, not measured."))
    columns = [
        Column("published result"),
        Column("devices"),
        Column("published", ".0%"),
        Column("model", ".0%"),
        Column("model - published, points", "+.0f"),
    ]
    rows = [
        [
            f"{each.source}: {each.training.network}, {each.system.name}",
            f"{each.base} to {each.count}",
            each.efficiency,
            predict(each),
            100 * (predict(each) - each.efficiency),
        ]
        for each in PUBLISHED
    ]
    note = "The same latencies and the same share of each link's speed for all; none was fitted to these results."
    tables.append(Table("scaling-published", "The model beside published efficiencies", columns, rows, (), note))
    columns = [Column("link"), Column("GB/s in one direction", ".3g"), Column("published by")]
    rows = [[link.name, link.bandwidth / 1e9, link.source] for link in LINKS.values()]
    return [*tables, Table("scaling-links", "Links of the model", columns, rows)]


def draw(training: Training, file: Path) -> None:
    """Draw the efficiency of `training` by number of devices, for all systems, and the published efficiencies."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for system, marker in zip(SYSTEMS, "osv^DPX", strict=True):
        axes.plot(
            COUNTS, [100 * efficiency(training, system, count) for count in COUNTS], marker=marker, label=system.name
        )
    for each, color in zip(PUBLISHED, ("black", "dimgray", "darkgray"), strict=True):
        label = f"{each.source.split(' (')[0]}, {each.training.network}: published, and model (+)"
        axes.plot([each.count], [100 * each.efficiency], "*", color=color, markersize=11, label=label)
        axes.plot([each.count], [100 * predict(each)], "+", color=color, markersize=11)
    axes.set(xscale="log", ylim=(0, 105), xlabel="devices", ylabel="efficiency (%)")
    axes.set_xticks(COUNTS, [str(count) for count in COUNTS])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=7)
    figure.savefig(file, dpi=90)


def main() -> None:
    """Measure or compute, as the options say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="store_true", help="compute instead of measuring")
    parser.add_argument("--network", default=A100.network, help="for --model: resnet50, vgg16, …")
    parser.add_argument("--batch-size", type=int, default=A100.batch, help="of each device, for --model")
    parser.add_argument("--images-per-second", type=float, default=A100.rate, help="of one device, for --model")
    parser.add_argument("--figures", type=Path, help="a folder, for the picture of --model")
    parser.add_argument("--only", choices=list(NETWORKS), help="measure one network")
    parser.add_argument("--rounds", type=int, default=3)
    add_json_option(parser)
    options = parser.parse_args()
    if options.model:
        training = Training(options.network, options.images_per_second, options.batch_size)
        publish(make_model_tables(training), options.json)
        if options.figures:
            draw(training, options.figures / "scaling-model.png")
        return
    publish([measure(name, options.rounds) for name in NETWORKS if options.only in (None, name)], options.json)


if __name__ == "__main__":
    main()
