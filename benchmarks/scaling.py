"""What several devices and several processes cost, measured here, and what to expect of many, computed.

    python benchmarks/scaling.py            # measures: 1 device, 2 logical ones, 2 processes, the same batch
    python benchmarks/scaling.py --model    # computes: bytes summed in a step, and efficiency at 8, 64 and 512

Measured with `kresnet train` itself on the bundled digits; the last epoch's images per second count, the best of the
rounds. One process uses all cores already, so that two share them: what is lost is what sharing a batch costs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from result_tables import Column, Table, add_json_option, describe_rounds, publish

CASES = {
    "1 device": ([], ["--devices", "cpu:1"]),
    "2 logical devices": ([], ["--devices", "cpu:2"]),
    "2 processes": (["launch", "--workers", "2", "--"], []),
}
# What the table of --model assumes of an accelerator, and of the network between them; change them by options.
IMAGES_PER_SECOND, BANDWIDTH, LATENCY = 2500.0, 12.5e9, 20e-6


def measure(net: dict[str, int], rounds: int) -> Table:
    """Train `net`, values by option, in all cases by turns; return images per second of each."""
    arguments = [part for option, value in net.items() for part in (f"--{option}", str(value))]
    best: dict[str, float] = {}
    for _ in range(rounds):
        for case, (launch, devices) in CASES.items():
            with tempfile.TemporaryDirectory() as home:
                train = [
                    "train",
                    *arguments,
                    "--epochs",
                    "3",
                    "--precision",
                    "float32",
                    *devices,
                    "--runs",
                    home,
                    "--name",
                    "x",
                ]
                command = [sys.executable, "-m", "keras_resnet", *launch, *train]
                subprocess.run(command, check=True, capture_output=True)
                last = (Path(home) / "x" / "log.jsonl").read_text().splitlines()[-1]
            best[case] = max(best.get(case, 0.0), json.loads(last)["images_per_second"])
    return Table(
        f"scaling-resnet{net['depth']}",
        f"ResNet-{net['depth']}, image size {net['image-size']}, batch size {net['batch-size']}, float32",
        [Column("training"), Column("images/s", ".1f"), Column("× one device", ".2f")],
        [[case, rate, rate / best["1 device"]] for case, rate in best.items()],
        ("tensorflow", "keras"),
        describe_rounds(rounds),
        rounds,
    )


def model(network: str, batch: int, rate: float, bandwidth: float, latency: float) -> None:
    """A ring sums S bytes over n devices by sending 2 (n - 1) / n × S from each (Patarasuk & Yuan 2009), in 2 (n - 1)
    messages; none of it hidden behind the computation, the efficiency is t / (t + that)."""
    from keras_resnet.cli import console
    from keras_resnet.models.flops import count_cost
    from keras_resnet.models.names import parse_model_name

    size = 4 * count_cost(parse_model_name(network), classes=1000, input_shape=(224, 224, 3)).trainable
    compute = batch / rate
    rows = []
    for count in (8, 64, 512):
        sent = 2 * (count - 1) / count * size
        exchange = sent / bandwidth + 2 * (count - 1) * latency
        efficiency = compute / (compute + exchange)
        speed = f"{count * rate * efficiency:,.0f}"
        rows.append([str(count), f"{sent / 1e6:.0f} MB", f"{1e3 * exchange:.0f} ms", f"{efficiency:.0%}", speed])
    title = (
        f"{network}: {size / 1e6:.0f} MB of gradients, {batch} images a device in {1e3 * compute:.0f} ms,"
        f" {bandwidth / 1e9:g} GB/s, {1e6 * latency:g} µs a message"
    )
    console.print_table(title, ["devices", "each sends", "takes", "efficiency", "images/s"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="store_true")
    parser.add_argument("--network", default="resnet50", help="for --model")
    parser.add_argument("--batch-size", type=int, default=256, help="of each device, for --model")
    parser.add_argument("--images-per-second", type=float, default=IMAGES_PER_SECOND, help="of one device, for --model")
    parser.add_argument("--bandwidth", type=float, default=BANDWIDTH, help="bytes per second of a device, for --model")
    parser.add_argument("--latency", type=float, default=LATENCY, help="seconds a message, for --model")
    parser.add_argument("--rounds", type=int, default=2)
    add_json_option(parser)
    options = parser.parse_args()
    if options.model:
        model(options.network, options.batch_size, options.images_per_second, options.bandwidth, options.latency)
        return
    nets = ({"depth": 20, "image-size": 32, "batch-size": 128}, {"depth": 18, "image-size": 64, "batch-size": 64})
    publish([measure(net, options.rounds) for net in nets], options.json)


if __name__ == "__main__":
    main()
