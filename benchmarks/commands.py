"""How long whole commands take, from the start of the process to its end, and what `kresnet train` spends it on.

    python benchmarks/commands.py
    python benchmarks/commands.py --depths 20 --before PYTHON

Trains on the bundled digits, then predicts, evaluates and exports. PYTHON is that of an environment with another
revision of kresnet: its commands run by turns with these. Next to the seconds, which other work on the machine makes
more, stand those of CPU time. The parts of a training are read off the times of its messages and off log.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from result_tables import Cell, Column, Table, add_json_option, describe_rounds, publish

RUN, IMAGE = "run", "image.png"
# How the message begins that ends a part of a training.
ENDS = {"start-up": "devices:", "data": "precision:", "building": "run:"}
EPOCH, MODEL, REPORT = re.compile(r"\s*\d+/\d+ "), re.compile(r".*; model: "), re.compile(r"report: ")
PARTS = (*ENDS, "tracing", "steps", "validation and checkpoints", "metrics and model", "report", "exit")


class Timing(NamedTuple):
    """Of one command: seconds from its start to its end, CPU seconds of it and its children, and its messages, each
    with its seconds."""

    seconds: float
    cpu: float
    messages: list[tuple[float, str]]


def list_commands(depth: int, epochs: int) -> dict[str, list[str]]:
    """Return the commands in their order, by how they are called in the table."""
    file = f"{RUN}/exports/float32.tflite"
    return {
        f"train --depth {depth} --epochs {epochs}": [
            *("train", "--depth", str(depth), "--epochs", str(epochs), "--seed", "1", "--name", RUN)
        ],
        "predict RUN": ["predict", RUN, IMAGE],
        "evaluate RUN": ["evaluate", RUN],
        # A network of few epochs may lose more than a point in 8 bits, which would end the command with 1.
        "export RUN --tflite": ["export", RUN, "--tflite", "--max-drop", "100"],
        "predict FILE": ["predict", file, IMAGE],
        "evaluate FILE": ["evaluate", file],
    }


def time_command(python: str, arguments: Sequence[str], home: Path) -> Timing:
    """Run `kresnet` with `arguments` by `python`, on the runs in `home`, its current folder. Raises SystemExit if it
    fails."""
    before, start = os.times(), time.monotonic()
    environment = {**os.environ, "KRESNET_RUNS": str(home), "PYTHONUNBUFFERED": "1"}
    command = [python, "-m", "keras_resnet", *arguments]
    with subprocess.Popen(
        command, cwd=home, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        messages = [(time.monotonic() - start, line.rstrip("\n")) for line in process.stdout]
    seconds, after = time.monotonic() - start, os.times()
    if process.returncode:
        printed = "\n".join(line for _, line in messages)
        sys.exit(f"kresnet {' '.join(arguments)} ended with {process.returncode}:\n{printed}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Timing(seconds, cpu, messages)


def split_training(training: Timing, run: Path) -> dict[str, float]:
    """Return the seconds of each part of a training, in the order of PARTS."""
    times = {part: _find_time(training, lambda line, end=end: line.startswith(end)) for part, end in ENDS.items()}
    epochs = [seconds for seconds, line in training.messages if EPOCH.match(line)]
    steps = list(_time_steps(run))
    model, report = (_find_time(training, pattern.match) for pattern in (MODEL, REPORT))
    starts = [times["building"], *epochs[:-1]]
    rest = [end - start - each for start, end, each in zip(starts, epochs, steps, strict=True)]
    later = sum(rest[1:]) / (len(rest) - 1)
    parts = (
        *(times["start-up"], times["data"] - times["start-up"], times["building"] - times["data"]),
        *(rest[0] - later, sum(steps), later * len(rest)),
        *(model - epochs[-1], report - model, training.seconds - report),
    )
    return dict(zip(PARTS, parts, strict=True))


def _find_time(training: Timing, is_it: Callable[[str], object]) -> float:
    return next(seconds for seconds, line in training.messages if is_it(line))


def _time_steps(run: Path) -> Iterator[float]:
    """Yield the seconds of each epoch's steps, without the first step of all, in which the network is traced."""
    batch, done = json.loads((run / "spec.json").read_text())["spec"]["training"]["batch_size"], 1
    for line in (run / "log.jsonl").read_text().splitlines():
        row = json.loads(line)
        yield (row["step"] - done) * batch / row["images_per_second"]
        done = row["step"]


def write_image(file: Path) -> None:
    """Write one of the digits as an image."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    Image.fromarray((load_digits().images[3] * 15).astype(np.uint8)).save(file)


def measure(depth: int, epochs: int, rounds: int, pythons: dict[str, str]) -> list[Table]:
    """Time all commands with a network of that depth, by each of `pythons` by turns; return the tables."""
    commands = list_commands(depth, epochs)
    best: dict[tuple[str, str], Timing] = {}
    parts: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            homes = {version: Path(scratch, version) for version in pythons}
            for home in homes.values():
                home.mkdir()
                write_image(home / IMAGE)
            for number, (name, arguments) in enumerate(commands.items()):
                for version, python in pythons.items():
                    timing = time_command(python, arguments, homes[version])
                    print(f"{version}: {name}: {timing.seconds:.1f} s, {timing.cpu:.1f} s of CPU", file=sys.stderr)
                    known = best.get((name, version))
                    if known is None or timing.cpu < known.cpu:
                        best[name, version] = timing
                        if number == 0:
                            parts[version] = split_training(timing, homes[version] / RUN)
    versions, note = list(pythons), f"The round of the least CPU time. {describe_rounds(rounds)}"
    rows: list[list[Cell]] = []
    for name in commands:
        timings = [best[name, version] for version in versions]
        row: list[Cell] = [f"`{name}`", *(each.seconds for each in timings), *(each.cpu for each in timings)]
        rows.append([*row, timings[-1].cpu / timings[0].cpu] if len(versions) > 1 else row)
    columns = [Column("command"), *_name_columns("seconds", versions), *_name_columns("CPU seconds", versions)]
    columns += [Column("× CPU seconds", ".2f")] if len(versions) > 1 else []
    title = f"ResNet-{depth} on the digits, whole commands"
    packages = ("tensorflow", "keras", "ai-edge-litert")
    part_rows: list[list[Cell]] = [[part, *(parts[version][part] for version in versions)] for part in PARTS]
    return [
        Table(f"commands-resnet{depth}", title, columns, rows, packages, note, rounds),
        Table(
            f"training-parts-resnet{depth}",
            f"ResNet-{depth} on the digits, the parts of `train --epochs {epochs}`",
            [Column("part"), *_name_columns("seconds", versions)],
            part_rows,
            packages,
            note,
            rounds,
        ),
    ]


def _name_columns(unit: str, versions: Sequence[str]) -> list[Column]:
    return [Column(f"{unit} {version}" if len(versions) > 1 else unit, ".1f") for version in versions]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", default="20,50", metavar="D,D", help="depths of the networks [default: 20,50]")
    parser.add_argument("--epochs", type=int, default=3, help="of each training, 2 or more [default: 3]")
    parser.add_argument("--before", metavar="PYTHON", help="a Python with another revision of kresnet")
    parser.add_argument("--rounds", type=int, default=2)
    add_json_option(parser)
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error(f"--epochs must be 2 or more. Received: {options.epochs}")
    pythons = {"before": options.before, "now": sys.executable} if options.before else {"now": sys.executable}
    depths = [int(depth) for depth in options.depths.split(",")]
    tables = [table for depth in depths for table in measure(depth, options.epochs, options.rounds, pythons)]
    publish(tables, options.json)


if __name__ == "__main__":
    main()
